//! The real binary, started and asked from outside.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]

pub mod verify;
pub mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use arngate::{
    sts::Endpoint,
    token::{ClusterId, presign},
};
use arngate_lab::sts::{Credentials, Emulator, Principals};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The cluster ID that the tests' tokens are signed for.
pub const CLUSTER_ID: &str = "test-cluster";
/// The region whose STS they name.
pub const REGION: &str = "us-east-1";
/// The account of everybody.
pub const ACCOUNT: &str = "111122223333";

/// An STS emulator with a role, a user, and whoever a test adds.
pub async fn emulator() -> (Emulator, Principals) {
    let principals = Principals::new();
    let emulator = Emulator::builder().principals(principals.clone()).start().await.unwrap();
    (emulator, principals)
}

/// A token of `credentials` for this cluster, signed now.
pub fn token(credentials: &Credentials) -> String {
    token_for(credentials, CLUSTER_ID, Timestamp::now())
}

/// A token of `credentials` for `cluster_id`, signed at `time`.
pub fn token_for(credentials: &Credentials, cluster_id: &str, time: Timestamp) -> String {
    let credentials = aws_credential_types::Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "lab",
    );
    let cluster_id: ClusterId = cluster_id.parse().unwrap();
    presign(&credentials, &cluster_id, &Endpoint::regional(REGION).unwrap(), time)
        .unwrap()
        .expose()
        .to_owned()
}

/// A command of the binary under test that sees no AWS or proxy setting of whoever runs the tests. `ARNGATE_BINARY` names
/// another build of it.
pub fn arngate() -> Command {
    let binary = std::env::var_os("ARNGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_arngate").into());
    let mut command = Command::new(binary);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// A server to be started.
pub struct Setup {
    folder: tempfile::TempDir,
    config: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    prelude: &'static str,
}

impl Setup {
    /// With the emulator as STS, any free port, and `server` as further lines of the file's `server` section
    /// (each indented by two).
    pub fn new(emulator: &Emulator, server: &str) -> Self {
        let setup = Self::without_sts(server);
        let ca = setup.path("sts-ca.pem");
        emulator.write_ca(&ca).unwrap();
        setup
            .arg("--sts-connect-to", &emulator.address().to_string())
            .arg("--sts-ca-bundle", ca.to_str().unwrap())
    }

    /// As `new`, but with no way to STS other than what the test adds.
    pub fn without_sts(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let kubeconfig = folder.path().join("webhook.kubeconfig");
        let config = format!(
            "clusterID: {CLUSTER_ID}\nserver:\n  port: 0\n  healthPort: 0\n  stateDir: {}\n  generateKubeconfig: {}\n{server}",
            state.display(),
            kubeconfig.display(),
        );
        Self { folder, config, args: Vec::new(), env: Vec::new(), prelude: "" }
    }

    /// Has a shell do `prelude` before it becomes the server.
    pub fn after(self, prelude: &'static str) -> Self {
        Self { prelude, ..self }
    }

