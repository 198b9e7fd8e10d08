use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use super::{Usage, UsageError};
use crate::{
    control_plane::{bound_to_this_process, spawn},
    sts::Emulator,
};

const START_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How much of a log is shown where something went wrong, in bytes.
const LOG_END: u64 = 2_000;

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The program.
    pub program: &'a Path,
    /// The cluster ID of its tokens.
    pub cluster_id: &'a str,
    /// `mapRoles` and `mapUsers` of the configuration file, indented by two.
    pub mappings: &'a str,
    /// The emulator that is its STS.
    pub sts: &'a Emulator,
    /// How much arngate asks of it. aws-iam-authenticator has no limits.
    pub limits: Limits,
}

/// How much arngate asks of STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As much as where nobody says otherwise.
    Default,
    /// As much as it is asked: what is measured is the program, not its limits.
    Off,
}

/// A server of token reviews in a process of its own, which is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: tempfile::TempDir,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    url: String,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or process could not be had.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The emulator's CA could not be written.
    #[error(transparent)]
    Sts(#[from] crate::sts::Error),
    /// It ended.
    #[error("{program} ended ({status}) before it listened; the end of its log:\n{log}")]
    Ended {
        /// The program.
        program: String,
        /// How.
        status: ExitStatus,
        /// The log's end.
        log: String,
    },
    /// It is not there in time.
    #[error("{program} did not listen within {} s; the end of its log:\n{log}", START_WITHIN.as_secs())]
    Slow {
        /// The program.
        program: String,
        /// The log's end.
        log: String,
    },
    /// It does not end.
    #[error("{program} did not end within {} s of TERM", STOP_WITHIN.as_secs())]
    DoesNotEnd {
        /// The program.
        program: String,
    },
}

