use std::{fmt, future::Future, hash::Hash, sync::Arc};

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

/// How many wait for one call at most; what each holds is small, but not nothing.
const MAX_WAITING: usize = 4096;

/// Calls under way, by key: who asks what is being asked already waits for that answer.
///
/// A call is a task of its own. Whoever started it may go away, and the others still get its answer; when it
/// ends, however it does, its key is free again.
pub(super) struct Flights<K: Eq + Hash, V> {
    under_way: DashMap<K, Flight<V>>,
}

struct Flight<V> {
    answer: watch::Receiver<Option<V>>,
    waiting: usize,
}

/// How an answer came about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival<V> {
    /// There was no call, and none was needed.
    Ready(V),
    /// This caller's own call answered.
    Own(V),
    /// A call that was under way already answered.
    Shared(V),
    /// The call ended without an answer: it panicked, or the process is ending.
    Lost,
    /// Too many wait for that call.
    Full,
}

/// What [`Flights::join`] is to do where no call is under way.
pub(super) enum Departure<V, F> {
    /// Nothing: here is the answer.
    Ready(V),
    /// Make this call.
    Call(F),
}

/// Frees the key when the call ends, whether by an answer, a panic or the end of the runtime.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.under_way.remove(&self.key);
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Copy + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { under_way: DashMap::new() }
    }

    /// Waits for the call of `key` that is under way, or for the one that `depart` makes.
    ///
    /// `depart` runs while the key is locked: it must not wait, and not come back here. It sees all that calls
    /// of this key which have ended have left behind.
    pub(super) async fn join<F>(
        self: &Arc<Self>,
        key: K,
        depart: impl FnOnce() -> Departure<V, F>,
    ) -> Arrival<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (answer, own) = match self.board(key, depart) {
            Ok(boarded) => boarded,
            Err(at_once) => return at_once,
        };
        match received(answer).await {
            Some(value) if own => Arrival::Own(value),
            Some(value) => Arrival::Shared(value),
            None => Arrival::Lost,
        }
    }

    /// How many calls are under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    fn board<F>(
        self: &Arc<Self>,
        key: K,
        depart: impl FnOnce() -> Departure<V, F>,
    ) -> Result<(watch::Receiver<Option<V>>, bool), Arrival<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (call, sender, receiver) = match self.under_way.entry(key) {
            Entry::Occupied(mut flight) => {
                let flight = flight.get_mut();
                if flight.waiting >= MAX_WAITING {
                    return Err(Arrival::Full);
                }
                flight.waiting += 1;
                return Ok((flight.answer.clone(), false));
            }
            Entry::Vacant(free) => match depart() {
                Departure::Ready(value) => return Err(Arrival::Ready(value)),
                Departure::Call(call) => {
                    let (sender, receiver) = watch::channel(None);
                    free.insert(Flight { answer: receiver.clone(), waiting: 1 });
                    (call, sender, receiver)
                }
            },
        };
        // Not before the key is unlocked: a runtime that is ending drops the task at once, and its landing with it.
        let landing = Landing { flights: Arc::clone(self), key };
        tokio::spawn(async move {
            let value = call.await;
            sender.send_replace(Some(value));
            drop(landing);
        });
        Ok((receiver, true))
    }
}

async fn received<V: Clone>(mut answer: watch::Receiver<Option<V>>) -> Option<V> {
    let value = answer.wait_for(Option::is_some).await.ok()?;
    value.clone()
}

