//! kube-apiserver's part: it asks over a connection that it keeps, and asks again where there is no verdict.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use arngate_lab::sts::Credentials;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Answer, CLUSTER_ID, Server, post, token_for};

/// Who is mapped in the configuration file, for those who need no API server.
pub(crate) const MAPPED: &str = "  mapUsers:
  - {userarn: 'arn:aws:iam::111122223333:user/bob', username: bob}
  - {userarn: 'arn:aws:iam::111122223333:user/carol', username: carol}
";

/// How long anything may take to be well again until the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after an answer it is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// A client of one server.
pub(crate) struct Asking {
    client: reqwest::Client,
    url: String,
}

impl Asking {
    pub(crate) fn of(server: &Server) -> Self {
        Self { client: server.client(), url: server.url.clone() }
    }

    pub(crate) async fn about(&self, token: &str) -> Answer {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        post(&self.client, &self.url, &review).await
    }

    /// Asks about all of them at the same time.
    pub(crate) async fn about_all(&self, tokens: &[String]) -> Vec<Answer> {
        join_all(tokens.iter().map(|token| self.about(token))).await
    }

    /// Asks about one token until `wanted` holds of the answer; how long that took since `start`.
    pub(crate) async fn until(
        &self,
        what: &str,
        token: &str,
        start: Instant,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Duration {
        loop {
            let answer = self.about(token).await;
            if wanted(&answer) {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {answer:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks until somebody is let in as `username`.
    pub(crate) async fn until_let_in(&self, token: &str, username: &str, start: Instant) -> Duration {
        self.until(username, token, start, |answer| name(answer) == Some(username)).await
    }

    /// Asks until there is a verdict, which has to be a denial; what was told.
    pub(crate) async fn until_denied(&self, token: &str) -> String {
        let start = Instant::now();
        loop {
            let answer = self.about(token).await;
            assert_eq!(name(&answer), None, "let in: {answer:?}");
            if answer.code == 200 {
                return told(&answer);
            }
            assert!(start.elapsed() < PATIENCE, "no verdict: {answer:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The username of whoever was let in.
pub(crate) fn name(answer: &Answer) -> Option<&str> {
    let status = &answer.body["status"];
    (answer.code == 200 && status["authenticated"] == Value::Bool(true))
        .then(|| status["user"]["username"].as_str().unwrap())
}

/// An answer in few words.
pub(crate) fn told(answer: &Answer) -> String {
    match (name(answer), answer.code) {
        (Some(name), _) => format!("in as {name}"),
        (None, 200) if answer.body["status"]["error"].is_string() => "denied for now".to_owned(),
        (None, 200) => "denied".to_owned(),
        (None, code) => {
            // Without it kube-apiserver would not ask again.
            assert!(answer.retry_after.is_some(), "{answer:?}");
            code.to_string()
        }
    }
}

/// The different things that were told, in order of their words.
pub(crate) fn all_told(answers: &[Answer]) -> String {
    let words: BTreeSet<String> = answers.iter().map(told).collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// A token that is no other's, signed now or some seconds ago: what is signed with one key in one second is one token.
pub(crate) fn fresh(credentials: &Credentials) -> String {
    static SIGNED: LazyLock<Mutex<HashSet<(String, Timestamp)>>> = LazyLock::new(Mutex::default);
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    // Half a minute before it is over.
    let seconds = (0..14 * 60 + 30).map(|ago| now - SignedDuration::from_secs(ago));
    let mut signed = SIGNED.lock().unwrap();
    let key = |time| (credentials.secret_access_key.clone(), time);
    let time = seconds
        .into_iter()
        .find(|time| signed.insert(key(*time)))
        .expect("tokens of these seconds are used up");
    token_for(credentials, CLUSTER_ID, time)
}

/// So many different tokens of one principal.
pub(crate) fn several(credentials: &Credentials, number: usize) -> Vec<String> {
    (0..number).map(|_| fresh(credentials)).collect()
}

/// Somebody who knows the ID of a key, and not the key.
pub(crate) fn forger(of: &Credentials) -> Credentials {
    Credentials { secret_access_key: of.secret_access_key.chars().rev().collect(), ..of.clone() }
}

/// A time as it stands in the table.
pub(crate) fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// The reasons in the log from line `from` on, in the order of their first appearance.
pub(crate) fn reasons(server: &Server, from: usize) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for record in &server.audit()[from..] {
        let reason = record["reason"].as_str().unwrap();
        if !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
    }
    reasons.join(", ")
}

/// Waits until `wanted` holds; how long it took.
pub(crate) async fn until(what: &str, mut wanted: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !wanted().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(PAUSE).await;
    }
    start.elapsed()
}
