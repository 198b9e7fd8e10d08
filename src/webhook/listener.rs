//! Connections: accepted, bounded, encrypted, and at the end drained.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;

/// How many connections are open at most. A control plane has a handful of API servers with a connection each.
const MAX_CONNECTIONS: usize = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be open before its first request has come whole.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take, the idle time before it included.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// How often a quiet HTTP/2 connection is asked whether it lives, and how long it has to say so.
const PING: Duration = Duration::from_secs(30);
/// How many requests one HTTP/2 connection has under way at most. kube-apiserver opens one connection.
const MAX_STREAMS: u32 = 250;
/// How many bytes of a body may be on their way to a request that has not read them yet, and to all requests of
/// a connection together.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How long requests under way have to end at shutdown. With the rest of the way out it stays below 10 s.
const DRAIN: Duration = Duration::from_secs(9);
/// The longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Serves `listener` until `shutdown` ends; then finishes the requests under way, within `DRAIN`.
///
/// With `tls` absent it speaks plain HTTP. `answer` gets each request and the address that it came from.
pub async fn serve<A, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: A,
    shutdown: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, std::convert::Infallible>> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let stop = CancellationToken::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, client, permit)) = accepted else {
            continue;
        };
        let (tls, answer, watcher, stop) = (tls.clone(), answer.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tls {
                Some(tls) => {
                    let handshake = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
                    // Who has not even said hello has no review under way that a shutdown would wait for.
                    match stop.run_until_cancelled(handshake).await {
                        Some(Ok(Ok(stream))) => converse(stream, client, answer, watcher).await,
                        Some(Ok(Err(error))) => tracing::debug!(%client, %error, "TLS handshake failed"),
                        Some(Err(_)) => tracing::debug!(%client, "TLS handshake took too long"),
                        None => {}
                    }
                }
                None => converse(stream, client, answer, watcher).await,
            }
        });
    }
    // From here on connections are refused, so that a client turns to whoever listens next.
    drop(listener);
    stop.cancel();
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "requests were still under way at the end of the shutdown");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%client, %error, "TCP_NODELAY cannot be set");
            }
            Some((stream, client, permit))
        }
        Err(error) => {
            // Mostly a lack of file descriptors: without a pause this would spin until one is free.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn converse<S, A, F>(
    stream: S,
    client: SocketAddr,
    answer: A,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, std::convert::Infallible>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    // hyper's own timers start with the first bytes; without one more, connections on which nobody ever says
    // anything would fill the port.
    let asked = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.store(true, Ordering::Relaxed);
            answer(request, client)
        }
    });
    let silence = async {
        tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%client, %error, "a connection ended early");
            }
        }
        () = silence => tracing::debug!(%client, "a connection on which nothing was asked"),
    }
}
