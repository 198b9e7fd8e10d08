use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, time::sleep};

use crate::{
    config_map_api::ConfigMapApi,
    load::{
        AnswerKind, Client, Counts, KubeconfigError, Population, ReviewVersion, SendError, Source, Target,
        TargetError, TokenError, Via, webhook_of,
    },
    servers::{Limits, Readyz, ReadyzError, Server, ServerError, Settings, StsThread, StsThreadError},
    sts::{Credentials, Emulator},
};

const CLUSTER_ID: &str = "startup";
const REGION: &str = "us-east-1";
/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked. As long as a handshake on this machine, so that looking takes little of the server's CPU.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// When what was there, from just before the process was started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Milestones {
    /// A connection was taken.
    pub listening: Duration,
    /// Somebody was let in.
    pub verdict: Duration,
    /// `/readyz` said 200; never where there is no API server.
    pub ready: Option<Duration>,
}

/// Why there are no times.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No emulator.
    #[error(transparent)]
    Sts(#[from] StsThreadError),
    /// No arngate.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its kubeconfig cannot be read.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// It cannot be found.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It cannot be reached.
    #[error(transparent)]
    Connect(#[from] SendError),
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Whether it is ready cannot be asked.
    #[error(transparent)]
    Readyz(#[from] ReadyzError),
    /// A file or a port.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not come.
    #[error("arngate is not {0} within {within} s of its start", within = WITHIN.as_secs())]
    Late(&'static str),
}

/// An arngate that is started again and again on the same files.
pub struct Starts {
    server: Server,
    readyz: Readyz,
    target: Target,
    source: Source,
    somebody: Credentials,
    /// Dropped to be away.
    api: Option<ConfigMapApi>,
    /// Held to the end: it is the emulator's thread.
    _sts: StsThread,
    _folder: tempfile::TempDir,
}

impl Starts {
    /// Starts `arngate` once with an aws-auth of `mappings` mappings, so that its certificate is made and its snapshot
    /// is on disk, and ends it.
    ///
    /// # Errors
    /// Where that does not come about.
    pub async fn prepare(arngate: &Path, mappings: usize) -> Result<Self, StartError> {
        let population = Population::generated(Counts { roles: mappings.max(1), ..Counts::default() });
        let somebody = population.credentials().first().cloned().ok_or(TokenError::Nobody)?;
        let sts = StsThread::start(Emulator::builder().principals(population.table().clone())).await?;
        let api = ConfigMapApi::start().await?;
        // What stands below the key, without the key.
        let roles = population.mappings("");
        let roles = roles.strip_prefix("mapRoles:\n").unwrap_or_default();
        api.replace(BTreeMap::from([("mapRoles".to_owned(), roles.to_owned())]));

        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        // A kubeconfig names its CA, as it does wherever an API server speaks TLS; without one the system's are read.
        let ca = sts.emulator().ca_file().display().to_string();
        let with_ca = api.kubeconfig().replacen(
            "\"server\":",
            &format!("\"certificate-authority\":{},\"server\":", serde_json::Value::from(ca)),
            1,
        );
        fs::write(&kubeconfig, with_ca)?;
        let settings = Settings {
            program: arngate,
            cluster_id: CLUSTER_ID,
            mappings: "",
            sts: sts.emulator(),
            limits: Limits::Default,
        };
        let flags: [OsString; 4] =
            ["--backend-mode".into(), "EKSConfigMap".into(), "--kubeconfig".into(), kubeconfig.into()];
        let mut server = Server::arngate_with(&settings, &flags).await?;
        let via = Via::Webhook(ReviewVersion::V1beta1);
        let target = Target::resolve(&webhook_of(&server)?, via, false).await?;
        let source = Source::new(CLUSTER_ID, REGION, via)?;
        let readyz = Readyz::of(&server)?;
        let snapshot = server.state().join("aws-auth.snapshot");
        let all_there = async || snapshot.exists() && readyz.ask().await.is_some_and(|said| said.ready);
        until("ready, with a snapshot on disk", all_there).await?;
        server.stop().await?;
        Ok(Self { server, readyz, target, source, somebody, api: Some(api), _sts: sts, _folder: folder })
    }

    /// Takes the API server away, for good.
    pub fn without_api_server(&mut self) {
        self.api = None;
    }

    /// Starts it, waits until all is there that will be, and ends it.
    ///
    /// # Errors
    /// Where something does not come.
    pub async fn start(&mut self) -> Result<Milestones, StartError> {
        let payload = self.source.one(&self.somebody)?;
        let address = self.target.address;
        let begun = Instant::now();
        self.server.launch_again()?;
        until("listening", async || TcpStream::connect(address).await.is_ok()).await?;
        let listening = begun.elapsed();
        let client = Arc::new(Client::new(self.target.clone(), 1, WITHIN));
        let let_in = async || matches!(client.send(payload.clone()).await, Ok(AnswerKind::Authenticated));
        until("able to tell who somebody is", let_in).await?;
        let verdict = begun.elapsed();
        let ready = if self.api.is_some() {
            until("ready", async || self.readyz.ask().await.is_some_and(|said| said.ready)).await?;
            Some(begun.elapsed())
        } else {
            None
        };
        self.server.stop().await?;
        Ok(Milestones { listening, verdict, ready })
    }
}

/// Looks until something holds.
async fn until(what: &'static str, holds: impl AsyncFn() -> bool) -> Result<(), StartError> {
    let deadline = Instant::now() + WITHIN;
    while !holds().await {
        if Instant::now() > deadline {
            return Err(StartError::Late(what));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
