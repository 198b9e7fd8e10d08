//! The process itself: killed, ended, out of file descriptors.

use std::{
    collections::BTreeMap,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arngate_lab::sts::Fault;
use serde_json::{Value, json};

use crate::{
    api_server::{Scene, users},
    asking::{Asking, MAPPED, forger, fresh, name, shown, told, until},
    support::{ACCOUNT, Setup, emulator},
    table::Table,
};

/// bob after so many edits, among so many others that writing them takes a while.
fn bob_among_many(edits: usize) -> BTreeMap<String, String> {
    let username = format!("bob-{edits}");
    let names: Vec<String> = (0..1500).map(|number| format!("somebody-{number:04}")).collect();
    let mut listed: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "somebody")).collect();
    listed.push(("bob", &username));
    users(&listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_writing_the_snapshot() {
    let mut table = Table::of("process: killed");
    let mut scene = Scene::new(bob_among_many(0), true, Setup::start).await;
    let beside = scene.server.path("state/aws-auth.snapshot.new");
    let (mut rounds, mut torn, mut last, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut others = String::new();
    while torn < 5 && rounds < 20 {
        rounds += 1;
        let oldest = last;
        scene.wait_for_snapshot(&format!("\"bob-{oldest}\"")).await;
        // One edit after the other, until a kill meets a write.
        let editing = async {
            loop {
                last += 1;
                scene.api.replace(bob_among_many(last));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let written = tokio::task::spawn_blocking({
            let beside = beside.clone();
            move || {
                let begun = Instant::now();
                while !beside.exists() {
                    assert!(begun.elapsed() < Duration::from_mins(1), "no snapshot is written");
                }
            }
        });
        tokio::select! {
            () = editing => {}
            written = written => written.unwrap(),
        }
        scene.server.crash();
        torn += usize::from(beside.exists());
        scene.line.cut().await;
        tokio::task::block_in_place(|| scene.server.start_again());
        let (asking, token, started) = (scene.asking(), fresh(&scene.bob), Instant::now());
        slowest = slowest.max(asking.until("bob", &token, started, |answer| name(answer).is_some()).await);
        let answer = asking.about(&token).await;
        let number: usize = name(&answer).unwrap().strip_prefix("bob-").unwrap().parse().unwrap();
        assert!((oldest..=last).contains(&number), "{number} is none of {oldest} to {last}");
        assert!(!scene.server.log_text().contains("cannot be used, and is ignored"), "a damaged snapshot");
        others = scene.others().await;
        scene.line.restore();
    }
    assert!(torn > 0, "no kill has met a write");
    table.add(
        &format!(
            "kill -9 while the snapshot is written: {torn} of {rounds} kills left half a file beside it"
        ),
        format!("in as bob, {rounds} times of {rounds}, by the mappings before or after, from disk"),
        others,
        format!("{} after the start, the slowest, without an API server", shown(slowest)),
    );
}

/// What became of the reviews that one client has sent.
#[derive(Default)]
struct Reviews {
    answered: AtomicUsize,
    refused: AtomicUsize,
    lost: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_under_load() {
    let mut table = Table::of("process: ended");
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n")
        .arg("--sts-cache-ttl", "0")
        .arg("--sts-access-key-qps", "0")
        .start();
    emulator.faults().set(Fault::Delay(Duration::from_millis(50)));
    let reviews = Arc::new(Reviews::default());
    let mut workers = Vec::new();
    for worker in 0..32 {
        // Four on a connection.
        if worker % 4 == 0 {
            workers.push((server.client(), Vec::new()));
        }
        let (client, tasks) = workers.last_mut().unwrap();
        let (client, url, reviews) = (client.clone(), server.url.clone(), Arc::clone(&reviews));
        let caller = principals.user(ACCOUNT, &format!("worker-{worker}"));
        tasks.push(tokio::spawn(async move {
            loop {
                let body = json!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                    "spec": {"token": fresh(&caller)},
                });
                let sent =
                    client.post(&url).header("content-type", "application/json").body(body.to_string());
                let answer: Result<Value, reqwest::Error> = match sent.send().await {
                    Ok(response) => response.bytes().await.map(|body| serde_json::from_slice(&body).unwrap()),
                    Err(error) => Err(error),
                };
                match answer {
                    Ok(answer) if answer["status"]["authenticated"] == true => {
                        reviews.answered.fetch_add(1, Ordering::Relaxed)
                    }
                    // It has not left: kube-apiserver sends it again.
                    Err(error) if error.is_connect() => {
                        reviews.refused.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    other => {
                        println!("lost: {other:?}");
                        reviews.lost.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                };
            }
        }));
    }
    while reviews.answered.load(Ordering::Relaxed) < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = reviews.answered.load(Ordering::Relaxed);
    let ended = Instant::now();
    server.signal("TERM");
    let status = tokio::task::block_in_place(|| server.wait());
    let took = ended.elapsed();
    for (_, tasks) in workers {
        for task in tasks {
            task.await.unwrap();
        }
    }
    assert_eq!(status.code(), Some(0));
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let after = count(&reviews.answered) - before;
    assert_eq!((count(&reviews.lost), count(&reviews.refused)), (0, 32));
    assert!(after > 0, "none was under way");
    // What STS was asked for the sake of a review was told as well.
    let (answered, calls) = (count(&reviews.answered), usize::try_from(emulator.calls()).unwrap());
    assert_eq!((answered, answered), (calls, server.audit().len()));
    let again = Instant::now();
    tokio::task::block_in_place(|| server.start_again());
    let asking = Asking::of(&server);
    asking.until("bob", &fresh(&bob), again, |answer| name(answer).is_some()).await;
    let recovery = again.elapsed();
    let forged = asking.until_denied(&fresh(&forger(&bob))).await;
    table.add(
        "TERM, 32 reviews at a time under way",
        format!(
            "all answered, {after} of them after the signal, within {}; none lost; then connections refused",
            shown(took)
        ),
        forged,
        format!("{} from the next start", shown(recovery)),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_file_descriptors() {
    let mut table = Table::of("process: file descriptors");
    let (emulator, principals) = emulator().await;
    let carol = principals.user(ACCOUNT, "carol");
    let server = Setup::new(&emulator, MAPPED).arg("--sts-access-key-qps", "0").after("ulimit -n 64").start();
    let known = Asking::of(&server);
    known.until_let_in(&fresh(&carol), "carol", Instant::now()).await;
    let port = server.url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    // Those beyond the limit wait in the kernel's queue, and take each place that becomes free.
    let idle: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap()).collect();
    until("all are taken", async || server.log_text().contains("cannot accept a connection")).await;
    let (mut times, mut got) = (Vec::new(), String::new());
    let mut others = String::new();
    for _ in 0..20 {
        let asked = Instant::now();
        let answer = known.about(&fresh(&carol)).await;
        got = told(&answer);
        assert_eq!(got, "in as carol", "{answer:?}");
        times.push(asked.elapsed());
        let forged = known.about(&fresh(&forger(&carol))).await;
        assert_eq!(name(&forged), None, "{forged:?}");
        others = told(&forged);
    }
    let ended = Instant::now();
    drop(idle);
    let newcomer = Asking::of(&server);
    newcomer.until_let_in(&fresh(&carol), "carol", ended).await;
    times.sort_unstable();
    table.add(
        "all of 64 descriptors taken by 100 idle connections",
        format!("{got} on the connection that it has: 20 of 20, the slowest after {}", shown(times[19])),
        others,
        format!("{} on a new connection, once they are gone", shown(ended.elapsed())),
    );
}
