use std::time::Duration;

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Accepts connections and serves each in a task of its own until `stop`, which ends them as well.
pub(crate) async fn accept<F>(listener: TcpListener, stop: CancellationToken, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Where it fails, answers only come later.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(stop.clone().run_until_cancelled_owned(serve(stream)));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    // Out of file descriptors, most likely: some are given back meanwhile.
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await;
}
