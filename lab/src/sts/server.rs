//! The emulator's TLS listener: HTTP/1.1 with keep-alive, as STS and EC2 speak it.
use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::fmt::rfc2822::DateTimePrinter;
use rustls::ServerConfig;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Fault, Faults, Record,
    accept::accept,
    answer::{Answer, Format, RequestIds, Success},
    canonical::Received,
    failure::Failure,
    fault::Meeting,
    hosts::{Endpoint, Service},
    log::StsLog,
    query::Parameters,
    service::Sts,
};
use crate::ec2::{self, Ec2, Instance};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may be idle, and a request's head take.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
const BODY_WITHIN: Duration = Duration::from_secs(10);
const BODY_LIMIT: usize = 64 * 1024;
/// In how many pieces a slow body comes.
const SLOW_PIECES: usize = 16;
/// A piece of what makes a body too long.
static BLANKS: [u8; 16 * 1024] = [b' '; 16 * 1024];

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What all connections of an emulator share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) sts: Sts,
    pub(super) ec2: Ec2,
    /// STS's; EC2 has its own.
    pub(super) faults: Faults,
    pub(super) log: StsLog,
    pub(super) request_ids: RequestIds,
    pub(super) front: Front,
}

/// What connections begin with, and what ends them.
#[derive(Debug)]
pub(super) struct Front(Mutex<(Arc<ServerConfig>, CancellationToken)>);

impl Front {
    pub(super) fn new(tls: ServerConfig) -> Self {
        Self(Mutex::new((Arc::new(tls), CancellationToken::new())))
    }

    /// Has new connections begin with `tls`, which resumes no older session, and ends those that there are.
    pub(super) fn replace(&self, tls: ServerConfig) {
        let (_, old) = std::mem::replace(&mut *self.state(), (Arc::new(tls), CancellationToken::new()));
        old.cancel();
    }

