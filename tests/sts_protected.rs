//! STS is asked no more than it may be, whatever comes in; and what comes in does not shut out those who are
//! known.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arngate_lab::{
    hostile::{token as encode, url_of},
    sts::{Credentials, Emulator, Fault, Principals},
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{ACCOUNT, Answer, CLUSTER_ID, Server, Setup, emulator, post, token, token_for};

const ACCOUNT_MAPPED: &str = "  mapAccounts: ['111122223333']\n";

fn review(token: &str) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}})
}

/// Different tokens of the same credentials, the latest first.
fn tokens(credentials: &Credentials) -> impl Iterator<Item = String> + use<> {
    let (credentials, now) = (credentials.clone(), Timestamp::now());
    (0..800).map(move |second| token_for(&credentials, CLUSTER_ID, now - SignedDuration::from_secs(second)))
}

/// A value of the metrics.
async fn metric(server: &Server, name: &str) -> Option<f64> {
    let metrics = server.metrics().await;
    metrics.lines().find_map(|line| {
        let (found, value) = line.strip_prefix("aws_iam_authenticator_")?.rsplit_once(' ')?;
        (found == name).then(|| value.parse().ok()).flatten()
    })
}

async fn until_metric(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !metric(server, name).await.is_some_and(&wanted) {
        assert!(Instant::now() < deadline, "{name} does not come:\n{}", server.metrics().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[track_caller]
fn assert_shed(answer: &Answer, code: u16) {
    assert_eq!((answer.code, &answer.body["kind"]), (code, &json!("Status")), "{answer:?}");
    let seconds: u64 = answer.retry_after.as_deref().expect("Retry-After").parse().unwrap();
    assert!((1..=8).contains(&seconds), "{answer:?}");
}

#[tokio::test]
async fn one_access_key_has_its_limit_and_others_go_on() {
    let (emulator, principals) = emulator().await;
    let (bob, carol) = (principals.user(ACCOUNT, "bob"), principals.user(ACCOUNT, "carol"));
    let server = Setup::new(&emulator, &format!("{ACCOUNT_MAPPED}  stsAccessKeyQps: 1\n"))
        .arg("--sts-access-key-burst", "3")
        .start();
    let started = Instant::now();
    let mut let_in = 0;
    for token in tokens(&bob).take(30) {
        let answer = server.review(&token).await;
        if answer.code == 200 {
            answer.user();
            let_in += 1;
        } else {
            assert_shed(&answer, 429);
            assert_eq!(server.audit().last().unwrap()["reason"], "shed_access_key");
            server.review(&token_for(&carol, CLUSTER_ID, Timestamp::now())).await.user();
        }
    }
    let most = 3 + started.elapsed().as_secs() + 1;
    println!("30 tokens of one key: {let_in} let in, of {most} at most");
    assert!((3..=most).contains(&let_in), "{let_in}");
}

#[tokio::test]
async fn throttling_by_sts_is_told_and_respected_and_passes() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).arg("--sts-cache-ttl", "0").start();
    let mut tokens = tokens(&bob);
    server.review(&tokens.next().unwrap()).await.user();
    emulator.faults().set(Fault::Throttle);
    for token in tokens.by_ref().take(3) {
        server.review(&token).await.assert_no_verdict(429);
        assert_eq!(server.audit().last().unwrap()["reason"], "sts_throttled");
    }
    assert!(metric(&server, r#"sts_rate_share{lane="known"}"#).await.unwrap() < 1.0);
    emulator.faults().clear();
    server.review(&tokens.next().unwrap()).await.user();
    assert_eq!(metric(&server, r#"sts_circuits_open{StsRegion="us-east-1"}"#).await, None, "STS is there");
}

#[tokio::test]
async fn an_sts_that_is_gone_is_left_alone_until_it_is_back() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    let mut tokens = tokens(&bob);
    emulator.faults().set(Fault::Reset);
    let mut calls = 0;
    loop {
        let answer = server.review(&tokens.next().unwrap()).await;
        if server.audit().last().unwrap()["reason"] == "sts_circuit_open" {
            assert_shed(&answer, 503);
            break;
        }
        answer.assert_no_verdict(503);
        calls += 1;
        assert!(calls <= 5, "the circuit does not open");
    }
    assert_eq!(calls, 5);
    let (asked, started, mut reviews) = (emulator.calls(), Instant::now(), 0);
    for token in tokens.by_ref().take(200) {
        assert_eq!(server.review(&token).await.code, 503);
        reviews += 1;
    }
    // A probe a second at most, and what reqwest repeats of it on a new connection.
    let probes = emulator.calls() - asked;
    println!("STS gone: {probes} calls for {reviews} reviews in {:?}", started.elapsed());
    assert!(probes <= 2 * (started.elapsed().as_secs() + 1), "{probes}");
    assert_eq!(metric(&server, r#"sts_circuits_open{StsRegion="us-east-1"}"#).await, Some(1.0));

    emulator.faults().clear();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = server.review(&tokens.next().unwrap()).await;
        if answer.code == 200 {
            answer.user();
            break;
        }
        assert_shed(&answer, 503);
        assert!(Instant::now() < deadline, "STS is back, and nobody asks");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(metric(&server, r#"sts_circuits_open{StsRegion="us-east-1"}"#).await, Some(0.0));
    server.review(&tokens.next().unwrap()).await.user();
}

#[tokio::test]
async fn connections_are_reused_by_parallel_reviews() {
    let (emulator, principals) = emulator().await;
    let users: Vec<Credentials> =
        (0..16).map(|number| principals.user(ACCOUNT, &format!("user-{number}"))).collect();
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    let client = server.client_builder().http2_prior_knowledge().build().unwrap();
    join_all(users.iter().map(async |user| {
        for token in tokens(user).take(50) {
            post(&client, &server.url, &review(&token)).await.user();
        }
    }))
    .await;
    println!("{} calls on {} connections, 16 at a time", emulator.calls(), emulator.connections());
    assert_eq!(emulator.calls(), 800);
    assert!(emulator.connections() <= 32, "{}", emulator.connections());
}

/// Tokens that look like a client's and are nobody's: each with an access key of its own.
struct Forger {
    before: String,
    after: String,
    number: AtomicU64,
}

impl Forger {
    fn new() -> Self {
        let somebody = Principals::new().user(ACCOUNT, "nobody");
        let url = url_of(&token(&somebody));
        let (before, after) = url.split_once(&somebody.access_key_id).expect("the key is in the URL");
        Self { before: before.to_owned(), after: after.to_owned(), number: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        encode(format!("{}AKIA{number:016}{}", self.before, self.after).as_bytes())
    }
}

/// How long each of the users' new tokens took to be verified.
async fn verify_all(server: &Server, users: &[Credentials], rounds: std::ops::Range<i64>) -> Vec<Duration> {
    let client = server.client_builder().http2_prior_knowledge().build().unwrap();
    let now = Timestamp::now();
    let mut times = Vec::new();
    for round in rounds {
        for user in users {
            let body = review(&token_for(user, CLUSTER_ID, now - SignedDuration::from_secs(round)));
            let started = Instant::now();
            post(&client, &server.url, &body).await.user();
            times.push(started.elapsed());
        }
    }
    times.sort();
    times
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() - 1) * percent / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forged_tokens_shuts_nobody_out() {
    const RATE: u64 = 100;
    const BURST: u64 = 100;
    let principals = Principals::new();
    let emulator: Emulator = Emulator::builder().principals(principals.clone()).start().await.unwrap();
    let users: Vec<Credentials> =
        (0..20).map(|number| principals.role(ACCOUNT, &format!("role-{number}"), "session")).collect();
    let server = Setup::new(&emulator, ACCOUNT_MAPPED)
        .arg("--sts-qps", &RATE.to_string())
        .arg("--sts-burst", &BURST.to_string())
        .start();
    emulator.faults().set(Fault::Delay(Duration::from_millis(5)));
    let started = Instant::now();
    let before = verify_all(&server, &users, 0..3).await;

    let forger = Arc::new(Forger::new());
    let over = Arc::new(AtomicBool::new(false));
    let flood: Vec<_> = (0..2)
        .map(|_| {
            let (forger, over, url) = (Arc::clone(&forger), Arc::clone(&over), server.url.clone());
            let client = server.client_builder().http2_prior_knowledge().build().unwrap();
            tokio::spawn(async move {
                let answers = join_all((0..60).map(async |_| {
                    let (mut denied, mut shed) = (0_u64, 0_u64);
                    while !over.load(Ordering::Relaxed) {
                        let answer = post(&client, &url, &review(&forger.next())).await;
                        if answer.code == 200 {
                            answer.assert_passing_denial();
                            denied += 1;
                        } else {
                            assert_shed(&answer, 429);
                            shed += 1;
                        }
                    }
                    (denied, shed)
                }));
                answers.await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            })
        })
        .collect();
    // Not before the flood has used up what strangers have.
    until_metric(&server, r#"sts_calls_shed_total{lane="stranger",reason="shed_overload"}"#, |shed| {
        shed > 0.0
    })
    .await;
    let during_from = Instant::now();
    let during = verify_all(&server, &users, 3..6).await;
    let lasted = during_from.elapsed();
    over.store(true, Ordering::Relaxed);
    let (mut denied, mut shed) = (0, 0);
    for task in flood {
        let (one, other) = task.await.unwrap();
        denied += one;
        shed += other;
    }
    let calls = emulator.calls();
    let most = BURST + RATE * (started.elapsed().as_secs() + 1);
    println!(
        "flood: {} forged tokens, {denied} denied by STS, {shed} shed; known tokens meanwhile: {} of {} in {lasted:?}",
        denied + shed,
        during.len(),
        during.len(),
    );
    println!(
        "known tokens, median and 99th percentile: {:?} and {:?} before, {:?} and {:?} during",
        percentile(&before, 50),
        percentile(&before, 99),
        percentile(&during, 50),
        percentile(&during, 99),
    );
    println!("STS calls: {calls}, of {most} at most, on {} connections", emulator.connections());
    assert!(calls <= most, "{calls} calls, {most} at most");
    assert!(shed > denied, "a flood that is none: {shed} shed, {denied} denied");
    assert_eq!(during.len(), 60);
    let shed = metric(&server, r#"sts_calls_shed_total{lane="known",reason="shed_overload"}"#).await;
    assert_eq!(shed, None, "nobody who is known is cut off");
}
