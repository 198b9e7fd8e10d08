use std::{path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{sync::Mutex, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Ending, Event, Expected, LoadStep, Model, Scenario, Step};
use crate::{
    load::{
        Arrivals, Client, KubeconfigError, Population, Report, ReviewVersion, Schedule, ScheduleError,
        SendError, Session, SessionError, Source, Spacing, StsView, Target, TargetError, TokenError, Via,
        webhook_of,
    },
    servers::{Limits, Server, ServerError, Settings, StsThread, StsThreadError},
    sts::Emulator,
};

const CLUSTER_ID: &str = "scenario";
const REGION: &str = "us-east-1";
const IN_FLIGHT: usize = 20_000;
/// How many requests are signed before a load begins, at most.
const AHEAD: u64 = 20_000;

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
    sts: StsThread,
    server: Arc<Mutex<Server>>,
    session: Session,
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
                happen(&event, player.sts.emulator(), &player.server).await?;
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
        let settings = Settings {
            program: arngate,
            cluster_id: CLUSTER_ID,
            mappings: &population.mappings("  "),
            sts: sts.emulator(),
            limits: Limits::Default,
        };
        let server = Server::arngate(&settings).await?;
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
        Ok(Self { sts, server: Arc::new(Mutex::new(server)), session })
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
        let (emulator, server) = (Arc::clone(self.sts.emulator()), Arc::clone(&self.server));
        let meanwhile = load.meanwhile;
        // Begins with the load, but for the signing, which is done by then.
        let events = async move {
            let mut now = Duration::ZERO;
            for (after, event) in meanwhile {
                sleep(after.saturating_sub(now)).await;
                now = now.max(after);
                happen(&event, &emulator, &server).await?;
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

async fn happen(event: &Event, emulator: &Emulator, server: &Mutex<Server>) -> Result<(), ServerError> {
    match event {
        Event::Sts(conditions) => {
            emulator.faults().apply(conditions.clone());
            Ok(())
        }
        Event::Restart(ending) => {
            let mut server = server.lock().await;
            match ending {
                Ending::Term => server.stop().await?,
                Ending::Kill => server.kill()?,
            }
            server.start_again().await
        }
    }
}

impl Event {
    fn describe(&self) -> String {
        match self {
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