    pub fn arg(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, and waits until it listens.
    pub fn start(self) -> Server {
        let Self { folder, config, args, env, prelude } = self;
        let file = folder.path().join("config.yaml");
        fs::write(&file, config).unwrap();
        let log = folder.path().join("log");
        let child = spawn(&file, &args, &env, prelude, &log);
        let (url, health) = (String::new(), String::new());
        let mut server = Server { child, folder, args, env, prelude, log, url, health };
        server.wait_until_it_listens(0);
        server
    }
}

fn spawn(file: &Path, args: &[String], env: &[(String, String)], prelude: &str, log: &Path) -> Child {
    let append = |path: &Path| fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut command = arngate();
    if !prelude.is_empty() {
        let program = command.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        shell.args(["-c", &format!("{prelude}; exec \"$@\""), "sh"]).arg(program).stdin(Stdio::null());
        command = shell;
    }
    command
        .args(["server", "-l", "json", "-v", "trace", "-c"])
        .arg(file)
        .args(args)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .stdout(append(&log.with_file_name("stdout")))
        .stderr(append(log))
        .spawn()
        .unwrap()
}

/// A running server. It is killed when dropped.
pub struct Server {
    child: Child,
    folder: tempfile::TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    prelude: &'static str,
    log: PathBuf,
    /// `https://localhost:PORT/authenticate`
    pub url: String,
    /// `http://127.0.0.1:PORT/healthz`
    pub health: String,
}

impl Server {
    /// Waits until it has listened more often than `before`.
    fn wait_until_it_listens(&mut self, before: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let lines = self.log_lines();
            let last = |message: &str| lines.iter().rev().find(|line| line["message"] == message).cloned();
            if let (Some(listening), true) = (last("listening"), self.starts() > before) {
                self.url = listening["url"].as_str().map(str::to_owned).unwrap();
                if let Some(health) = last("health checks") {
                    let port = health["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
                    self.health = format!("http://127.0.0.1:{port}/healthz");
                }
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("arngate ended with {status}:\n{}", self.log_text());
            }
            assert!(Instant::now() < deadline, "arngate does not listen:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on standard output, which is nothing as a rule.
    pub fn stdout_text(&self) -> String {
        fs::read_to_string(self.path("stdout")).unwrap_or_default()
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The whole lines of the log so far.
    pub fn log_lines(&self) -> Vec<Value> {
        let text = self.log_text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The audit records so far.
    pub fn audit(&self) -> Vec<Value> {
        self.log_lines().into_iter().filter(|line| line["target"] == "arngate::audit").collect()
    }

    /// A client that trusts this server's certificate and nobody else's.
    pub fn client(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }

    pub fn client_builder(&self) -> reqwest::ClientBuilder {
        let pem = fs::read(self.path("state/cert.pem")).unwrap();
        let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
        reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(Duration::from_secs(30))
    }

    /// Where another path of the same server is.
    pub fn at(&self, path: &str) -> String {
        self.url.replace("/authenticate", path)
    }

    /// Posts a v1 TokenReview; the HTTP status, `Retry-After`, and the body.
    pub async fn review(&self, token: &str) -> Answer {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        post(&self.client(), &self.url, &body).await
    }

    pub async fn metrics(&self) -> String {
        self.client().get(self.at("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    pub async fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let client = self.client();
        while !client.get(self.at("/readyz")).send().await.unwrap().status().is_success() {
            assert!(Instant::now() < deadline, "not ready:\n{}", self.log_text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "arngate does not end:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with TERM, and starts it anew on the same files and the same port.
    pub fn restart(&mut self) {
        self.signal("TERM");
        assert!(self.wait().success());
        self.start_again();
    }

    /// Ends it with KILL, as a crash does.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew, after its end, on the same files and the same port.
    pub fn start_again(&mut self) {
        let before = self.starts();
        let port = self.url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
        let mut args = self.args.clone();
        args.extend(["--port".to_owned(), port]);
        self.child = spawn(&self.path("config.yaml"), &args, &self.env, self.prelude, &self.log);
        self.wait_until_it_listens(before);
    }

    /// How often it has listened so far.
    fn starts(&self) -> usize {
        self.log_lines().iter().filter(|line| line["message"] == "listening").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Answer {
    /// Asserts that somebody was let in; their `status.user`.
    #[track_caller]
    pub fn user(&self) -> &Value {
        assert_eq!(self.code, 200, "{self:?}");
        assert_eq!(self.body["status"]["authenticated"], true, "{self:?}");
        &self.body["status"]["user"]
    }

    /// Asserts a denial that kube-apiserver may remember.
    #[track_caller]
    pub fn assert_final_denial(&self) {
        assert_eq!(self.code, 200, "{self:?}");
        assert_eq!(self.body["status"], json!({"authenticated": false}), "{self:?}");
    }

    /// Asserts a denial that kube-apiserver must not remember.
    #[track_caller]
    pub fn assert_passing_denial(&self) {
        assert_eq!(self.code, 200, "{self:?}");
        assert_eq!(self.body["status"]["authenticated"], false, "{self:?}");
        assert!(self.body["status"]["error"].is_string(), "{self:?}");
    }

    /// Asserts that there is no verdict, with this HTTP status.
    #[track_caller]
    pub fn assert_no_verdict(&self, code: u16) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.retry_after.as_deref(), Some("1"), "{self:?}");
        assert_eq!(self.body["kind"], "Status", "{self:?}");
    }
}

/// Posts JSON.
pub async fn post(client: &reqwest::Client, url: &str, body: &Value) -> Answer {
    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
    answer(request.send().await.unwrap()).await
}

/// Reads an answer.
pub async fn answer(response: reqwest::Response) -> Answer {
    let code = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let bytes = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { code, retry_after, body }
}

/// What a finished command printed.
pub fn text(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
