use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{AnswerKind, Client, Recorder, Schedule, Supply};

/// When requests are sent.
#[derive(Debug, Clone)]
pub enum Arrivals {
    /// By a schedule, whatever becomes of those before: latency counts from the planned time.
    Open {
        /// The schedule.
        schedule: Schedule,
        /// How many may be under way; beyond it they are not sent, and counted.
        in_flight: usize,
    },
    /// By so many who each wait for their answer before they ask again: latency counts from the sending.
    Closed {
        /// How many.
        parallel: usize,
        /// How long.
        lasting: Duration,
    },
}

impl Arrivals {
    /// How long requests are sent.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        match self {
            Self::Open { schedule, .. } => schedule.lasting(),
            Self::Closed { lasting, .. } => *lasting,
        }
    }
}

/// Sends what `supply` has, as `arrivals` say, until its end or `stop`, and waits for the answers; returns how long
/// that took, from the first planned start.
pub async fn run(
    client: &Arc<Client>,
    supply: Supply,
    arrivals: Arrivals,
    recorder: &Arc<Recorder>,
    stop: &CancellationToken,
) -> Duration {
    let supply = Arc::new(supply);
    match arrivals {
        Arrivals::Open { schedule, in_flight } => {
            open(client, &supply, schedule, in_flight, recorder, stop).await
        }
        Arrivals::Closed { parallel, lasting } => {
            closed(client, &supply, parallel, lasting, recorder, stop).await
        }
    }
}

async fn open(
    client: &Arc<Client>,
    supply: &Arc<Supply>,
    schedule: Schedule,
    in_flight: usize,
    recorder: &Arc<Recorder>,
    stop: &CancellationToken,
) -> Duration {
    let tasks = TaskTracker::new();
    let started = Instant::now();
    let dispatcher = Dispatcher {
        client: Arc::clone(client),
        supply: Arc::clone(supply),
        recorder: Arc::clone(recorder),
        places: Arc::new(Semaphore::new(in_flight)),
        tasks: tasks.clone(),
        runtime: Handle::current(),
        started,
    };
    // A thread of its own: the runtime's timers know whole milliseconds, and its workers are busy with answers.
    let stopped = stop.clone();
    let sending = tokio::task::spawn_blocking(move || dispatcher.dispatch(&schedule, &stopped));
    // A dispatcher that panicked has sent nothing more, which the counts show.
    let _ = sending.await;
    tasks.close();
    // Each waits for its answer, up to the client's limit.
    tasks.wait().await;
    started.elapsed()
}

/// Sends requests when they are due.
struct Dispatcher {
    client: Arc<Client>,
    supply: Arc<Supply>,
    recorder: Arc<Recorder>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    runtime: Handle,
    started: Instant,
}

impl Dispatcher {
    fn dispatch(&self, schedule: &Schedule, stop: &CancellationToken) {
        for planned in schedule.arrivals() {
            let due = self.started + planned;
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                thread::sleep(early);
            }
            if stop.is_cancelled() {
                return;
            }
            let Some(prepared) = self.supply.blocking_next() else { return };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.recorder.add(prepared.class, AnswerKind::NotSent, planned, Duration::ZERO);
                continue;
            };
            self.recorder.add_lag(due.elapsed());
            let (client, recorder) = (Arc::clone(&self.client), Arc::clone(&self.recorder));
            let request = async move {
                let result = client.send(prepared.payload).await;
                let kind = result.unwrap_or_else(|error| error.kind());
                recorder.add(prepared.class, kind, planned, due.elapsed());
                drop(place);
            };
            self.tasks.spawn_on(request, &self.runtime);
        }
    }
}

async fn closed(
    client: &Arc<Client>,
    supply: &Arc<Supply>,
    parallel: usize,
    lasting: Duration,
    recorder: &Arc<Recorder>,
    stop: &CancellationToken,
) -> Duration {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..parallel {
        let (client, supply, recorder) = (Arc::clone(client), Arc::clone(supply), Arc::clone(recorder));
        let stop = stop.clone();
        workers.spawn(async move {
            while started.elapsed() < lasting && !stop.is_cancelled() {
                let Some(prepared) = supply.next().await else { return };
                let sent = Instant::now();
                let result = client.send(prepared.payload).await;
                let kind = result.unwrap_or_else(|error| error.kind());
                recorder.add(prepared.class, kind, sent - started, sent.elapsed());
            }
        });
    }
    while workers.join_next().await.is_some() {}
    started.elapsed()
}
