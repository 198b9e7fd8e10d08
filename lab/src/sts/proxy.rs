//! An HTTP proxy whose whole outside world is the emulator.
use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{accept::accept, hosts::Endpoint};

const HEAD_WITHIN: Duration = Duration::from_secs(10);
const HEAD_LIMIT: usize = 16 * 1024;
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);

/// Serves until `stop`. CONNECT to port 443 of STS's and EC2's hosts leads to `emulator`; nothing leads anywhere else.
pub(super) async fn serve(listener: TcpListener, emulator: SocketAddr, stop: CancellationToken) {
    let tunnels = stop.clone();
    accept(listener, stop, |stream| connection(stream, emulator, tunnels.clone())).await;
}

async fn connection(stream: TcpStream, emulator: SocketAddr, stop: CancellationToken) {
    let service = service_fn(|request| {
        let answer = answer(request, emulator, &stop);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the proxy ended early");
    }
}

async fn answer(
    request: Request<Incoming>,
    emulator: SocketAddr,
    stop: &CancellationToken,
) -> Response<Full<Bytes>> {
    if !leads_to_aws(&request) {
        tracing::info!(method = %request.method(), uri = %request.uri(), "refused by the proxy");
        let why = "This proxy only does CONNECT to port 443 of STS's and EC2's host names.\n";
        return plain(StatusCode::FORBIDDEN, why);
    }
    let Ok(target) = TcpStream::connect(emulator).await else {
        return plain(StatusCode::BAD_GATEWAY, "The emulator takes no connection.\n");
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(tunnel(request, target)));
    plain(StatusCode::OK, "")
}

fn leads_to_aws(request: &Request<Incoming>) -> bool {
    let host = |authority: &http::uri::Authority| {
        authority.port_u16() == Some(443) && Endpoint::of(&authority.host().to_ascii_lowercase()).is_some()
    };
    request.method() == Method::CONNECT && request.uri().authority().is_some_and(host)
}

async fn tunnel(request: Request<Incoming>, mut target: TcpStream) {
    let _ = target.set_nodelay(true);
    let Ok(Ok(client)) = timeout(UPGRADE_WITHIN, hyper::upgrade::on(request)).await else {
        return;
    };
    // Where one side ends early, the other sees it.
    let _ = copy_bidirectional(&mut TokioIo::new(client), &mut target).await;
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
