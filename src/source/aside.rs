//! Work that takes a while, done where no review waits for it.
//!
//! The runtime has as many workers as there are CPUs, and whatever one of them does between two waits holds up every
//! review that is queued behind it. To read a long list takes a worker's while; so does to take apart what was in force
//! before it: 100,000 mappings are some half a million pieces of memory to be given back.
//!
//! What can be done elsewhere is done on one thread, one piece of work after the other. Allocators keep memory by thread:
//! what one reload leaves behind on it, the next one uses.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot,
};

use crate::mapping::Snapshot;

/// How many mappings are handled in place, which takes less than a millisecond.
pub(super) const FEW: usize = 1_000;
/// How long a snapshot is held for those who are still looking somebody up in it, which takes them microseconds.
const HELD_FOR: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Does `work`; where it takes a while, other tasks of this thread go on elsewhere meanwhile.
pub(super) fn aside<T>(takes_a_while: bool, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread has nowhere else to go on.
    let others_can =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if takes_a_while && others_can { tokio::task::block_in_place(work) } else { work() }
}

/// Takes apart what is in force no longer, elsewhere and after the last look-up in it: that one would have to do it in
/// the middle of a review otherwise.
pub(super) fn retire(snapshot: Arc<Snapshot>) {
    if snapshot.index().len() > FEW {
        later(move || {
            let until = Instant::now() + HELD_FOR;
            while Arc::strong_count(&snapshot) > 1 && Instant::now() < until {
                thread::sleep(LOOK_EVERY);
            }
            drop(snapshot);
        });
    }
}

/// Does `work` elsewhere.
///
/// # Errors
/// Where it panics.
pub(super) async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    let (done, result) = oneshot::channel();
    // Whoever asked may be gone by then.
    later(move || drop(done.send(work())));
    result.await.map_err(|_| Panicked)
}

/// What was done elsewhere has panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading it has failed, by a fault of arngate's")]
pub(super) struct Panicked;

type Work = Box<dyn FnOnce() + Send>;

/// Has `work` done elsewhere, sooner or later. What there is to do is not bounded here: each source waits for what it
/// has asked for before it asks for more, but for what it lets go.
pub(super) fn later(work: impl FnOnce() + Send + 'static) {
    static THREAD: OnceLock<Option<mpsc::Sender<Work>>> = OnceLock::new();
    let thread = THREAD.get_or_init(|| {
        let (ask, asked) = mpsc::channel::<Work>();
        let spawned = thread::Builder::new().name("mappings".to_owned()).spawn(move || {
            for work in asked {
                // The panic has been told by its hook; the next piece of work has nothing to do with it.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        });
        spawned.is_ok().then_some(ask)
    });
    match thread {
        Some(ask) => drop(ask.send(Box::new(work))),
        // There are no threads to be had: slowly is better than not at all.
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mapping::AwsAuth;

    fn snapshot(accounts: usize) -> Arc<Snapshot> {
        let list: Vec<String> =
            (0..accounts).map(|number| format!("- '{:012}'", 100_000_000_000 + number)).collect();
        let data = BTreeMap::from([("mapAccounts".to_owned(), list.join("\n"))]);
        Arc::new(Snapshot::update(None, &AwsAuth::from(data)).0)
    }

    #[tokio::test]
    async fn a_long_one_outlives_whoever_looks_somebody_up_in_it_and_then_goes() {
        let retired = snapshot(FEW + 1);
        let (looking, gone) = (Arc::clone(&retired), Arc::downgrade(&retired));
        retire(retired);
        assert!(Arc::strong_count(&looking) == 2, "it is held for the one who looks");
        drop(looking);
        let wait = async {
            while gone.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is taken apart");
    }

    #[tokio::test]
    async fn a_panic_ends_neither_the_thread_nor_who_waits() {
        let failed = elsewhere(|| assert_eq!(std::env::args().count(), usize::MAX)).await;
        assert_eq!(failed, Err(Panicked));
        assert_eq!(elsewhere(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_short_one_goes_at_once() {
        let retired = snapshot(FEW);
        let gone = Arc::downgrade(&retired);
        retire(retired);
        assert_eq!(gone.strong_count(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_something_takes_a_while() {
        let (send, receive) = std::sync::mpsc::channel();
        let waits = tokio::spawn(async move {
            tokio::spawn(async move { send.send(()) });
            // With the only worker held up, the other task would never run.
            aside(true, || receive.recv_timeout(Duration::from_secs(20)))
        });
        waits.await.unwrap().unwrap();
    }
}
