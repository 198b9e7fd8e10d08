use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Figures, LoadFigures};
use crate::{
    load::{
        AnswerKind, Arrivals, Client, Counts, KubeconfigError, Mix, Population, Report, ReviewVersion,
        ScheduleError, SendError, Session, SessionError, Source, StsView, Target, TargetError, TokenError,
        TooFewMappings, Via, webhook_of,
    },
    servers::{Limits, Server, ServerError, Settings, StsThread, StsThreadError, UsageError},
    sts::{Conditions, Emulator, Latency, Principal},
};

const CLUSTER_ID: &str = "compare";
const REGION: &str = "us-east-1";
const PARALLEL: usize = 64;
const PARALLEL_SLOW: usize = 256;
/// How many tokens are said again and again.
const POOL: usize = 100;
const FEW: usize = 1_000;
const MANY: usize = 10_000;
const SLOW_STS: Duration = Duration::from_millis(20);
/// No load takes longer, whatever its count.
const AT_MOST: Duration = Duration::from_mins(2);
const TIMEOUT: Duration = Duration::from_secs(30);

/// One of the two programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// arngate, at this path.
    Arngate(PathBuf),
    /// aws-iam-authenticator, at this path.
    Authenticator(PathBuf),
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// There is no emulator.
    #[error(transparent)]
    Sts(#[from] StsThreadError),
    /// There is no server.
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
    /// There are no tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It cannot be loaded.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Its cost cannot be read.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A load is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// There are too few mappings.
    #[error(transparent)]
    Mappings(#[from] TooFewMappings),
    /// Figures of something else than was meant.
    #[error(
        "{program}, {load}: of {requests} requests {wrong} did not come to what they should, so that the figures would mean nothing:\n{report}"
    )]
    Wrong {
        /// The program.
        program: String,
        /// The load.
        load: &'static str,
        /// How many requests there were.
        requests: u64,
        /// How many came to something else.
        wrong: u64,
        /// The whole report.
        report: String,
    },
    /// It was stopped.
    #[error("stopped")]
    Stopped,
}

impl Program {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Arngate(path) | Self::Authenticator(path) => path,
        }
    }

    /// How long its file is, in bytes.
    ///
    /// # Errors
    /// Where there is none.
    pub fn size(&self) -> std::io::Result<u64> {
        fs::metadata(self.path()).map(|file| file.len())
    }

    async fn start(&self, settings: &Settings<'_>) -> Result<Server, ServerError> {
        match self {
            Self::Arngate(_) => Server::arngate(settings).await,
            Self::Authenticator(_) => Server::authenticator(settings).await,
        }
    }
}

/// What every run shares: the emulator, and who comes.
pub struct Measurement {
    sts: StsThread,
    few: Population,
    many: Population,
    requests: u64,
    stop: CancellationToken,
}

/// A load, and how to see that it was the one that was meant.
struct Load {
    name: &'static str,
    mix: Mix,
    parallel: usize,
    requests: u64,
    expected: &'static [AnswerKind],
}

/// Tokens none of which was sent before.
fn distinct(name: &'static str, requests: u64) -> Load {
    let expected = &[AnswerKind::Authenticated];
    Load { name, mix: Mix::default(), parallel: PARALLEL, requests: requests.max(1), expected }
}

