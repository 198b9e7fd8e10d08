//! The connections that are open: how many there are, what each is doing, and which one goes where there is no room.
//!
//! Whoever fills every place must not keep kube-apiserver out. So a place is taken from whoever has had nothing decided
//! for the longest time: a handshake that does not end, a request that does not arrive, a connection that is idle. A
//! request that has arrived whole is never cut off.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Closed, Metrics};

/// How long a connection waits for a place before it is looked again whether one may be taken.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Places for connections.
#[derive(Debug)]
pub(super) struct Connections {
    places: usize,
    open: Mutex<Open>,
    /// A place may be free.
    room: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<Activity>>,
}

/// What a connection is doing.
#[derive(Debug)]
struct Activity {
    now: Mutex<Doing>,
    must_go: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
struct Doing {
    /// Requests of which the head has come, and the answer has not been made.
    asked: usize,
    /// Those of them that have come whole.
    deciding: usize,
    /// When the last answer was made; before the first one, when the connection was made.
    quiet_since: Instant,
    /// Whether anything was ever asked.
    ever_asked: bool,
}

/// A place that is taken. It is free when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(places: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { places, open: Mutex::default(), room: Notify::new(), metrics })
    }

    /// Takes a place. Where all are taken, whoever has had nothing decided for the longest time has to go; where
    /// something is being decided on every one, it waits.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let freed = self.room.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            // That a decision has been made is told nobody; it is seen at the next look.
            let _ = timeout(LOOK_AGAIN, freed).await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let mut open = lock(&self.open);
        if open.by_number.len() >= self.places {
            let waiting = open.by_number.values().filter(|one| !one.must_go.is_cancelled());
            let longest = waiting
                .filter_map(|one| one.doing().waiting_since().map(|since| (since, one)))
                .min_by_key(|(since, _)| *since);
            // One that was asked to go before, and has not gone yet, will do as well.
            if let Some((_, one)) = longest
                && !open.by_number.values().any(|one| one.must_go.is_cancelled())
            {
                one.must_go.cancel();
                self.metrics.connection_closed(Closed::NoRoom);
            }
            return None;
        }
        let doing = Doing { asked: 0, deciding: 0, quiet_since: Instant::now(), ever_asked: false };
        let activity = Arc::new(Activity { now: Mutex::new(doing), must_go: CancellationToken::new() });
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, Arc::clone(&activity));
        self.metrics.connections(1);
        Some(Place { number, activity, connections: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.connections.open).by_number.remove(&self.number);
        self.connections.metrics.connections(-1);
        self.connections.room.notify_one();
    }
}

impl Place {
    /// Ends when another connection needs the place.
    pub(super) async fn needed(&self) {
        self.activity.must_go.cancelled().await;
    }

    /// Since when nothing has been under way, and whether anything ever was; `None` while something is.
    pub(super) fn quiet_since(&self) -> Option<(Instant, bool)> {
        let doing = self.activity.doing();
        (doing.asked == 0).then_some((doing.quiet_since, doing.ever_asked))
    }

    /// A request's head has come, and perhaps its body.
    pub(super) fn asked(&self) -> Progress {
        let mut doing = lock(&self.activity.now);
        doing.asked += 1;
        doing.ever_asked = true;
        Progress(Arc::new(Part { activity: Arc::clone(&self.activity), whole: Mutex::new(false) }))
    }
}

/// How far a request has come. It is answered when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Part>);

#[derive(Debug)]
struct Part {
    activity: Arc<Activity>,
    whole: Mutex<bool>,
}

impl Progress {
    /// It has come whole: from now on it is being decided.
    fn whole(&self) {
        let mut whole = lock(&self.0.whole);
        if !*whole {
            *whole = true;
            lock(&self.0.activity.now).deciding += 1;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let whole = *lock(&self.whole);
        let mut doing = lock(&self.activity.now);
        doing.asked = doing.asked.saturating_sub(1);
        if whole {
            doing.deciding = doing.deciding.saturating_sub(1);
            doing.quiet_since = Instant::now();
        }
    }
}

impl Activity {
    fn doing(&self) -> Doing {
        *lock(&self.now)
    }
}

impl Doing {
    /// Since when nothing has been decided; `None` while something is.
    fn waiting_since(&self) -> Option<Instant> {
        (self.deciding == 0).then_some(self.quiet_since)
    }
}

/// Whoever panicked while it was held left numbers that are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's body, which tells when it has come whole.
#[derive(Debug)]
pub struct Arriving {
    body: Incoming,
    progress: Progress,
}

impl Arriving {
    pub(super) fn new(body: Incoming, progress: Progress) -> Self {
        if body.is_end_stream() {
            progress.whole();
        }
        Self { body, progress }
    }
}

impl Body for Arriving {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.progress.whole();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(places: usize) -> Arc<Connections> {
        Connections::new(places, Metrics::new())
    }

    async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_mins(1), future).await.expect("it does not happen")
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_had_nothing_decided_for_the_longest_time_makes_room() {
        let connections = connections(3);
        let silent = connections.take().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let slow = connections.take().await;
        let unfinished = slow.asked();
        tokio::time::advance(Duration::from_secs(1)).await;
        let answered = connections.take().await;
        silent.asked().whole();
        // Nothing has been decided on this one since it was made.
        let gone = |place: &Place| place.activity.must_go.is_cancelled();
        let next = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.take().await }
        });
        within_a_minute(slow.needed()).await;
        assert!(!gone(&silent) && !gone(&answered));
        drop((unfinished, slow));
        let next = within_a_minute(next).await.unwrap();
        assert!(!gone(&next), "nobody else had to go for it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_decided_is_never_cut_off() {
        let connections = connections(2);
        let places = [connections.take().await, connections.take().await];
        let [first, second] = [places[0].asked(), places[1].asked()];
        first.whole();
        second.whole();
        let next = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.take().await }
        });
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!next.is_finished(), "there is no room");
        assert!(places.iter().all(|place| !place.activity.must_go.is_cancelled()));
        // Once one of them has been answered, its connection makes room.
        drop(second);
        within_a_minute(places[1].needed()).await;
        let [first_place, second_place] = places;
        drop(second_place);
        within_a_minute(next).await.unwrap();
        assert!(!first_place.activity.must_go.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_under_way_from_its_head_to_its_answer() {
        let place = connections(1).take().await;
        let made = Instant::now();
        assert_eq!(place.quiet_since(), Some((made, false)));
        let progress = place.asked();
        let body = progress.clone();
        assert_eq!(place.quiet_since(), None);
        body.whole();
        body.whole();
        drop(body);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(place.quiet_since(), None);
        drop(progress);
        assert_eq!(place.quiet_since(), Some((made + Duration::from_secs(5), true)));
        assert_eq!(place.activity.doing().deciding, 0);
    }
}