impl<K: Eq + Hash, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.under_way.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::sync::Semaphore;

    use super::*;

    /// Calls that end when they are let, and are counted.
    #[derive(Clone)]
    struct Calls {
        flights: Arc<Flights<u8, usize>>,
        made: Arc<AtomicUsize>,
        end: Arc<Semaphore>,
    }

    impl Calls {
        fn new() -> Self {
            Self { flights: Arc::new(Flights::new()), made: Arc::default(), end: Arc::new(Semaphore::new(0)) }
        }

        async fn join(self, key: u8) -> Arrival<usize> {
            let flights = Arc::clone(&self.flights);
            let call = async move {
                let number = self.made.fetch_add(1, Ordering::SeqCst);
                self.end.acquire().await.unwrap().forget();
                number
            };
            flights.join(key, || Departure::Call(call)).await
        }

        fn made(&self) -> usize {
            self.made.load(Ordering::SeqCst)
        }
    }

    /// Lets every task run until nothing can go on.
    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn equal_keys_share_a_call_and_others_do_not() {
        let calls = Calls::new();
        let waiting: Vec<_> =
            (0..100).map(|number| tokio::spawn(calls.clone().join(u8::from(number >= 60)))).collect();
        settle().await;
        assert_eq!((calls.made(), calls.flights.len()), (2, 2));
        calls.end.add_permits(2);
        let mut own = 0;
        for (number, waiting) in waiting.into_iter().enumerate() {
            match waiting.await.unwrap() {
                Arrival::Own(value) => {
                    own += 1;
                    assert_eq!(value, usize::from(number >= 60));
                }
                Arrival::Shared(value) => assert_eq!(value, usize::from(number >= 60)),
                other => panic!("{other:?}"),
            }
        }
        settle().await;
        assert_eq!((own, calls.made(), calls.flights.len()), (2, 2, 0));
    }

    #[tokio::test]
    async fn the_call_goes_on_for_the_others_when_its_starter_goes_away() {
        let calls = Calls::new();
        let starter = tokio::spawn(calls.clone().join(1));
        settle().await;
        let other = tokio::spawn(calls.clone().join(1));
        settle().await;
        starter.abort();
        assert!(starter.await.unwrap_err().is_cancelled());
        calls.end.add_permits(1);
        assert_eq!(other.await.unwrap(), Arrival::Shared(0));
        assert_eq!(calls.made(), 1);
    }

    #[tokio::test]
    async fn a_call_that_everybody_left_still_ends_and_frees_its_key() {
        let calls = Calls::new();
        let alone = tokio::spawn(calls.clone().join(1));
        settle().await;
        alone.abort();
        assert_eq!(calls.flights.len(), 1);
        calls.end.add_permits(1);
        settle().await;
        assert_eq!(calls.flights.len(), 0);
    }

    #[tokio::test]
    async fn a_panic_wedges_no_key() {
        let calls = Calls::new();
        let flights = Arc::clone(&calls.flights);
        let end = Arc::clone(&calls.end);
        let call = async move {
            end.acquire().await.unwrap().forget();
            panic!("as the test wants it")
        };
        let starter = tokio::spawn(async move { flights.join(1, || Departure::Call(call)).await });
        settle().await;
        let other = tokio::spawn(calls.clone().join(1));
        settle().await;
        calls.end.add_permits(2);
        assert_eq!(starter.await.unwrap(), Arrival::Lost);
        assert_eq!(other.await.unwrap(), Arrival::Lost);
        assert_eq!(calls.clone().join(1).await, Arrival::Own(0), "the next one makes a call of its own");
    }

    #[test]
    fn the_end_of_the_runtime_wedges_no_key() {
        let calls = Calls::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let waiting = runtime.spawn(calls.clone().join(1));
        runtime.block_on(settle());
        assert_eq!(calls.flights.len(), 1);
        drop((waiting, runtime));
        assert_eq!(calls.flights.len(), 0);
    }

    #[tokio::test]
    async fn what_needs_no_call_makes_none() {
        let flights = Arc::new(Flights::<u8, u8>::new());
        let arrival = flights.join(1, || Departure::<_, std::future::Pending<u8>>::Ready(7)).await;
        assert_eq!((arrival, flights.len()), (Arrival::Ready(7), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_wait_for_one_call() {
        let calls = Calls::new();
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| tokio::spawn(calls.clone().join(1))).collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(calls.clone().join(1).await, Arrival::Full);
        calls.end.add_permits(1);
        for waiting in waiting {
            assert!(matches!(waiting.await.unwrap(), Arrival::Own(0) | Arrival::Shared(0)));
        }
    }
}
