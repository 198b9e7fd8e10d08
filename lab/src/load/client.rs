//! HTTP/2 as kube-apiserver's Go client speaks it: requests share a connection up to its limit of streams, and
//! where that is reached another connection is made.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::Mutex as AsyncMutex, time::timeout};
use tokio_rustls::TlsConnector;

use super::{AnswerKind, Target, Via};

/// The most connections to a target.
const MOST_CONNECTIONS: usize = 256;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a failed connection speaks for those that wait for one.
const FAILURE_LASTS: Duration = Duration::from_millis(20);
/// How often a request is sent that a server on its way out has not looked at.
const ATTEMPTS: u32 = 4;
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// What an API server is asked.
const SELF_REVIEW: &[u8] = br#"{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}"#;

/// A client of one target.
pub struct Client {
    target: Target,
    tls: TlsConnector,
    timeout: Duration,
    /// How many connections there are at least.
    connections: usize,
    links: Mutex<Vec<Link>>,
    /// When a connection last could not be made; held while one is made.
    failed: AsyncMutex<Option<Instant>>,
    next: AtomicUsize,
    opened: AtomicU64,
}

/// A connection.
#[derive(Clone)]
struct Link {
    sender: SendRequest<Full<Bytes>>,
    in_flight: Arc<AtomicUsize>,
    /// How many streams the server allows.
    streams: Arc<AtomicUsize>,
    /// Whether the server takes no more requests on it.
    closing: Arc<AtomicBool>,
}

/// A connection with a stream that is free for whoever has this.
struct Stream(Link);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// There is no connection, or it broke.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        reason: String,
    },
    /// The connection broke before an answer had come.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl SendError {
    /// As what it counts.
    #[must_use]
    pub fn kind(&self) -> AnswerKind {
        match self {
            Self::Connect { .. } | Self::Broken(_) => AnswerKind::Transport,
            Self::TimedOut(_) => AnswerKind::TimedOut,
        }
    }
}

