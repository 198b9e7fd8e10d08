//! One kind of Kubernetes object, listed and then watched for ever.
//!
//! ```text
//! list ─▶ Init, InitApply, InitDone ─┐
//! watch ─▶ Apply, Delete ────────────┴▶ Sink::see, then Sink::settle once no more come
//!   └ failure ─▶ Sink::failed, wait (jittered, 0.5 s to 5 s) ─▶ list again
//! ```

use std::{fmt::Debug, pin::pin, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{Stream, TryStreamExt};
use kube::{
    Api, Resource,
    core::Status,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// How long one watch lasts, in seconds; then a new one begins where it ended.
const WATCH_SECONDS: u32 = 120;
/// How long a watch may be silent before it counts as broken. Longer than a watch lasts.
pub(super) const QUIET: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);
/// How long a list, or each page of one, may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How long changes are gathered before they are put in force together, so that a thousand objects applied at once
/// are not a thousand indexes made.
const GATHER: Duration = Duration::from_millis(50);

/// What takes in what a watch brings.
pub(super) trait Sink<K> {
    /// Something was listed or has changed.
    fn see(&mut self, event: Event<K>);

    /// What was seen is whole, and can be put in force.
    fn settle(&mut self);

    /// How long the first list may take before [`Sink::late`] is called.
    fn late_after(&self) -> Option<Duration> {
        None
    }

    /// The list is late; it is waited for all the same.
    fn late(&mut self) {}

    /// A watch has been without an event for a while, and without a failure.
    fn quiet(&mut self) {}

    /// A list or watch has failed; all is listed anew after `wait`.
    fn failed(&mut self, failure: &Failure, wait: Duration);
}

/// Why a list or watch ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It ended without a word.
    #[error("the watch ended")]
    Ended,
    /// The list did not come.
    #[error("no list within {} s", LIST_TIMEOUT.as_secs())]
    NoList,
    /// The API server refused it, or could not be reached.
    // Debug would print whole requests; Display is a line.
    #[error("{0}")]
    Watcher(watcher::Error),
}

impl Failure {
    /// The status by which the API server refused, where it did.
    pub(super) fn status(&self) -> Option<&Status> {
        use watcher::Error::{
            InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
        };
        match self {
            Self::Watcher(
                InitialListFailed(kube::Error::Api(status))
                | WatchStartFailed(kube::Error::Api(status))
                | WatchFailed(kube::Error::Api(status))
                | WatchError(status),
            ) => Some(status),
            Self::Watcher(
                InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion,
            )
            | Self::Ended
            | Self::NoList => None,
        }
    }
}

/// Lists and watches what `config` selects, until it is dropped.
pub(super) async fn watch<K>(api: Api<K>, config: watcher::Config, sink: &mut impl Sink<K>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.timeout(WATCH_SECONDS);
    let mut patience = patience();
    loop {
        let events = pin!(watcher::watcher(api.clone(), config.clone()));
        let failure = follow(events, sink, &mut patience).await;
        let wait = patience.next().unwrap_or(MAX_WAIT);
        sink.failed(&failure, wait);
        tokio::time::sleep(wait).await;
    }
}

/// Takes in a list and what follows, until something fails. Each failure leads to a new list, since a watch that cannot
/// go on where it ended would never show what was missed.
async fn follow<K>(
    mut events: impl Stream<Item = watcher::Result<Event<K>>> + Unpin,
    sink: &mut impl Sink<K>,
    patience: &mut ExponentialBackoff,
) -> Failure {
    let mut listed = false;
    let mut settle_at: Option<Instant> = None;
    let mut late_at = sink.late_after().map(|after| Instant::now() + after);
    loop {
        if settle_at.is_some_and(|at| at <= Instant::now()) {
            settle_at = None;
            sink.settle();
        }
        let limit = Instant::now() + if listed { QUIET } else { LIST_TIMEOUT };
        let until = settle_at.or(late_at).unwrap_or(limit);
        let failure = match tokio::time::timeout_at(until, events.try_next()).await {
            Ok(Ok(Some(event))) => {
                let now = Instant::now();
                match event {
                    Event::InitDone => settle_at = Some(now),
                    Event::Apply(_) | Event::Delete(_) => settle_at = settle_at.or(Some(now + GATHER)),
                    Event::Init | Event::InitApply(_) => {}
                }
                if settle_at.is_some() {
                    listed = true;
                    late_at = None;
                    *patience = self::patience();
                }
                sink.see(event);
                continue;
            }
            // What is seen is due.
            Err(_) if settle_at.is_some() => continue,
            // A watch without an event is the rule: mappings change seldom.
            Err(_) if listed => {
                sink.quiet();
                continue;
            }
            Err(_) if late_at.is_some() => {
                late_at = None;
                sink.late();
                continue;
            }
            Err(_) => Failure::NoList,
            Ok(Ok(None)) => Failure::Ended,
            Ok(Err(error)) => Failure::Watcher(error),
        };
        if settle_at.is_some() {
            sink.settle();
        }
        return failure;
    }
}

