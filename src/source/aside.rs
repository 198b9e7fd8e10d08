//! Work that takes a while, done where no review waits for it.
//!
//! The runtime has as many workers as there are CPUs, and whatever one of them does between two waits holds up every
//! review that is queued behind it. To read a long list takes a worker's while; so does to take apart what was in force
//! before it: 100,000 mappings are some half a million pieces of memory to be given back.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::mapping::Snapshot;

/// How many mappings are handled in place, which takes less than a millisecond.
pub(super) const FEW: usize = 1_000;
/// How long a snapshot is held for those who are still looking somebody up in it, which takes them microseconds.
const HELD_FOR: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Does `work`; where it takes a while, other tasks of this thread go on elsewhere meanwhile.
pub(super) fn aside<T>(takes_a_while: bool, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread has nowhere else to go on.
    let others_can =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if takes_a_while && others_can { tokio::task::block_in_place(work) } else { work() }
}

/// Takes apart what is in force no longer, on a thread of its own and after the last look-up in it: that one would
/// have to do it in the middle of a review otherwise.
pub(super) fn retire(snapshot: Arc<Snapshot>) {
    if snapshot.index().len() <= FEW {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn_blocking(move || {
            let until = Instant::now() + HELD_FOR;
            while Arc::strong_count(&snapshot) > 1 && Instant::now() < until {
                thread::sleep(LOOK_EVERY);
            }
            drop(snapshot);
        });
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
