//! The emulator's TLS listener: HTTP/1.1 with keep-alive, as STS speaks it.
use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
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
    log::StsLog,
    query::Parameters,
    service::Service,
};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may be idle, and a request's head take.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
const BODY_WITHIN: Duration = Duration::from_secs(10);
const BODY_LIMIT: usize = 64 * 1024;
/// In how many pieces a slow body comes.
const SLOW_PIECES: usize = 16;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What all connections of an emulator share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) service: Service,
    pub(super) faults: Faults,
    pub(super) log: StsLog,
    pub(super) request_ids: RequestIds,
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset, as asked for")]
struct Reset;

/// Serves until `stop`; then connections end at once.
pub(super) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    server: Arc<Server>,
    stop: CancellationToken,
) {
    accept(listener, stop, |stream| connection(stream, tls.clone(), Arc::clone(&server))).await;
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
        let Meeting { fault, latency } = self.faults.next(Instant::now());
        let result = self.result(&head, &body.to_bytes(), &fault);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let Some(result) = result else {
            return no_answer(fault).await;
        };
        let format = Format::of(head.headers.get(header::ACCEPT));
        let answer = Answer::new(&result, format, self.request_ids.next());
        let answer = match fault {
            Fault::Delay(delay) => {
                sleep(delay).await;
                answer
            }
            Fault::SlowBody(lasting) => return Ok(answer.into_response().map(|body| slowly(body, lasting))),
            Fault::Oversized(by) => answer.oversized(by),
            _ => answer,
        };
        Ok(answer.into_response().map(whole))
    }

    /// What STS says to a request, which is also put on record. `None` if it says nothing, and so does nothing.
    fn result(&self, head: &Parts, body: &[u8], fault: &Fault) -> Option<Result<Success, Failure>> {
        let query = Parameters::of_query(head.uri.query().unwrap_or_default());
        let form = if is_form(head) { Parameters::of_form(body) } else { Some(Parameters::default()) };
        let malformed = query.is_none() || form.is_none();
        let (query, form) = (query.unwrap_or_default(), form.unwrap_or_default());
        let request = Received {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: &query,
            headers: &head.headers,
            body,
        };
        let result = match fault {
            Fault::None | Fault::Delay(_) | Fault::SlowBody(_) | Fault::Oversized(_) => {
                let failure = malformed.then(Failure::malformed_query);
                Ok(failure.map_or_else(|| self.service.call(&request, &form), Err))
            }
            Fault::Throttle => Ok(Err(Failure::throttling())),
            Fault::Status(status) => Ok(Err(Failure::service(*status))),
            Fault::Redirect(_) => Err("Redirect"),
            Fault::Body(..) => Err("Body"),
            Fault::Reset => Err("Reset"),
            Fault::Hang => Err("Hang"),
        };
        let outcome = match &result {
            Ok(Ok(_)) => "Success",
            Ok(Err(failure)) => failure.code,
            Err(fault) => fault,
        };
        let action = query.get("Action").or_else(|| form.get("Action"));
        self.record(&request, action, outcome);
        result.ok()
    }

    fn record(&self, request: &Received<'_>, action: Option<&str>, outcome: &'static str) {
        let access_key_id = request.access_key_id();
        tracing::debug!(host = request.header("host"), action, access_key_id, outcome, "request");
        let known = access_key_id.is_some_and(|key| self.service.principals.get(key).is_some());
        let record = Record {
            method: request.method.to_owned(),
            host: request.header("host").unwrap_or_default().to_owned(),
            cluster_id: request.header("x-k8s-aws-id").map(str::to_owned),
            action: action.map(str::to_owned),
            access_key_id: access_key_id.map(str::to_owned),
            outcome,
        };
        self.log.request(record, known);
    }
}

fn is_form(head: &Parts) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    head.method == Method::POST
        && content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
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
