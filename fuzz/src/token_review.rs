//! TokenReviews, through the router that kube-apiserver reaches, with an STS that is not there.
//!
//! **Property.** Nobody is let in. An answer is of the version that was asked in, and consists of nothing but texts of
//! a closed list and numbers: no part of the token can be in it. Nor is the signature or the security token in a log
//! line, at any verbosity.
//!
//! Input: a body. Where its token begins with `https://`, it is encoded as clients do; `NOW` and `TODAY` in it stand
//! for the present.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use arngate::{
    authenticator::Authenticator,
    config::{File, ServerFlags, ServerSettings},
    ec2,
    mapping::{BackendMode, Chain, CurrentChain},
    sts::{Client, Verifier},
    telemetry::Metrics,
    token::PREFIX,
    webhook::{listener::Peer, router::Router},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Runtime;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

/// Everybody of an account is mapped, and nobody listens on the discard port.
const CONFIG: &str = "clusterID: fuzz\nserver:\n  stsConnectTo: 127.0.0.1:9\n  ec2ConnectTo: 127.0.0.1:9\n  \
                      mapAccounts: ['111122223333']\n  audiences: [fuzz]\n";

/// A shorter text may stand in a log line by chance.
const TELLING: usize = 32;

/// Every text that an answer consists of, with 0 for each number.
const TEXTS: [&str; 18] = [
    "authentication.k8s.io/v0",
    "authentication.k8s.io/v0beta0",
    "TokenReview",
    "the token was signed more than 0 minutes in the future: one of the two clocks is wrong",
    "v0",
    "Status",
    "Failure",
    "BadRequest",
    "RequestEntityTooLarge",
    "TooManyRequests",
    "ServiceUnavailable",
    "the body is no TokenReview of authentication.k0s.io/v0 or v0beta0: it stops being one at line 0, column 0",
    "a body has at most 0 bytes",
    "no verdict from STS: cannot connect to STS",
    "no verdict from STS: STS did not answer in time",
    "too many tokens wait to be verified by STS; see server.stsQps and server.stsConcurrency",
    "too many tokens of this access key; see server.stsAccessKeyQps",
    "STS's host has not answered for a while, and is asked only from time to time",
];

static LOG: Log = Log(Mutex::new(Vec::new()));
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
static ROUTER: LazyLock<Arc<Router>> = LazyLock::new(|| {
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| &LOG).with_ansi(false).init();
    let _guard = RUNTIME.enter();
    let file = File::parse(Path::new("config.yaml"), CONFIG).expect("the configuration is one");
    let settings = ServerSettings::new(file, None, &ServerFlags::default()).expect("it holds");
    let metrics = Metrics::new();
    let client = Client::new(&settings.sts, &settings.cluster_id, metrics.clone()).expect("a client");
    let verifier =
        Verifier::new(client, settings.partition, &settings.endpoints, &settings.sts_limits, &metrics);
    let (backend, publisher) = BackendMode::MountedFile.backend();
    publisher.publish(settings.mounted);
    let authenticator = Authenticator {
        verifier: verifier.expect("a verifier"),
        ec2: ec2::Resolver::start(settings.ec2, metrics.clone()).expect("a resolver"),
        endpoints: settings.endpoints,
        chain: Arc::new(CurrentChain::new(Chain::new(vec![backend]))),
        scrubbed_accounts: settings.scrubbed_accounts,
    };
    Arc::new(Router::new(authenticator, settings.audiences, metrics))
});

/// Looks at a body.
pub fn check(data: &[u8]) {
    let body = with_encoded_token(data).unwrap_or_else(|| data.to_vec());
    // In what it passes over, the server's reader takes bytes that are no UTF-8.
    let asked: Value = serde_json::from_str(&String::from_utf8_lossy(&body)).unwrap_or_default();
    let request = Request::post("/authenticate").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body))).expect("it is a request");
    let client = Peer { address: ([127, 0, 0, 1], 1).into(), certified: false };
    let router = Arc::clone(&ROUTER);
    LOG.take();
    let answer = RUNTIME.block_on(async {
        let answer = router.route(request, client).await.expect("there is always an answer");
        let code = answer.status().as_u16();
        (code, answer.into_body().collect().await.expect("it is whole").to_bytes())
    });
    let (code, body) = answer;
    let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    closed(&answer);
    if code == 200 {
        assert_eq!(answer["apiVersion"], asked["apiVersion"]);
        assert_eq!(answer["status"]["authenticated"], false, "{answer}");
        assert!(answer["spec"].as_object().is_some_and(serde_json::Map::is_empty), "{answer}");
    } else {
        assert!(matches!(code, 400 | 413 | 429 | 503), "{code}: {answer}");
        assert_eq!(answer["code"], code);
    }
    if let Some(token) = asked["spec"]["token"].as_str() {
        nothing_is_logged_of(token, &LOG.take());
    }
}

/// The body with its token encoded, where it has one that is a URL.
fn with_encoded_token(data: &[u8]) -> Option<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(data).ok()?;
    let token = body.get_mut("spec")?.get_mut("token")?;
    let url = token.as_str()?.strip_prefix("https://")?;
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let url = url.replace("NOW", &now).replace("TODAY", &now[..8]);
    *token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(format!("https://{url}"))).into();
    serde_json::to_vec(&body).ok()
}

/// Sees that every text of `answer` is in the list.
fn closed(answer: &Value) {
    match answer {
        Value::String(text) => {
            let mut numbers = String::new();
            for c in text.chars() {
                let c = if c.is_ascii_digit() { '0' } else { c };
                if c != '0' || !numbers.ends_with('0') {
                    numbers.push(c);
                }
            }
            let is_known = TEXTS.iter().any(|known| known.replace("k8s", "k0s") == numbers);
            assert!(is_known, "{text:?} is in an answer");
        }
        Value::Array(values) => values.iter().for_each(closed),
        Value::Object(fields) => fields.values().for_each(closed),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn nothing_is_logged_of(token: &str, log: &str) {
    let mut secrets = vec![token.to_owned()];
    let url = token.strip_prefix(PREFIX).and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    let url = url.and_then(|url| String::from_utf8(url).ok());
    if let Some(url) = url {
        let parsed = Url::parse(&url).ok();
        let pairs = parsed
            .iter()
            .flat_map(|url| url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())));
        secrets.extend(
            pairs
                .filter(|(name, _)| name.ends_with("Signature") || name.ends_with("Token"))
                .map(|(_, value)| value),
        );
        secrets.push(url);
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= TELLING) {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
}

/// The log's lines since the last look at them.
struct Log(Mutex<Vec<u8>>);

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.lines())).into_owned()
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