impl ServerError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl Server {
    /// Starts arngate, which is told the emulator's address.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub async fn arngate(settings: &Settings<'_>) -> Result<Self, ServerError> {
        Self::arngate_with(settings, &[]).await
    }

    /// The same with these flags beside those that it needs.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub async fn arngate_with(settings: &Settings<'_>, flags: &[OsString]) -> Result<Self, ServerError> {
        let prepared = Prepared::new(settings)?;
        let ca = prepared.folder.path().join("sts-ca.pem");
        let mut args: Vec<OsString> = vec![
            "--sts-connect-to".into(),
            settings.sts.address().to_string().into(),
            "--sts-ca-bundle".into(),
            ca.into(),
            "--health-port".into(),
            "0".into(),
        ];
        if settings.limits == Limits::Off {
            let off = ["--sts-qps", "0", "--sts-access-key-qps", "0", "--sts-concurrency", "2048"];
            args.extend(off.map(OsString::from));
        }
        args.extend_from_slice(flags);
        prepared.start(args, Vec::new()).await
    }

    /// Starts aws-iam-authenticator, which knows no other way to the emulator than the proxy variables.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub async fn authenticator(settings: &Settings<'_>) -> Result<Self, ServerError> {
        let prepared = Prepared::new(settings)?;
        let ca = prepared.folder.path().join("sts-ca.pem");
        let env = vec![
            ("AWS_REGION", "us-east-1".into()),
            ("HTTPS_PROXY", format!("http://{}", settings.sts.proxy_address()).into()),
            ("SSL_CERT_FILE", ca.into_os_string()),
        ];
        prepared.start(Vec::new(), env).await
    }

    /// Where reviews are posted.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The webhook kubeconfig that it has written.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("webhook.kubeconfig")
    }

    /// What it has cost so far.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn usage(&self) -> Result<Usage, UsageError> {
        Usage::of(self.child.id())
    }

    /// Ends it at once, as a crash does.
    ///
    /// # Errors
    /// Where it cannot be ended.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(drop)
            .map_err(ServerError::io("end the server"))
    }

    /// Ends it as TERM does, and waits for that.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        // The standard library knows KILL alone, and not every system has a kill program: the shell's own.
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status();
        sent.map_err(ServerError::io("send TERM"))?;
        let deadline = Instant::now() + STOP_WITHIN;
        while self.child.try_wait().map_err(ServerError::io("wait for the server"))?.is_none() {
            if Instant::now() > deadline {
                return Err(ServerError::DoesNotEnd { program: self.program.display().to_string() });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts it anew, on the same files and the same port.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub async fn start_again(&mut self) -> Result<(), ServerError> {
        let log = self.log();
        let from = fs::metadata(&log).map_or(0, |log| log.len());
        self.launch_again()?;
        self.url = listening(&mut self.child, &self.program, &log, from).await?;
        Ok(())
    }

    /// The same, without waiting until it listens: for whoever looks at how long that takes.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn launch_again(&mut self) -> Result<(), ServerError> {
        let authority = self.url.split('/').nth(2).unwrap_or_default();
        let port = authority.rsplit(':').next().unwrap_or_default().to_owned();
        let mut args = self.args.clone();
        args.extend(["--port".into(), port.into()]);
        self.child = launch(&self.program, &args, &self.env, &self.log())?;
        Ok(())
    }

    /// Its state directory, with the last good snapshot of aws-auth in it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's files.
struct Prepared {
    folder: tempfile::TempDir,
    program: PathBuf,
    args: Vec<OsString>,
}

impl Prepared {
    fn new(settings: &Settings<'_>) -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new().prefix("arngate-lab-server-").tempdir();
        let folder = folder.map_err(ServerError::io("make a temporary folder"))?;
        let path = |name: &str| folder.path().join(name);
        settings.sts.write_ca(&path("sts-ca.pem"))?;
        // JSON's quoting is YAML's.
        let quoted = |path: &Path| Value::from(path.display().to_string()).to_string();
        let config = format!(
            "clusterID: {}\nserver:\n  stateDir: {}\n  generateKubeconfig: {}\n  backendMode: [MountedFile]\n{}",
            Value::from(settings.cluster_id),
            quoted(&path("state")),
            quoted(&path("webhook.kubeconfig")),
            settings.mappings
        );
        fs::create_dir_all(path("state")).map_err(ServerError::io("make a folder"))?;
        fs::write(path("config.yaml"), config).map_err(ServerError::io("write the configuration"))?;
        let args = vec!["server".into(), "-l".into(), "json".into(), "-c".into(), path("config.yaml").into()];
        Ok(Self { program: settings.program.to_owned(), args, folder })
    }

    async fn start(
        self,
        args: Vec<OsString>,
        env: Vec<(&'static str, OsString)>,
    ) -> Result<Server, ServerError> {
        let args = [self.args, args].concat();
        let log = self.folder.path().join("log");
        let port: Vec<OsString> = vec!["--port".into(), "0".into()];
        let child = launch(&self.program, &[args.clone(), port].concat(), &env, &log)?;
        // From here on it is ended with this.
        let Self { folder, program, .. } = self;
        let mut server = Server { child, folder, program, args, env, url: String::new() };
        server.url = listening(&mut server.child, &server.program, &log, 0).await?;
        Ok(server)
    }
}

/// Starts a process that knows nothing of this one's environment, with its log in a file.
fn launch(
    program: &Path,
    args: &[OsString],
    env: &[(&'static str, OsString)],
    log: &Path,
) -> Result<Child, ServerError> {
    let file = fs::OpenOptions::new().create(true).append(true).open(log);
    let file = file.map_err(ServerError::io("make a log"))?;
    let mut command = bound_to_this_process(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        // A terminal's Ctrl-C ends the load first, which then ends this.
        .process_group(0);
    spawn(command).map_err(ServerError::io(format!("run {}", program.display())))
}

/// Waits until the log, from the byte `from` on, says where it listens.
async fn listening(child: &mut Child, program: &Path, log: &Path, from: u64) -> Result<String, ServerError> {
    let deadline = Instant::now() + START_WITHIN;
    loop {
        let text = read_from(log, from);
        if let Some(url) = text.lines().find_map(listening_line) {
            return Ok(url);
        }
        let program = program.display().to_string();
        let end = || read_from(log, fs::metadata(log).map_or(0, |log| log.len().saturating_sub(LOG_END)));
        if let Some(status) = child.try_wait().map_err(ServerError::io("wait for the server"))? {
            return Err(ServerError::Ended { program, status, log: end() });
        }
        if Instant::now() > deadline {
            return Err(ServerError::Slow { program, log: end() });
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn read_from(log: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(log) {
        // What cannot be read says nothing yet.
        let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The URL in arngate's line, or in aws-iam-authenticator's.
fn listening_line(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| line.get(key).and_then(Value::as_str);
    if text("message") == Some("listening") {
        return text("url").map(str::to_owned);
    }
    let address = text("msg")?.strip_prefix("listening on ")?;
    Some(format!("https://{address}/authenticate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_say_where_they_listen() {
        let ours = r#"{"level":"INFO","message":"listening","url":"https://localhost:1/authenticate"}"#;
        assert_eq!(listening_line(ours).as_deref(), Some("https://localhost:1/authenticate"));
        let theirs = r#"{"level":"info","msg":"listening on 127.0.0.1:2","time":"x"}"#;
        assert_eq!(listening_line(theirs).as_deref(), Some("https://127.0.0.1:2/authenticate"));
        for line in [r#"{"msg":"listening"}"#, "listening on 127.0.0.1:2", ""] {
            assert_eq!(listening_line(line), None, "{line}");
        }
    }
}
