//! Connections: accepted, bounded, encrypted, and at the end drained.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::Answer,
    certificate::Tls,
    connections::{Arriving, Connections, Place},
};
use crate::telemetry::{Closed, Metrics};

/// How many connections a port has at most. A control plane has a handful of API servers with a connection each, and
/// file descriptors have to be left for STS where a process has 1,024.
pub const MAX_CONNECTIONS: usize = 512;
/// The same of a port for probes and scrapers.
pub const MAX_PROBE_CONNECTIONS: usize = 64;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be open before the head of its first request has come.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take over HTTP/1, the idle time before it included.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long nothing may be asked on a connection.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// How often a quiet HTTP/2 connection is asked whether it lives, and how long it has to say so.
const PING: Duration = Duration::from_secs(30);
/// How many requests one HTTP/2 connection has under way at most. kube-apiserver opens one connection.
const MAX_STREAMS: u32 = 250;
/// How many streams a client may have reset that the server has not looked at, and for how many of its own mistakes
/// the server resets streams, before it ends the connection (CVE-2023-44487, CVE-2025-8671).
const MAX_RESETS: usize = 20;
const MAX_MISTAKES: usize = 100;
/// How many bytes of a body may be on their way to a request that has not read them yet, and to all requests of
/// a connection together.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How long requests under way have to end at shutdown. With the rest of the way out it stays below 10 s.
const DRAIN: Duration = Duration::from_secs(9);
/// How long a client may take to leave an idle connection. It may have sent a request before it heard of the end.
const LEAVE: Duration = Duration::from_secs(10);
/// The longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// It has shown a certificate, and that was good.
    pub certified: bool,
}

/// A port that is served.
#[derive(Debug)]
pub struct Port {
    /// Where connections come in.
    pub listener: TcpListener,
    /// Plain HTTP where absent.
    pub tls: Option<Arc<Tls>>,
    /// How many connections there are at most.
    pub connections: usize,
    /// What they are counted in.
    pub metrics: Metrics,
}

/// Serves `port` until `shutdown` ends; then finishes the requests under way, within `DRAIN`.
///
/// `answer` gets each request and who sent it.
pub async fn serve<A, F>(port: Port, answer: A, shutdown: impl Future<Output = ()>)
where
    A: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Infallible>> + Send + 'static,
{
    let Port { listener, tls, connections, metrics } = port;
    let connections = Connections::new(connections, metrics.clone());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, address, place)) = accepted else {
            continue;
        };
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        let (answer, metrics, stop) = (answer.clone(), metrics.clone(), stop.clone());
        tasks.spawn(async move {
            let Some(acceptor) = acceptor else {
                let peer = Peer { address, certified: false };
                return converse(stream, peer, answer, place, &metrics, &stop).await;
            };
            // Who has not even said hello has no review under way that a shutdown would wait for.
            let handshake = tokio::select! {
                handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => handshake,
                () = stop.cancelled() => return,
                () = place.needed() => return,
            };
            match handshake {
                Ok(Ok(stream)) => {
                    // One that was shown has been checked by now.
                    let certified = stream.get_ref().1.peer_certificates().is_some();
                    converse(stream, Peer { address, certified }, answer, place, &metrics, &stop).await;
                }
                Ok(Err(error)) => {
                    metrics.connection_closed(Closed::HandshakeFailed);
                    tracing::debug!(client = %address, %error, "TLS handshake failed");
                }
                Err(_) => {
                    metrics.connection_closed(Closed::HandshakeTimeout);
                    tracing::debug!(client = %address, "TLS handshake took too long");
                }
            }
        });
    }
    // From here on connections are refused, so that a client turns to whoever listens next.
    drop(listener);
    stop.cancel();
    tasks.close();
    if timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "requests were still under way at the end of the shutdown");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    match listener.accept().await {
        Ok((stream, client)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%client, %error, "TCP_NODELAY cannot be set");
            }
            Some((stream, client, connections.take().await))
        }
        Err(error) => {
            // Mostly a lack of file descriptors: without a pause this would spin until one is free.
            tracing::warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_MISTAKES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    builder
}

async fn converse<S, A, F>(
    stream: S,
    peer: Peer,
    answer: A,
    place: Place,
    metrics: &Metrics,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Arriving>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Infallible>> + Send + 'static,
{
    let client = peer.address;
    let place = Arc::new(place);
    let service = service_fn({
        let place = Arc::clone(&place);
        move |request: Request<Incoming>| {
            let progress = place.asked();
            let request = request.map(|body| Arriving::new(body, progress.clone()));
            let answer = answer(request, peer);
            async move {
                let answer = answer.await;
                drop(progress);
                answer
            }
        }
    });
    let builder = http();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut quiet = pin!(quiet(&place));
    // Until when the client has to be gone, once it was told to.
    let mut leave_by = None;
    loop {
        let left = async {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%client, %error, "a connection ended early");
                }
                return;
            }
            () = place.needed() => return tracing::debug!(%client, "a connection made room for another"),
            () = stop.cancelled(), if leave_by.is_none() => {
                // Whoever drains says for how long.
                leave_by = Some(Instant::now() + DRAIN + LEAVE);
                connection.as_mut().graceful_shutdown();
            }
            // hyper's own timers start with the first bytes; without one more, connections on which nobody ever says
            // anything would fill the port.
            why = quiet.as_mut(), if leave_by.is_none() => {
                metrics.connection_closed(why);
                if why == Closed::NothingAsked {
                    return tracing::debug!(%client, "a connection on which nothing was asked");
                }
                leave_by = Some(Instant::now() + LEAVE);
                connection.as_mut().graceful_shutdown();
            }
            () = left => return tracing::debug!(%client, "a client did not leave an idle connection"),
        }
    }
}

/// Ends when a connection has been quiet for too long.
async fn quiet(place: &Place) -> Closed {
    loop {
        let until = match place.quiet_since() {
            Some((since, ever_asked)) => {
                let (within, why) = if ever_asked {
                    (IDLE_TIMEOUT, Closed::Idle)
                } else {
                    (FIRST_REQUEST_TIMEOUT, Closed::NothingAsked)
                };
                if since.elapsed() >= within {
                    return why;
                }
                since + within
            }
            None => Instant::now() + IDLE_TIMEOUT,
        };
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests;
