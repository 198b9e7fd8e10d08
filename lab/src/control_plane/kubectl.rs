use std::env;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Assets, Directory, Error};

const LIMIT: Duration = Duration::from_secs(30);

/// What came of a run of kubectl.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

/// Runs kubectl with no environment but `PATH`, and a home where nobody's
/// configuration or discovery cache is.
pub(super) async fn run(
    assets: &Assets,
    directory: &Directory,
    kubeconfig: &Path,
    args: &[&str],
    input: &str,
) -> Result<Output, Error> {
    let kubectl = assets.kubectl();
    let failed = || Error::io(format!("run {}", kubectl.display()));
    let mut command = Command::new(&kubectl);
    command
        .args(args)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory.home())
        .env("KUBECONFIG", kubeconfig)
        .current_dir(directory.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed())?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // It may end without reading its input.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let run = async { tokio::join!(feed, child.wait_with_output()).1 };
    let timed_out = |_| Error::KubectlTimeout { args: args.join(" "), waited: LIMIT };
    let output = tokio::time::timeout(LIMIT, run).await.map_err(timed_out)?.map_err(failed())?;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
