//! What STS has said is remembered for a short while, and what is being asked is asked once.

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use arngate::{
    identity::Partition,
    outcome::{Denial, Unavailability},
    sts::{Client, ClientOptions, Endpoints, Limits, Refusal, Rejection, ShedReason, Source, Verifier},
    telemetry::Metrics,
    token::{PresignedRequest, parse},
};
use arngate_lab::sts::{Clock, Credentials, Emulator, Fault, Principals};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{ACCOUNT, CLUSTER_ID, Server, Setup, emulator, post, token, token_for};

const ACCOUNT_MAPPED: &str = "  mapAccounts: ['111122223333']\n";

fn review(token: &str) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}})
}

/// How the verdicts of the audit records so far came about.
fn sources(server: &Server) -> Vec<String> {
    let source = |record: &Value| record["sts_cache"].as_str().unwrap_or("none").to_owned();
    server.audit().iter().map(source).collect()
}

#[tokio::test]
async fn a_stampede_with_one_token_from_two_apiservers_is_one_call() {
    let (emulator, principals) = emulator().await;
    let token = token(&principals.user(ACCOUNT, "bob"));
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    emulator.faults().set(Fault::Delay(Duration::from_millis(300)));
    let apiservers =
        [(); 2].map(|()| server.client_builder().http2_prior_knowledge().build().expect("a client"));
    let body = review(&token);
    let answers = join_all((0..200).map(|number| post(&apiservers[number % 2], &server.url, &body))).await;
    for answer in &answers {
        assert_eq!(answer.user()["username"], "arn:aws:iam::111122223333:user/bob");
    }
    assert_eq!(emulator.calls(), 1, "200 reviews");
    let sources = sources(&server);
    let count = |wanted| sources.iter().filter(|source| **source == wanted).count();
    println!("200 reviews: {} asked, {} shared, {} remembered", count("miss"), count("shared"), count("hit"));
    assert_eq!((sources.len(), count("miss")), (200, 1));
    server.review(&token).await.user();
    assert_eq!(emulator.calls(), 1);
    assert!(server.metrics().await.contains(r#"sts_cache_lookups_total{result="miss"} 1"#));
}

#[tokio::test]
async fn whoever_asked_first_may_go_away() {
    let (emulator, principals) = emulator().await;
    let token = token(&principals.user(ACCOUNT, "bob"));
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    emulator.faults().set(Fault::Delay(Duration::from_millis(500)));
    let (client, url, body) = (server.client(), server.url.clone(), review(&token));
    let first = tokio::spawn(async move { post(&client, &url, &body).await });
    let deadline = Instant::now() + Duration::from_secs(20);
    while emulator.calls() == 0 {
        assert!(Instant::now() < deadline, "STS is not asked");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Its connection closes, and with it ends its request.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    server.review(&token).await.user();
    assert_eq!((emulator.calls(), emulator.connections()), (1, 1));
}

#[tokio::test]
async fn a_mapping_that_is_gone_lets_nobody_in_who_is_remembered() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mappings.json");
    let mappings =
        json!({"mapUsers": [{"userarn": format!("arn:aws:iam::{ACCOUNT}:user/bob"), "username": "bob"}]});
    fs::write(&file, mappings.to_string()).unwrap();
    let text = format!("  backendMode: [DynamicFile]\n  dynamicfilepath: {}\n", file.display());
    let server = Setup::new(&emulator, &text).start();
    server.wait_until_ready().await;
    server.review(&bob).await.user();

    fs::write(&file, "{}").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.review(&bob).await.body["status"]["authenticated"] == true {
        assert!(Instant::now() < deadline, "still let in:\n{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let audit = server.audit();
    let last = audit.last().unwrap();
    assert_eq!((&last["reason"], &last["sts_cache"]), (&json!("not_mapped"), &json!("hit")));
    assert_eq!(emulator.calls(), 1, "STS's word is remembered, what it leads to is not");
}

#[tokio::test]
async fn final_denials_are_remembered_and_nothing_that_may_change() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let forged = token(&Credentials { secret_access_key: "another".to_owned(), ..bob.clone() });
    let unknown = {
        let elsewhere = Principals::new();
        token(&elsewhere.user(ACCOUNT, "carol"))
    };
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    for _ in 0..3 {
        server.review(&forged).await.assert_final_denial();
    }
    assert_eq!(emulator.calls(), 1);
    for _ in 0..3 {
        server.review(&unknown).await.assert_passing_denial();
    }
    assert_eq!(emulator.calls(), 4, "a new key becomes known within seconds");

    let good = token(&bob);
    for fault in [Fault::Throttle, Fault::Reset, Fault::Status(http::StatusCode::BAD_GATEWAY)] {
        emulator.faults().set(fault.clone());
        let answer = server.review(&good).await;
        assert!(matches!(answer.code, 429 | 503), "{fault:?}: {answer:?}");
    }
    emulator.faults().clear();
    server.review(&good).await.user();
    assert_eq!(emulator.calls(), 8, "the lack of a verdict is not remembered");
    assert_eq!(
        sources(&server),
        ["miss", "hit", "hit", "miss", "miss", "miss", "miss", "miss", "miss", "miss"]
    );
}

#[tokio::test]
async fn switched_off_every_token_is_asked_about() {
    let (emulator, principals) = emulator().await;
    let token = token(&principals.user(ACCOUNT, "bob"));
    for (setup, calls) in [
        (Setup::new(&emulator, ACCOUNT_MAPPED).arg("--sts-cache-ttl", "0"), 3),
        (Setup::new(&emulator, &format!("{ACCOUNT_MAPPED}  stsCacheTTL: 0\n")), 6),
    ] {
        let server = setup.start();
        for _ in 0..3 {
            server.review(&token).await.user();
        }
        assert_eq!(emulator.calls(), calls);
    }
}

/// A verifier in this process, whose time the test says, and an STS that has the same time.
struct InProcess {
    emulator: Emulator,
    principals: Principals,
    verifier: Verifier,
    endpoints: Endpoints,
    start: Timestamp,
}

impl InProcess {
    async fn new(limits: Limits) -> Self {
        let start: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        let principals = Principals::new();
        let emulator = Emulator::builder()
            .principals(principals.clone())
            .clock(Clock::fixed(start))
            .start()
            .await
            .unwrap();
        let options = ClientOptions {
            connect_to: Some(emulator.address().to_string().parse().unwrap()),
            ca_bundle: Some(emulator.ca_file().to_owned()),
            ..ClientOptions::default()
        };
        let metrics = Metrics::new();
        let client = Client::new(&options, &CLUSTER_ID.parse().unwrap(), metrics.clone()).unwrap();
        let endpoints = Endpoints::new(Partition::Aws, None, &[]).unwrap();
        let verifier = Verifier::new(client, Partition::Aws, &endpoints, &limits, &metrics).unwrap();
        Self { emulator, principals, verifier, endpoints, start }
    }

    fn request(&self, credentials: &Credentials, signed_at: Timestamp) -> PresignedRequest {
        parse(&token_for(credentials, CLUSTER_ID, signed_at), &self.endpoints, signed_at).unwrap()
    }

    /// Verifies so many seconds after the start.
    async fn verify(&self, request: &PresignedRequest, seconds: i64) -> Result<Source, Refusal> {
        let now = self.start + SignedDuration::from_secs(seconds);
        self.emulator.clock().set(now);
        let verified = self.verifier.verify(request, now).await;
        verified.verdict.map(|_| verified.source)
    }
}

#[tokio::test]
async fn an_identity_is_believed_for_a_minute_and_not_past_its_tokens_end() {
    let this = InProcess::new(Limits::default()).await;
    let bob = this.principals.user(ACCOUNT, "bob");
    let request = this.request(&bob, this.start);
    assert_eq!(this.verify(&request, 0).await, Ok(Source::Sts));
    assert_eq!(this.verify(&request, 59).await, Ok(Source::Cache));
    assert_eq!(this.verify(&request, 60).await, Ok(Source::Sts));
    assert_eq!(this.verify(&request, 850).await, Ok(Source::Sts));
    assert_eq!(this.verify(&request, 899).await, Ok(Source::Cache));
    // The token's own end, 49 seconds after STS was asked.
    let refused = this.verify(&request, 901).await.unwrap_err();
    let Refusal::Denied(Denial::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    assert_eq!((rejection, this.emulator.calls()), (Rejection::SignatureDoesNotMatch, 4));
}

#[tokio::test]
async fn forgeries_in_somebodys_name_do_not_lock_them_out() {
    let limits = Limits {
        access_key_rate: 1.try_into().ok(),
        access_key_burst: 3.try_into().unwrap(),
        ..Limits::default()
    };
    let this = InProcess::new(limits).await;
    let user = this.principals.user(ACCOUNT, "bob");
    let role = this.principals.role(ACCOUNT, "Node", "i-0123456789abcdef0");
    let seconds = SignedDuration::from_secs;
    let [of_user, of_role] = [&user, &role].map(|credentials| this.request(credentials, this.start));
    for request in [&of_user, &of_role] {
        assert_eq!(this.verify(request, 0).await, Ok(Source::Sts));
        this.verifier.let_in(request);
    }
    let started = Instant::now();
    // Whoever forges knows the IDs of both keys, and no secret: neither the key nor the role's security token.
    for victim in [&user, &role] {
        let forger = Credentials {
            secret_access_key: "of the forger".to_owned(),
            session_token: victim.session_token.as_ref().map(|_| "another".to_owned()),
            ..victim.clone()
        };
        for second in 1..50 {
            let request = this.request(&forger, this.start - seconds(second));
            this.verify(&request, 0).await.unwrap_err();
        }
    }
    let most = 2 + 3 + 3 + 2 * (started.elapsed().as_secs() + 1);
    assert!(this.emulator.calls() <= most, "one key's calls are counted: {} calls", this.emulator.calls());

    let fresh = this.request(&role, this.start - seconds(1));
    assert_eq!(
        this.verify(&fresh, 1).await,
        Ok(Source::Sts),
        "the role's credentials are another's to nobody"
    );
    assert_eq!(this.verify(&of_user, 61).await, Ok(Source::Sts), "what was verified once goes on");

    // One call a second is left to them all; what the forger takes, bob has not.
    let forger = Credentials { secret_access_key: "of the forger".to_owned(), ..user.clone() };
    let mut shed = None;
    for second in 100..200 {
        let _ = this.verify(&this.request(&forger, this.start - seconds(second)), 61).await;
        match this.verify(&this.request(&user, this.start - seconds(second)), 61).await {
            Err(Refusal::Unavailable(Unavailability::Shed(refused))) => shed = Some(refused),
            other => assert_eq!(other, Ok(Source::Sts)),
        }
    }
    let shed = shed.expect("only a user's new tokens suffer");
    assert_eq!(shed.reason, ShedReason::AccessKey);
    assert!((1..=8).contains(&shed.retry_after), "{shed:?}");
}

#[tokio::test]
async fn a_connection_that_is_kept_warm_is_the_next_calls() {
    let (emulator, principals) = emulator().await;
    let options = ClientOptions {
        connect_to: Some(emulator.address().to_string().parse().unwrap()),
        ca_bundle: Some(emulator.ca_file().to_owned()),
        ..ClientOptions::default()
    };
    let client = Client::new(&options, &CLUSTER_ID.parse().unwrap(), Metrics::new()).unwrap();
    let now = Timestamp::now();
    let endpoints = Endpoints::new(Partition::Aws, None, &[]).unwrap();
    let request =
        parse(&token_for(&principals.user(ACCOUNT, "bob"), CLUSTER_ID, now), &endpoints, now).unwrap();
    for pings in 1..=3 {
        client.keep_warm(request.endpoint()).await;
        assert_eq!((emulator.pings(), emulator.connections(), emulator.calls()), (pings, 1, 0));
    }
    client.get_caller_identity(&request).await.unwrap();
    assert_eq!((emulator.connections(), emulator.calls()), (1, 1), "no new connection");
    // Nobody is there any more: nothing happens.
    drop(emulator);
    client.keep_warm(request.endpoint()).await;
}