    // Every change is one assignment.
    fn state(&self) -> MutexGuard<'_, (Arc<ServerConfig>, CancellationToken)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a service says to a request.
enum Said {
    Sts(Result<Success, Failure>),
    Ec2(Result<Vec<Instance>, Failure>),
}

/// A request, whole.
struct Whole<'a> {
    request: Received<'a>,
    form: &'a Parameters,
    /// Neither query nor form can be read.
    malformed: bool,
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset, as asked for")]
struct Reset;

/// Serves until `stop`; then connections end at once.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>, stop: CancellationToken) {
    accept(listener, stop, |stream| {
        let (tls, end) = server.front.state().clone();
        let serve = connection(stream, TlsAcceptor::from(tls), Arc::clone(&server));
        async move {
            end.run_until_cancelled_owned(serve).await;
        }
    })
    .await;
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, server: Arc<Server>) {
    let stream = match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "no TLS connection"),
        Err(_) => return tracing::debug!("no TLS connection in time"),
    };
    server.log.connection();
    let service = service_fn(|request| Box::pin(server.handle(request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    match ended {
        Ok(()) => drop(stream.shutdown().await),
        Err(error) if error.source().is_some_and(<dyn Error>::is::<Reset>) => {
            // The peer gets a TCP reset when the stream is dropped, not an orderly end.
            let _ = stream.get_ref().0.set_zero_linger();
        }
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}

impl Server {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Reset> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect();
        let Ok(Ok(body)) = timeout(BODY_WITHIN, body).await else {
            return Err(Reset);
        };
        let body = body.to_bytes();
        let query = Parameters::of_query(head.uri.query().unwrap_or_default());
        let form = if is_form(&head) { Parameters::of_form(&body) } else { Some(Parameters::default()) };
        let malformed = query.is_none() || form.is_none();
        let (query, form) = (query.unwrap_or_default(), form.unwrap_or_default());
        let request = Received {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: &query,
            headers: &head.headers,
            body: &body,
        };
        let asked = Whole { request, form: &form, malformed };
        let service = asked.service();
        if service == Service::Sts && head.method == Method::GET && head.uri == "/" {
            self.log.ping();
            return Ok(front_page());
        }
        let now = Instant::now();
        let Meeting { fault, latency } = match service {
            Service::Sts => self.faults.next(now),
            Service::Ec2 => self.ec2.instances.faults().next(now),
        };
        let said = self.answer(service, &asked, &fault);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let Some(said) = said else {
            return no_answer(fault).await;
        };
        if let Fault::Delay(delay) = fault {
            sleep(delay).await;
        }
        let id = self.request_ids.next();
        let mut response = match said {
            Said::Sts(result) => {
                let format = Format::of(head.headers.get(header::ACCEPT));
                Answer::new(&result, format, id).into_response()
            }
            Said::Ec2(result) => ec2::Answer::new(&result, &id).into_response(),
        };
        // By its own clock, as everything that it says of time.
        if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&self.sts.access.clock.now())
            && let Ok(date) = HeaderValue::try_from(date)
        {
            response.headers_mut().insert(header::DATE, date);
        }
        Ok(match fault {
            Fault::SlowBody(lasting) => response.map(|body| slowly(body, lasting)),
            Fault::Oversized(by) => response.map(|body| padded(body, by)),
            _ => response.map(whole),
        })
    }

    /// What a service says to a request, which is also put on record. `None` if it says nothing, and so does
    /// nothing.
    fn answer(&self, service: Service, asked: &Whole<'_>, fault: &Fault) -> Option<Said> {
        let Whole { request, form, malformed } = asked;
        let failed = |failure| match service {
            Service::Sts => Said::Sts(Err(failure)),
            Service::Ec2 => Said::Ec2(Err(failure)),
        };
        let said = match fault {
            Fault::None | Fault::Delay(_) | Fault::SlowBody(_) | Fault::Oversized(_) if *malformed => {
                Ok(failed(Failure::malformed_query()))
            }
            Fault::None | Fault::Delay(_) | Fault::SlowBody(_) | Fault::Oversized(_) => Ok(match service {
                Service::Sts => Said::Sts(self.sts.call(request, form)),
                Service::Ec2 => Said::Ec2(self.ec2.call(request, form)),
            }),
            Fault::Throttle => Ok(failed(match service {
                Service::Sts => Failure::throttling(),
                Service::Ec2 => ec2::throttling(),
            })),
            Fault::Status(status) => Ok(failed(Failure::service(*status))),
            Fault::Redirect(_) => Err("Redirect"),
            Fault::Body(..) => Err("Body"),
            Fault::Reset => Err("Reset"),
            Fault::Hang => Err("Hang"),
        };
        let outcome = match &said {
            Ok(Said::Sts(Ok(_)) | Said::Ec2(Ok(_))) => "Success",
            Ok(Said::Sts(Err(failure)) | Said::Ec2(Err(failure))) => failure.code,
            Err(fault) => fault,
        };
        self.record(asked, outcome);
        said.ok()
    }

    fn record(&self, asked: &Whole<'_>, outcome: &'static str) {
        let request = &asked.request;
        let action = asked.get("Action");
        let access_key_id = request.access_key_id();
        tracing::debug!(host = request.header("host"), action, access_key_id, outcome, "request");
        let known = access_key_id.is_some_and(|key| self.sts.access.principals.get(key).is_some());
        let record = Record {
            method: request.method.to_owned(),
            host: request.header("host").unwrap_or_default().to_owned(),
            cluster_id: request.header("x-k8s-aws-id").map(str::to_owned),
            action: action.map(str::to_owned),
            instances: ec2::ids(|name| asked.get(name)),
            access_key_id: access_key_id.map(str::to_owned),
            outcome,
        };
        self.log.request(record, known);
    }
}

impl Whole<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.request.query.get(name).or_else(|| self.form.get(name))
    }

    /// Whose host was asked; where a program was given the emulator's own address, whose API.
    fn service(&self) -> Service {
        let host = self.request.header("host").unwrap_or_default().to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        match Endpoint::of(name) {
            Some(endpoint) => endpoint.service,
            None if Ec2::is_meant(self.get("Version")) => Service::Ec2,
            None => Service::Sts,
        }
    }
}

fn is_form(head: &Parts) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    head.method == Method::POST
        && content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// What STS says to whoever asks for nothing: that there is a page about it elsewhere.
fn front_page() -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("https://aws.amazon.com/iam"));
    response
}

/// What happens in place of an answer of STS's.
async fn no_answer(fault: Fault) -> Result<Response<Body>, Reset> {
    let (status, name, value, body) = match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Redirect(url) => (StatusCode::FOUND, header::LOCATION, url, Bytes::new()),
        Fault::Body(content_type, body) => (StatusCode::OK, header::CONTENT_TYPE, content_type, body),
        _ => return Err(Reset),
    };
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    // A redirect to what no header can hold leads nowhere, which is a fault as well.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

fn whole(body: Bytes) -> Body {
    Full::new(body).boxed_unsync()
}

/// A body with so many blanks behind it, of which one piece is in memory however many they are.
fn padded(body: Bytes, blanks: usize) -> Body {
    let piece = Bytes::from_static(&BLANKS);
    let pieces = stream::unfold(blanks, move |left| {
        let piece = piece.slice(..left.min(BLANKS.len()));
        async move { (left > 0).then(|| (Ok(Frame::data(piece.clone())), left - piece.len())) }
    });
    StreamBody::new(stream::iter([Ok(Frame::data(body))]).chain(pieces)).boxed_unsync()
}

/// A body that comes in pieces, the last after `lasting`.
fn slowly(body: Bytes, lasting: Duration) -> Body {
    let pause = lasting / u32::try_from(SLOW_PIECES).unwrap_or(u32::MAX);
    let size = body.len().div_ceil(SLOW_PIECES).max(1);
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(pause).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}