impl Client {
    /// A client with at least `connections` connections, each as a kube-apiserver of its own would have, that
    /// waits so long for each answer.
    #[must_use]
    pub fn new(target: Target, connections: usize, timeout: Duration) -> Self {
        let tls = TlsConnector::from(Arc::clone(&target.tls));
        Self {
            target,
            tls,
            timeout,
            connections: connections.clamp(1, MOST_CONNECTIONS),
            links: Mutex::default(),
            failed: AsyncMutex::default(),
            next: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// Whom it asks.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How many connections it has made.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Makes the connections that there are to be from the beginning.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub async fn connect(&self) -> Result<(), SendError> {
        while self.links().len() < self.connections {
            let link = self.dial().await?;
            self.links().push(link);
        }
        Ok(())
    }

    /// Sends what [`super::Source`] has made for this kind of target, and says what came of it.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, payload: Bytes) -> Result<AnswerKind, SendError> {
        match timeout(self.timeout, self.exchange(payload)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::TimedOut(self.timeout)),
        }
    }

    async fn exchange(&self, payload: Bytes) -> Result<AnswerKind, SendError> {
        let broken = |error: &dyn std::error::Error| SendError::Broken(chain(error));
        let mut request = self.request(payload);
        let mut attempts = ATTEMPTS;
        let (answer, _stream) = loop {
            attempts -= 1;
            let again = request.clone();
            let mut stream = self.stream().await?;
            let mut failed = match stream.0.sender.try_send_request(request).await {
                Ok(answer) => break (answer, stream),
                Err(failed) => failed,
            };
            // As Go's client: what the server says that it has not looked at is sent again on another connection.
            if attempts == 0 || failed.take_message().is_none() && !is_unprocessed(failed.error()) {
                return Err(broken(failed.error()));
            }
            stream.0.closing.store(true, Ordering::Relaxed);
            request = again;
        };
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| broken(&*error))?.to_bytes();
        Ok(match self.target.via {
            Via::Webhook(_) => AnswerKind::of_review(head.status, &body),
            Via::ApiServer => AnswerKind::of_self_review(head.status),
        })
    }

    fn request(&self, payload: Bytes) -> Request<Full<Bytes>> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let (body, bearer) = match self.target.via {
            Via::Webhook(_) => (payload, None),
            Via::ApiServer => (Bytes::from_static(SELF_REVIEW), HeaderValue::from_maybe_shared(payload).ok()),
        };
        let mut request = Request::post(self.target.uri.clone())
            .header(header::CONTENT_TYPE, JSON)
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "arngate-lab")
            .body(Full::new(body))
            .unwrap_or_default();
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        request
    }

    /// A connection with a free stream: one that there is, or a new one.
    async fn stream(&self) -> Result<Stream, SendError> {
        if let Some(stream) = self.free() {
            return Ok(stream);
        }
        let mut failed = self.failed.lock().await;
        // Whoever had the lock before may have made one.
        if let Some(stream) = self.free() {
            return Ok(stream);
        }
        if failed.is_some_and(|when| when.elapsed() < FAILURE_LASTS) {
            let reason = "the last attempt has just failed".to_owned();
            return Err(SendError::Connect { address: self.target.address, reason });
        }
        let link = match self.dial().await {
            Ok(link) => link,
            Err(error) => {
                *failed = Some(Instant::now());
                return Err(error);
            }
        };
        *failed = None;
        link.in_flight.fetch_add(1, Ordering::Relaxed);
        self.links().push(link.clone());
        Ok(Stream(link))
    }

    /// A connection that has a stream free; where there may be no more connections, the least used one.
    fn free(&self) -> Option<Stream> {
        let mut links = self.links();
        links.retain(|link| !link.sender.is_closed() && !link.closing.load(Ordering::Relaxed));
        if links.len() < self.connections {
            return None;
        }
        let used = |link: &Link| link.in_flight.load(Ordering::Relaxed);
        let start = self.next.fetch_add(1, Ordering::Relaxed) % links.len().max(1);
        // Those that are wanted take turns, and those beyond are only used where all of these are full.
        let turn = start % self.connections;
        let (first, beyond) = links.split_at(self.connections);
        let turns = first.iter().cycle().skip(turn).take(first.len());
        let found = turns.chain(beyond).find(|link| used(link) < link.streams.load(Ordering::Relaxed));
        let found = match found {
            Some(found) => found,
            None if links.len() >= MOST_CONNECTIONS => links.iter().min_by_key(|link| used(link))?,
            None => return None,
        };
        found.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Stream(found.clone()))
    }

    async fn dial(&self) -> Result<Link, SendError> {
        let address = self.target.address;
        let failed = |reason: String| SendError::Connect { address, reason };
        let dialled = async {
            let stream = TcpStream::connect(address).await.map_err(|error| failed(error.to_string()))?;
            // Where it fails, requests only go out later.
            let _ = stream.set_nodelay(true);
            let stream = self.tls.connect(self.target.server_name.clone(), stream).await;
            let stream = stream.map_err(|error| failed(error.to_string()))?;
            let handshake = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .handshake(TokioIo::new(stream))
                .await;
            let (sender, mut connection) = handshake.map_err(|error| failed(chain(&error)))?;
            let streams = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
            let allowed = Arc::clone(&streams);
            tokio::spawn(async move {
                let ended = poll_fn(|context| {
                    let ended = Pin::new(&mut connection).poll(context);
                    // The server says it first after the beginning, and may say it anew.
                    allowed.store(connection.current_max_send_streams(), Ordering::Relaxed);
                    ended
                });
                if let Err(error) = ended.await {
                    tracing::debug!(%error, "a connection to the target ended");
                }
            });
            Ok(Link { sender, in_flight: Arc::default(), streams, closing: Arc::default() })
        };
        let link = timeout(CONNECT_WITHIN, dialled)
            .await
            .unwrap_or_else(|_| Err(failed(format!("not within {CONNECT_WITHIN:?}"))))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(link)
    }

    // A panic elsewhere leaves the list whole.
    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server says that it has done nothing about a request: a connection that it ends in an orderly way
/// (RFC 9113, 6.8), as kube-apiserver does after it has refused a token, or a stream that it refuses (8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let http2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    http2.is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
                || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
