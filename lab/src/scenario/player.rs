use std::{ffi::OsString, path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Ending, Event, Expected, LoadStep, Model, Scenario, Step,
    mappings::{MappingsFile, MappingsFileError},
};
use crate::{
    load::{
        Arrivals, Client, KubeconfigError, Population, Report, ReviewVersion, Schedule, ScheduleError,
        SendError, Session, SessionError, Source, Spacing, StsView, Target, TargetError, TokenError, Via,
        webhook_of,
    },
    servers::{Limits, Readyz, ReadyzError, Server, ServerError, Settings, StsThread, StsThreadError},
    sts::{Conditions, Emulator},
};

const CLUSTER_ID: &str = "scenario";
const REGION: &str = "us-east-1";
const IN_FLIGHT: usize = 20_000;
/// How many requests are signed before a load begins, at most.
const AHEAD: u64 = 20_000;
/// How long a file of mappings may take to be in force.
const IN_FORCE_WITHIN: Duration = Duration::from_mins(1);

/// What a scenario came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// A report for each load, in order.
    pub loads: Vec<Report>,
    /// What was expected and did not come.
    pub missed: Vec<String>,
}

/// Why a scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
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
    /// No tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A load cannot be run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The file of mappings.
    #[error(transparent)]
    Mappings(#[from] MappingsFileError),
    /// Whether arngate is ready cannot be asked.
    #[error(transparent)]
    Readyz(#[from] ReadyzError),
    /// arngate has not read the file.
    #[error("arngate has not put {0} mappings in force within {within} s", within = IN_FORCE_WITHIN.as_secs())]
    NotInForce(usize),
    /// A load is none.
    #[error("{title}: {source}")]
    Schedule {
        /// The load.
        title: String,
        /// Why.
        source: ScheduleError,
    },
}

/// What is on the stage.
struct Player {
    /// Held to the end: it is the emulator's thread.
    _sts: StsThread,
    props: Props,
    session: Session,
}

/// What events happen to.
#[derive(Clone)]
struct Props {
    emulator: Arc<Emulator>,
    server: Arc<Mutex<Server>>,
    mappings: Option<Arc<MappingsFile>>,
}

/// An event with all that it needs, so that it happens at once.
enum Ready {
    Sts(Conditions),
    Restart(Ending),
    Mappings { count: usize, content: String },
}

/// Plays a scenario on this arngate; `say` is told of every step; `stop` ends it early.
///
/// # Errors
/// Where a step cannot be done.
pub async fn play(
    scenario: Scenario,
    arngate: &Path,
    stop: CancellationToken,
    say: impl Fn(&str),
) -> Result<Outcome, PlayError> {
    let player = Player::set_up(&scenario, arngate, stop).await?;
    let (mut loads, mut missed) = (Vec::new(), Vec::new());
    for step in scenario.steps {
        if player.session.stop.is_cancelled() {
            break;
        }
        match step {
            Step::Wait(duration) => {
                say(&format!("waiting {duration:?}"));
                player.session.stop.run_until_cancelled(sleep(duration)).await;
            }
            Step::Event(event) => {
                say(&event.describe());
                player.props.happen(player.props.ready(event)?).await?;
            }
            Step::Load(load) => {
                say(&format!("load: {}", load.title));
                let expected = load.expected;
                let report = player.load(load).await?;
                missed.extend(misses(&report, expected));
                loads.push(report);
            }
        }
    }
    Ok(Outcome { name: scenario.name, loads, missed })
}

impl Player {
    async fn set_up(scenario: &Scenario, arngate: &Path, stop: CancellationToken) -> Result<Self, PlayError> {
        let population = Population::generated(scenario.counts);
        let sts = StsThread::start(Emulator::builder().principals(population.table().clone())).await?;
        let mappings = match scenario.mappings {
            Some(count) => Some(Arc::new(MappingsFile::new(population.clone(), count).await?)),
            None => None,
        };
        let (config, flags) = match &mappings {
            Some(file) => (file.config(), vec!["--backend-mode".into(), "DynamicFile".into()]),
            None => (population.mappings("  "), Vec::<OsString>::new()),
        };
        let settings = Settings {
            program: arngate,
            cluster_id: CLUSTER_ID,
            mappings: &config,
            sts: sts.emulator(),
            limits: Limits::Default,
        };
        let server = Server::arngate_with(&settings, &flags).await?;
        let via = Via::Webhook(ReviewVersion::V1beta1);
        let target = Target::resolve(&webhook_of(&server)?, via, false).await?;
        let client = Arc::new(Client::new(target, scenario.apiservers, scenario.timeout));
        client.connect().await?;
        let session = Session {
            client,
            source: Source::new(CLUSTER_ID, REGION, via)?,
            people: population.credentials().to_vec(),
            sts: Some(StsView::Here(Arc::clone(sts.emulator()))),
            stop,
        };
        let emulator = Arc::clone(sts.emulator());
        let props = Props { emulator, server: Arc::new(Mutex::new(server)), mappings };
        if let Some(count) = scenario.mappings {
            props.wait_until_in_force(count).await?;
        }
        Ok(Self { _sts: sts, props, session })
    }

    async fn load(&self, load: LoadStep) -> Result<Report, PlayError> {
        let arrivals = match load.model {
            Model::Closed(parallel, lasting) => Arrivals::Closed { parallel, lasting },
            Model::Open(stages) => {
                let schedule = Schedule::new(stages, Spacing::Even, load.count);
                let title = load.title.clone();
                let schedule = schedule.map_err(|source| PlayError::Schedule { title, source })?;
                Arrivals::Open { schedule, in_flight: IN_FLIGHT }
            }
        };
        let total = match &arrivals {
            Arrivals::Open { schedule, .. } => Some(schedule.expected() + 1),
            Arrivals::Closed { .. } => load.count,
        };
        let ahead = usize::try_from(total.unwrap_or(AHEAD).min(AHEAD)).unwrap_or_default();
        let props = self.props.clone();
        let meanwhile = load.meanwhile.into_iter().map(|(after, event)| Ok((after, props.ready(event)?)));
        let meanwhile = meanwhile.collect::<Result<Vec<_>, PlayError>>()?;
        // Begins with the load, but for the signing, which is done by then.
        let events = async move {
            let begun = Instant::now();
            for (after, event) in meanwhile {
                sleep_until(begun + after).await;
                props.happen(event).await?;
            }
            Ok::<_, PlayError>(())
        };
        let prepared = self.session.prepare(&load.mix, total, ahead).await?;
        let run = self.session.run_prepared(&load.title, &load.mix, arrivals, total, prepared);
        let (report, events) = tokio::join!(run, events);
        events?;
        Ok(report?)
    }
}

impl Props {
    fn ready(&self, event: Event) -> Result<Ready, PlayError> {
        Ok(match event {
            Event::Sts(conditions) => Ready::Sts(conditions),
            Event::Restart(ending) => Ready::Restart(ending),
            Event::Mappings(count) => {
                let file = self.mappings.as_ref().ok_or(PlayError::NotInForce(count))?;
                Ready::Mappings { count, content: file.content(count).map_err(MappingsFileError::from)? }
            }
        })
    }

    async fn happen(&self, event: Ready) -> Result<(), PlayError> {
        match event {
            Ready::Sts(conditions) => self.emulator.faults().apply(conditions),
            Ready::Restart(ending) => {
                let mut server = self.server.lock().await;
                match ending {
                    Ending::Term => server.stop().await?,
                    Ending::Kill => server.kill()?,
                }
                server.start_again().await?;
            }
            Ready::Mappings { count, content } => {
                let file = self.mappings.as_ref().ok_or(PlayError::NotInForce(count))?;
                file.replace(content).await.map_err(MappingsFileError::from)?;
                self.wait_until_in_force(count).await?;
            }
        }
        Ok(())
    }

    async fn wait_until_in_force(&self, count: usize) -> Result<(), PlayError> {
        let readyz = Readyz::of(&*self.server.lock().await)?;
        let in_force = async {
            while readyz.ask().await.is_none_or(|said| !said.ready || said.mappings() != count) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(IN_FORCE_WITHIN, in_force).await.map_err(|_| PlayError::NotInForce(count))
    }
}

impl Event {
    fn describe(&self) -> String {
        match self {
            Self::Mappings(count) => format!("there are {count} mappings"),
            Self::Restart(Ending::Term) => "arngate ends by TERM and starts again".to_owned(),
            Self::Restart(Ending::Kill) => "arngate is killed and starts again".to_owned(),
            Self::Sts(conditions) => {
                let limit = conditions.limit.map_or("none".to_owned(), |limit| limit.to_string());
                format!(
                    "STS: fault {} for a share of {}, latency {}, limit {limit}",
                    conditions.plan.fault, conditions.share, conditions.latency
                )
            }
        }
    }
}

/// What was expected of a load and did not come.
fn misses(report: &Report, expected: Expected) -> Vec<String> {
    let mut missed = Vec::new();
    let title = &report.title;
    if let Some(most) = expected.failures.filter(|most| report.failed_share() > *most) {
        missed.push(format!(
            "{title}: a share of {:.4} has no verdict, at most {most} may",
            report.failed_share()
        ));
    }
    let p99 = Duration::from_secs_f64(report.latency.p99_ms / 1000.0);
    if let Some(most) = expected.p99.filter(|most| p99 > *most) {
        missed.push(format!("{title}: the 99th percentile is {p99:?}, at most {most:?} may be"));
    }
    let calls = report.sts.as_ref().map_or(0.0, |sts| sts.calls_per_100_requests);
    if let Some(most) = expected.sts_calls_per_100.filter(|most| calls > *most) {
        missed.push(format!("{title}: {calls:.1} calls of STS for each 100 requests, at most {most} may be"));
    }
    missed
}
