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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use tokio::net::TcpListener;

    use super::*;
    use crate::load::{Location, Prepared, Recording, ReviewVersion, Spacing, Target, TokenClass, Via};

    async fn client(address: SocketAddr, timeout: Duration) -> Arc<Client> {
        let location = Location { url: format!("https://{address}/"), ..Location::default() };
        let target = Target::resolve(&location, Via::Webhook(ReviewVersion::V1), false).await;
        Arc::new(Client::new(target.unwrap_or_else(|error| panic!("{error}")), 1, timeout))
    }

    fn prepared() -> Prepared {
        Prepared { class: TokenClass::Fresh, payload: Bytes::from_static(b"{}") }
    }

    fn schedule(stage: &str) -> Schedule {
        Schedule::new(vec![stage.parse().unwrap()], Spacing::Even, None).unwrap()
    }

    fn count(recording: &Recording, kind: AnswerKind) -> u64 {
        recording.answers()[kind.index()]
    }

    /// Somebody who takes connections and says nothing.
    async fn silent() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_late_generator_is_charged_for_it() {
        let (listener, address) = silent().await;
        drop(listener);
        let client = client(address, Duration::from_secs(10)).await;
        let (send, supply) = Supply::by_hand(4);
        let recorder = Arc::new(Recorder::new(Duration::from_secs(1), None));
        // It begins a moment before the schedule does, on a busy machine a long one.
        let stall = Duration::from_millis(300);
        tokio::spawn(async move {
            tokio::time::sleep(stall).await;
            for _ in 0..3 {
                send.send(prepared()).await.unwrap();
            }
        });
        let arrivals = Arrivals::Open { schedule: schedule("1000:3ms"), in_flight: 10 };
        run(&client, supply, arrivals, &recorder, &CancellationToken::new()).await;
        let recording = recorder.snapshot();
        // Nobody listens there: that takes no time, and all that is seen is the stall.
        assert_eq!(count(&recording, AnswerKind::Transport), 3);
        let least = Duration::from_micros(recording.latency().min());
        assert!(least >= Duration::from_millis(100), "{least:?}");
        assert!(recording.lag.min() >= 100_000, "{}", recording.lag.min());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_stalls_does_not_hold_up_the_schedule() {
        let (_listener, address) = silent().await;
        let client = client(address, Duration::from_secs(2)).await;
        let (send, supply) = Supply::by_hand(10);
        for _ in 0..10 {
            send.send(prepared()).await.unwrap();
        }
        let recorder = Arc::new(Recorder::new(Duration::from_secs(1), None));
        let arrivals = Arrivals::Open { schedule: schedule("500:20ms"), in_flight: 4 };
        run(&client, supply, arrivals, &recorder, &CancellationToken::new()).await;
        let recording = recorder.snapshot();
        assert_eq!(count(&recording, AnswerKind::TimedOut), 4);
        assert_eq!(count(&recording, AnswerKind::NotSent), 6, "and nobody waits for a place");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_signal_ends_a_run() {
        let (listener, address) = silent().await;
        drop(listener);
        let client = client(address, Duration::from_secs(10)).await;
        let (_send, supply) = Supply::by_hand(1);
        let recorder = Arc::new(Recorder::new(Duration::from_hours(1), None));
        let stop = CancellationToken::new();
        stop.cancel();
        let arrivals = Arrivals::Closed { parallel: 4, lasting: Duration::from_hours(1) };
        run(&client, supply, arrivals, &recorder, &stop).await;
        assert_eq!(recorder.snapshot().answers().iter().sum::<u64>(), 0);
    }
}