/// How long to wait after a failure: doubling from half a second to five, each with jitter, so that the
/// authenticators of several control-plane nodes do not come back at the same moment. Short at the end, since
/// one small list is cheap for an API server and a stale aws-auth is dear for its users.
fn patience() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        // Jitter adds up to as much again.
        .with_max_delay(MAX_WAIT / 2)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    /// What a sink was told: how many events it had seen when it was to settle.
    #[derive(Default)]
    struct Seen {
        events: usize,
        settled: Vec<usize>,
        late: usize,
        quiet: usize,
    }

    impl Sink<u32> for Seen {
        fn see(&mut self, _event: Event<u32>) {
            self.events += 1;
        }

        fn settle(&mut self) {
            self.settled.push(self.events);
        }

        fn failed(&mut self, _failure: &Failure, _wait: Duration) {}

        fn late_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(1))
        }

        fn late(&mut self) {
            self.late += 1;
        }

        fn quiet(&mut self) {
            self.quiet += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_late_is_told_once_and_waited_for() {
        let list = stream::once(async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Event::InitDone
        });
        let (seen, _) = follow_all(list).await;
        assert_eq!((seen.late, seen.settled), (1, vec![1]));
        let (seen, _) = follow_all(stream::iter([Event::Init, Event::InitDone])).await;
        assert_eq!(seen.late, 0);
    }

    async fn follow_all(events: impl Stream<Item = Event<u32>>) -> (Seen, Failure) {
        let mut seen = Seen::default();
        let failure = follow(pin!(events.map(Ok)), &mut seen, &mut patience()).await;
        (seen, failure)
    }

    /// The event `number` of a watch, `pause` after the one before.
    async fn after(pause: Duration, number: u32) -> Event<u32> {
        tokio::time::sleep(pause).await;
        Event::Apply(number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_settled_when_it_is_whole_and_changes_are_gathered() {
        let list = stream::iter([Event::Init, Event::InitApply(1), Event::InitApply(2), Event::InitDone]);
        let at_once = stream::iter((0..1000).map(Event::Apply));
        let (seen, failure) = follow_all(list.chain(at_once)).await;
        assert_eq!((seen.settled, seen.events), (vec![4, 1004], 1004));
        assert!(matches!(failure, Failure::Ended));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_never_pause_are_settled_all_the_same() {
        let list = stream::iter([Event::Init, Event::InitDone]);
        // One every 10 ms for a second.
        let steady = stream::iter(0..100).then(|number| after(Duration::from_millis(10), number));
        let (seen, _) = follow_all(list.chain(steady)).await;
        assert!((15..=20).contains(&seen.settled.len()), "{:?}", seen.settled);
        assert_eq!(seen.settled.last(), Some(&102));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_does_not_come_is_given_up_and_a_silent_watch_is_not() {
        let (seen, failure) = follow_all(stream::pending()).await;
        assert!(matches!(failure, Failure::NoList) && seen.settled.is_empty());
        let list = stream::iter([Event::Init, Event::InitDone]);
        let late = stream::once(after(QUIET * 3, 1));
        let (seen, failure) = follow_all(list.chain(late)).await;
        assert_eq!((seen.settled, seen.quiet), (vec![2, 3], 2));
        assert!(matches!(failure, Failure::Ended));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_list_is_never_settled() {
        let half = stream::iter([Event::Init, Event::InitApply(1)]);
        let (seen, _) = follow_all(half).await;
        assert!(seen.settled.is_empty());
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        for _ in 0..100 {
            let waits: Vec<Duration> = patience().take(20).collect();
            assert!(waits[0] >= Duration::from_millis(500) && waits[0] < Duration::from_secs(1), "{waits:?}");
            assert!(waits.iter().all(|wait| *wait <= MAX_WAIT), "{waits:?}");
            assert!(waits[10..].iter().all(|wait| *wait >= MAX_WAIT / 2), "{waits:?}");
        }
    }

    #[test]
    fn a_refusals_status_is_known() {
        let status = || Status::failure("no", "NotFound").with_code(404).boxed();
        let api = || kube::Error::Api(status());
        for error in [
            watcher::Error::InitialListFailed(api()),
            watcher::Error::WatchStartFailed(api()),
            watcher::Error::WatchFailed(api()),
            watcher::Error::WatchError(status()),
        ] {
            assert_eq!(Failure::Watcher(error).status(), Some(&*status()));
        }
        for failure in [Failure::Watcher(watcher::Error::NoResourceVersion), Failure::NoList, Failure::Ended]
        {
            assert_eq!(failure.status(), None);
        }
    }
}