impl Measurement {
    /// Starts the emulator. `requests` is the size of most loads; `stop` ends a run early.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn prepare(requests: u64, stop: CancellationToken) -> Result<Self, MeasureError> {
        // Each request of a load is of a session of its own, as if so many people came: no access key is used so
        // often that a server's limit for each would have a say.
        let of = |roles| {
            let sessions = usize::try_from(requests).unwrap_or(usize::MAX).div_ceil(roles);
            Population::generated(Counts { roles, sessions, ..Counts::default() })
        };
        let (few, many) = (of(FEW), of(MANY));
        // Keys follow from the ARN, so that those whom both have are the same.
        let everybody = few.table().clone();
        for principal in many.table().all() {
            everybody.add(Principal::clone(&principal));
        }
        let sts = StsThread::start(Emulator::builder().principals(everybody)).await?;
        Ok(Self { sts, few, many, requests, stop })
    }

    /// Measures one program once.
    ///
    /// # Errors
    /// Where it cannot be started or loaded, or answers otherwise than it should.
    pub async fn measure(&self, program: &Program) -> Result<Figures, MeasureError> {
        let (distinct, repeated, foreign, slow_sts, memory_1k) = self.with_few(program).await?;
        Ok(Figures {
            distinct,
            repeated,
            foreign,
            slow_sts,
            memory_1k,
            memory_10k: self.with_many(program).await?,
        })
    }

    /// Measures one program once, by distinct tokens alone.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub async fn measure_distinct(&self, program: &Program) -> Result<LoadFigures, MeasureError> {
        let (server, session) = self.start(program, &self.few).await?;
        self.load(program, &server, &session, distinct("warming up", self.requests / 10)).await?;
        self.load(program, &server, &session, distinct("distinct tokens", self.requests)).await
    }

    async fn with_few(
        &self,
        program: &Program,
    ) -> Result<(LoadFigures, LoadFigures, LoadFigures, LoadFigures, u64), MeasureError> {
        let (server, session) = self.start(program, &self.few).await?;
        let load = async |load: Load| self.load(program, &server, &session, load).await;
        load(distinct("warming up", self.requests / 10)).await?;
        let fresh = load(distinct("distinct tokens", self.requests)).await?;
        let repeated = load(Load {
            name: "repeated tokens",
            mix: Mix { repeat: 1.0, pool: Some(POOL), ..Mix::default() },
            ..distinct("", self.requests)
        });
        let repeated = repeated.await?;
        let foreign = load(Load {
            name: "tokens that are not ours",
            mix: Mix { garbage: 1.0, ..Mix::default() },
            requests: self.requests * 4,
            expected: &[AnswerKind::Denied, AnswerKind::Refused],
            ..distinct("", 0)
        });
        let foreign = foreign.await?;
        let conditions = Conditions { latency: Latency::Fixed(SLOW_STS), ..Conditions::default() };
        self.sts.emulator().faults().apply(conditions);
        let slow = Load { parallel: PARALLEL_SLOW, ..distinct("slow STS", self.requests / 2) };
        let slow_sts = load(slow).await;
        self.sts.emulator().faults().clear();
        Ok((fresh, repeated, foreign, slow_sts?, server.usage()?.resident_peak))
    }

    async fn with_many(&self, program: &Program) -> Result<u64, MeasureError> {
        let (server, session) = self.start(program, &self.many).await?;
        // What is of interest is what look-ups among so many leave behind.
        self.load(program, &server, &session, distinct("10,000 mappings", self.requests / 2)).await?;
        Ok(server.usage()?.resident_peak)
    }

    async fn start(
        &self,
        program: &Program,
        population: &Population,
    ) -> Result<(Server, Session), MeasureError> {
        let settings = Settings {
            program: program.path(),
            cluster_id: CLUSTER_ID,
            mappings: &population.mappings("  "),
            sts: self.sts.emulator(),
            limits: Limits::Off,
        };
        let server = program.start(&settings).await?;
        // kube-apiserver's default.
        let via = Via::Webhook(ReviewVersion::V1beta1);
        let target = Target::resolve(&webhook_of(&server)?, via, false).await?;
        let client = Arc::new(Client::new(target, 1, TIMEOUT));
        connect(&client).await?;
        let session = Session {
            client,
            source: Source::new(CLUSTER_ID, REGION, via)?,
            people: population.credentials().to_vec(),
            sts: Some(StsView::Here(Arc::clone(self.sts.emulator()))),
            stop: self.stop.clone(),
        };
        Ok((server, session))
    }

    async fn load(
        &self,
        program: &Program,
        server: &Server,
        session: &Session,
        load: Load,
    ) -> Result<LoadFigures, MeasureError> {
        let (cpu_before, sts_before) = (server.usage()?.cpu, StsThread::cpu());
        let arrivals = Arrivals::Closed { parallel: load.parallel, lasting: AT_MOST };
        // All tokens are there before the first is sent.
        let ahead = usize::try_from(load.requests).unwrap_or(usize::MAX);
        let report = session.run(load.name, &load.mix, arrivals, Some(load.requests), ahead).await?;
        if self.stop.is_cancelled() {
            return Err(MeasureError::Stopped);
        }
        let right: u64 = load.expected.iter().map(|kind| report.count(*kind)).sum();
        if right < report.requests || report.requests == 0 {
            return Err(MeasureError::Wrong {
                program: program.path().display().to_string(),
                load: load.name,
                requests: report.requests,
                wrong: report.requests - right,
                report: report.to_text(),
            });
        }
        let server_cpu = server.usage()?.cpu.saturating_sub(cpu_before);
        Ok(figures(&report, server_cpu, StsThread::cpu().since(sts_before)))
    }
}

/// aws-iam-authenticator says that it listens a little before it serves.
async fn connect(client: &Client) -> Result<(), SendError> {
    let mut attempts = 100;
    loop {
        match client.connect().await {
            Err(_) if attempts > 0 => attempts -= 1,
            result => return result,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn figures(report: &Report, server: Duration, sts: Duration) -> LoadFigures {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests and CPUs, far below 2^53")]
    let (requests, cpus) = (
        report.requests as f64,
        std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64),
    );
    let each = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / requests;
    let used = server.as_secs_f64() + sts.as_secs_f64() + report.generator.cpu_seconds;
    LoadFigures {
        rate: report.verdicts_per_second,
        p50_ms: report.latency.p50_ms,
        p99_ms: report.latency.p99_ms,
        server_cpu_ms: each(server),
        client_cpu_ms: report.generator.cpu_ms_per_request,
        sts_cpu_ms: each(sts),
        connections_per_100_calls: report.sts.as_ref().map_or(0.0, |sts| sts.connections_per_100_calls),
        machine: used / (report.seconds * cpus),
    }
}
