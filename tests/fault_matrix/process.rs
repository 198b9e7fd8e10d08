//! The process itself: killed, ended, out of file descriptors.

use std::{
    collections::BTreeMap,
    fs,
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
    support::{ACCOUNT, Answer, Setup, emulator},
    table::Table,
};

/// bob among so many that writing them takes a while.
fn bob_among_many(username: &str) -> BTreeMap<String, String> {
    let names: Vec<String> = (0..1500).map(|number| format!("somebody-{number:04}")).collect();
    let mut listed: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "somebody")).collect();
    listed.push(("bob", username));
    users(&listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_writing_the_snapshot() {
    let mut table = Table::of("process: killed");
    let mut scene = Scene::new(bob_among_many("bob-0"), true, Setup::start).await;
    let beside = scene.server.path("state/aws-auth.snapshot.new");
    let (mut rounds, mut torn, mut old, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut others = String::new();
    while torn < 5 && rounds < 25 {
        let before = format!("bob-{rounds}");
        scene.wait_for_snapshot(&format!("\"{before}\"")).await;
        rounds += 1;
        let after = format!("bob-{rounds}");
        scene.api.replace(bob_among_many(&after));
        tokio::task::block_in_place(|| {
            let begun = Instant::now();
            while !beside.exists() {
                assert!(begun.elapsed() < Duration::from_secs(30), "no snapshot is written");
            }
            scene.server.crash();
        });
        torn += usize::from(beside.exists());
        scene.line.cut().await;
        tokio::task::block_in_place(|| scene.server.start_again());
        let started = Instant::now();
        let asking = scene.asking();
        let wanted = [before.as_str(), after.as_str()];
        let token = fresh(&scene.bob);
        let is_either = |answer: &Answer| name(answer).is_some_and(|name| wanted.contains(&name));
        slowest = slowest.max(asking.until("bob, as before or after", &token, started, is_either).await);
        old += usize::from(name(&asking.about(&token).await) == Some(&before));
        others = scene.others().await;
        assert!(!scene.server.log_text().contains("cannot be used, and is ignored"), "a damaged snapshot");
        scene.line.restore();
    }
    assert!(torn > 0, "no kill has met a write");
    table.add(
        &format!(
            "kill -9 while the snapshot is written: {torn} of {rounds} kills left half a file beside it"
        ),
        format!("from disk, API server away: {old} times the old mappings, {} the new", rounds - old),
        others,
        format!("{} after the start, the slowest", shown(slowest)),
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
    let mut server =
        Setup::new(&emulator, MAPPED).arg("--sts-cache-ttl", "0").arg("--sts-access-key-qps", "0").start();
    emulator.faults().set(Fault::Delay(Duration::from_millis(50)));
    let reviews = Arc::new(Reviews::default());
    let mut workers = Vec::new();
    for worker in 0..32 {
        // Four on a connection.
        if worker % 4 == 0 {
            workers.push((server.client(), Vec::new()));
        }
        let (client, tasks) = workers.last_mut().unwrap();
        let (client, url, bob, reviews) =
            (client.clone(), server.url.clone(), bob.clone(), Arc::clone(&reviews));
        tasks.push(tokio::spawn(async move {
            loop {
                let body = json!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                    "spec": {"token": fresh(&bob)},
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
                        reviews.lost.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        }));
    }
    while reviews.answered.load(Ordering::Relaxed) < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (before, calls) = (reviews.answered.load(Ordering::Relaxed), emulator.calls());
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
    assert_eq!(emulator.calls(), u64::try_from(count(&reviews.answered)).unwrap(), "{calls} before the end");
    let again = Instant::now();
    tokio::task::block_in_place(|| server.start_again());
    let asking = Asking::of(&server);
    asking.until_let_in(&fresh(&bob), "bob", again).await;
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
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, MAPPED).arg("--sts-access-key-qps", "0").after("ulimit -n 64").start();
    let known = Asking::of(&server);
    known.until_let_in(&fresh(&bob), "bob", Instant::now()).await;
    let port = server.url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    // Those beyond the limit wait in the kernel's queue, and take each place that becomes free.
    let idle: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap()).collect();
    until("all are taken", async || server.log_text().contains("cannot accept a connection")).await;
    let (mut times, mut got) = (Vec::new(), String::new());
    let mut others = String::new();
    for _ in 0..20 {
        let asked = Instant::now();
        let answer = known.about(&fresh(&bob)).await;
        got = told(&answer);
        assert_eq!(got, "in as bob", "{answer:?}");
        times.push(asked.elapsed());
        let forged = known.about(&fresh(&forger(&bob))).await;
        assert_eq!(name(&forged), None, "{forged:?}");
        others = told(&forged);
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let ended = Instant::now();
    drop(idle);
    let newcomer = Asking::of(&server);
    newcomer.until_let_in(&fresh(&bob), "bob", ended).await;
    times.sort_unstable();
    table.add(
        &format!("{descriptors} of 64 descriptors taken by 200 idle connections"),
        format!("{got} on the connection that it has: 20 of 20, the slowest after {}", shown(times[19])),
        others,
        format!("{} on a new connection, once they are gone", shown(ended.elapsed())),
    );
}
