//! The instance metadata service, version 2: a token first, then the instance's region and its role's credentials.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::sts::{Credentials, Error, accept::accept};

const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long the role's credentials are good, as the service says.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(6);
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// An instance's metadata service on a free port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct Metadata {
    _stop: DropGuard,
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What the instance says of itself.
#[derive(Debug)]
struct Served {
    region: String,
    role: String,
    credentials: Credentials,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    credentials: AtomicU64,
    without_token: AtomicU64,
}

impl Metadata {
    /// Starts that of an instance in `region` whose role `name` has these `credentials`. Needs a tokio runtime's
    /// context.
    ///
    /// # Errors
    /// If it can't listen.
    pub async fn start(region: &str, name: &str, credentials: Credentials) -> Result<Self, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, seen) = (CancellationToken::new(), Arc::<Seen>::default());
        let (region, role) = (region.to_owned(), name.to_owned());
        let served = Arc::new(Served { region, role, credentials, seen: Arc::clone(&seen) });
        tokio::spawn(accept(listener, stop.clone(), move |stream| connection(stream, Arc::clone(&served))));
        Ok(Self { _stop: stop.drop_guard(), address, seen })
    }

    /// The variables by which AWS's programs find it.
    #[must_use]
    pub fn env(&self) -> [(String, String); 2] {
        [
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), format!("http://{}", self.address)),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "false".to_owned()),
        ]
    }

    /// How often the credentials were fetched.
    #[must_use]
    pub fn credentials_fetched(&self) -> u64 {
        self.seen.credentials.load(Ordering::Relaxed)
    }

    /// How many requests came without a token, as those of version 1 do.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.seen.without_token.load(Ordering::Relaxed)
    }
}

async fn connection(stream: TcpStream, served: Arc<Served>) {
    let service = service_fn(|request| {
        let answer = served.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the metadata service ended early");
    }
}

impl Served {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // Whatever forwards requests must not fetch tokens for others.
        if request.headers().contains_key("x-forwarded-for") {
            return text(StatusCode::FORBIDDEN, "");
        }
        if request.uri().path() == "/latest/api/token" {
            return match (request.method(), header(TTL).and_then(|ttl| ttl.parse::<u32>().ok())) {
                (&Method::PUT, Some(ttl @ 1..=21_600)) => {
                    let mut answer = text(StatusCode::OK, &self.token());
                    answer.headers_mut().insert(TTL, ttl.into());
                    answer
                }
                (&Method::PUT, _) => text(StatusCode::BAD_REQUEST, ""),
                _ => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            };
        }
        if header(TOKEN) != Some(self.token().as_str()) {
            self.seen.without_token.fetch_add(1, Ordering::Relaxed);
            return text(StatusCode::UNAUTHORIZED, "");
        }
        match request.uri().path() {
            "/latest/meta-data/placement/region" => text(StatusCode::OK, &self.region),
            ROLES => text(StatusCode::OK, &self.role),
            path if path.strip_prefix(ROLES) == Some(&self.role) => {
                self.seen.credentials.fetch_add(1, Ordering::Relaxed);
                text(StatusCode::OK, &self.credentials())
            }
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }

    /// Of this instance alone; nobody has to guess it.
    fn token(&self) -> String {
        format!("AQAE{}", self.credentials.access_key_id)
    }

    fn credentials(&self) -> String {
        let now = Timestamp::now();
        json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": format!("{now:.0}"),
            "AccessKeyId": self.credentials.access_key_id,
            "SecretAccessKey": self.credentials.secret_access_key,
            "Token": self.credentials.session_token,
            "Expiration": format!("{:.0}", now + GOOD_FOR),
        })
        .to_string()
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}
