use std::time::Duration;

use super::process::Process;
use super::{Assets, Directory, Error, readiness};

/// How long etcd may take to stop.
pub(super) const GRACE: Duration = Duration::from_secs(5);
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Starts etcd and waits until it is healthy.
pub(super) async fn start(assets: &Assets, directory: &Directory, port: u16) -> Result<Process, Error> {
    let url = format!("http://127.0.0.1:{port}");
    let args = [
        "--name=arngate-lab".to_owned(),
        format!("--data-dir={}", directory.path("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--socket-reuse-port=true".to_owned(),
        // It has no peers.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        // What a crash of the machine would lose is worth nothing here.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    let mut etcd = Process::start("etcd", &assets.etcd(), &args, directory, &directory.path("etcd.log"))?;
    let client = readiness::client().build()?;
    readiness::wait(&mut etcd, &client, &format!("{url}/health"), READY_WITHIN).await?;
    Ok(etcd)
}
