use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    lanes::{Lane, Lanes, Turn},
    limits::Limits,
};
use crate::telemetry::VerifierMetrics;

/// How long a call waits for its turn at most. With the rest of its way an answer stays below 10 s.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(4);

/// What calls to STS pass through: [`Lanes`], with a lock, a clock, and a task that looks at it in time.
pub(super) struct Gate {
    lanes: Mutex<Lanes<Waiter>>,
    changed: Notify,
    metrics: VerifierMetrics,
}

/// Who waits, as the lanes know them.
type Waiter = oneshot::Sender<Permit>;

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Ticket(oneshot::Receiver<Permit>);

/// Leave to make one call; the next one may leave when it is dropped.
pub(super) struct Permit {
    gate: Arc<Gate>,
    lane: Lane,
    throttled: Option<bool>,
}

impl Gate {
    /// A gate, and the task that lets those pass whose time has come; it ends with its handle.
    pub(super) fn new(limits: &Limits, metrics: VerifierMetrics) -> (Arc<Self>, AbortOnDropHandle<()>) {
        let lanes = Mutex::new(Lanes::new(limits, Instant::now()));
        let gate = Arc::new(Self { lanes, changed: Notify::new(), metrics });
        let task = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                loop {
                    match gate.look() {
                        Some(next) => tokio::select! {
                            () = sleep_until(next) => {}
                            () = gate.changed.notified() => {}
                        },
                        None => gate.changed.notified().await,
                    }
                }
            }
        });
        (gate, AbortOnDropHandle::new(task))
    }

    /// Takes a place in the queue of `lane`, which may be its head.
    ///
    /// # Errors
    /// How long the queue takes to empty, where it is full.
    pub(super) fn enter(self: &Arc<Self>, lane: Lane) -> Result<Ticket, Duration> {
        let (sender, receiver) = oneshot::channel();
        let (entered, next) = self.with(|lanes, now| {
            // Whoever may leave makes room.
            let leave = lanes.turn(now).leave;
            (leave, lanes.wait(lane, sender, now + MAX_WAIT, now))
        });
        if next.is_some() {
            self.changed.notify_one();
        }
        entered.map(|()| Ticket(receiver))
    }

    fn ended(self: &Arc<Self>, lane: Lane, throttled: Option<bool>) {
        let ((), next) = self.with(|lanes, now| {
            lanes.ended(lane, throttled, now);
            (Vec::new(), ())
        });
        if next.is_some() {
            self.changed.notify_one();
        }
    }

    /// Lets those pass whose time has come; says when to look again.
    fn look(self: &Arc<Self>) -> Option<Instant> {
        self.with(|_, _| (Vec::new(), ())).1
    }

    /// Does `work` on the lanes, and lets pass those that it names and those who may pass after it. Says, beside
    /// what came of the work, when to look again.
    fn with<T>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Lanes<Waiter>, Instant) -> (Vec<(Lane, Waiter)>, T),
    ) -> (T, Option<Instant>) {
        let now = Instant::now();
        // Whatever panics in there leaves at most a slot too few.
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, result) = work(&mut lanes, now);
        let Turn { leave, next } = lanes.turn(now);
        for lane in Lane::ALL {
            let (waiting, running) = lanes.load(lane);
            self.metrics.lane(lane, waiting, running, lanes.share(lane, now));
        }
        drop(lanes);
        // Not under the lock: a permit that nobody takes is dropped here, and comes back to this gate.
        for (lane, waiter) in first.into_iter().chain(leave) {
            let _ = waiter.send(Permit { gate: Arc::clone(self), lane, throttled: None });
        }
        (result, next)
    }
}

impl Ticket {
    /// Waits for the turn; `None` where it did not come in time.
    pub(super) async fn turn(self) -> Option<Permit> {
        self.0.await.ok()
    }
}

impl Permit {
    /// Tells whether STS throttled the call.
    pub(super) const fn answered(&mut self, throttled: bool) {
        self.throttled = Some(throttled);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (lane, throttled) = (self.lane, self.throttled);
        self.gate.ended(lane, throttled);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("lane", &self.lane).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn gate(rate: u32, burst: u32, concurrency: usize) -> (Arc<Gate>, AbortOnDropHandle<()>) {
        let limits = Limits {
            rate: rate.try_into().ok(),
            burst: burst.try_into().unwrap(),
            concurrency: concurrency.try_into().unwrap(),
            ..Limits::default()
        };
        Gate::new(&limits, Metrics::new().verifier().clone())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_passes_when_the_rate_allows_it() {
        let (gate, _task) = gate(10, 1, 100);
        let started = Instant::now();
        let tickets: Vec<_> = (0..21).map(|_| gate.enter(Lane::Known).unwrap()).collect();
        for ticket in tickets {
            drop(ticket.turn().await.unwrap());
        }
        let elapsed = started.elapsed();
        assert!((2000..2100).contains(&elapsed.as_millis()), "20 calls at 10 a second: {elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_passes_when_a_call_ends() {
        let (gate, _task) = gate(0, 1, 1);
        let permit = gate.enter(Lane::Stranger).unwrap().turn().await.unwrap();
        let next = gate.enter(Lane::Stranger).unwrap();
        let waiting = tokio::spawn(next.turn());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!waiting.is_finished());
        drop(permit);
        assert!(waiting.await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_deadline() {
        let (gate, _task) = gate(0, 1, 1);
        let _permit = gate.enter(Lane::Known).unwrap().turn().await.unwrap();
        let started = Instant::now();
        assert!(gate.enter(Lane::Known).unwrap().turn().await.is_none());
        assert_eq!(started.elapsed().as_secs(), MAX_WAIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_gives_back_what_it_had() {
        let (gate, _task) = gate(0, 1, 1);
        drop(gate.enter(Lane::Known).unwrap());
        let first = gate.enter(Lane::Known).unwrap();
        let second = gate.enter(Lane::Known).unwrap();
        drop(first);
        assert!(second.turn().await.is_some());
        let metrics = gate.lanes.lock().unwrap().load(Lane::Known);
        assert_eq!(metrics, (0, 0));
    }
}
