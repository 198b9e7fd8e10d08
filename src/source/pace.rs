//! Watches begin one after the other, and not as fast as they end.
//!
//! kube's watcher begins a watch anew as soon as the last one ended, which is right where it lasted its time. An API
//! server, or a proxy before it, that takes watches and closes them at once would be asked as fast as it can
//! answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::Request;
use tokio::time::Instant;
use tower::{Layer, Service};

/// From the beginning of a watch to that of the next one, once [`FREE`] have begun at once.
const PACE: Duration = Duration::from_secs(1);
/// How many may begin at once: one a kind of object at the start, and again after a failure.
const FREE: u32 = 4;

/// Puts [`Paced`] around a client of the API server.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaceLayer;

impl<S> Layer<S> for PaceLayer {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        Paced { inner, next: Arc::new(Mutex::new(Instant::now())) }
    }
}

/// Lets requests through, those that begin a watch at their pace.
#[derive(Debug, Clone)]
pub(super) struct Paced<S> {
    inner: S,
    /// When the budget of watches is whole again: further ahead than [`FREE`] times [`PACE`], the next one waits.
    next: Arc<Mutex<Instant>>,
}

impl<S> Paced<S> {
    /// Takes a place for a watch that is asked for at `now`: when it may begin.
    fn place(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(now) + PACE;
        next.checked_sub(PACE * FREE).map_or(now, |begin| begin.max(now))
    }
}

impl<S, B> Service<Request<B>> for Paced<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_watch = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
        let begin = is_watch.then(|| self.place(Instant::now()));
        // The client sends nothing before it is asked for the answer.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if let Some(begin) = begin {
                tokio::time::sleep_until(begin).await;
            }
            answer.await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::Ready};

    use super::*;

    /// Answers at once.
    #[derive(Clone)]
    struct Server;

    impl Service<Request<()>> for Server {
        type Response = ();
        type Error = Infallible;
        type Future = Ready<Result<(), Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    /// How long `count` requests for `uri` take, one after the other.
    async fn time_of(paced: &mut Paced<Server>, uri: &str, count: usize) -> Duration {
        let started = Instant::now();
        for _ in 0..count {
            paced.call(Request::get(uri).body(()).unwrap()).await.unwrap();
        }
        // The paused clock goes by milliseconds.
        Duration::from_secs_f64(started.elapsed().as_secs_f64().round())
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_end_at_once_begin_once_a_second() {
        let watch = "/api/v1/namespaces/kube-system/configmaps?allowWatchBookmarks=true&watch=true&limit=1";
        let mut paced = PaceLayer.layer(Server);
        assert_eq!(time_of(&mut paced, watch, 4).await, Duration::ZERO, "the first ones are free");
        assert_eq!(time_of(&mut paced, watch, 10).await, 10 * PACE);
        assert_eq!(time_of(&mut paced, "/api/v1/configmaps?watching=true", 100).await, Duration::ZERO);

        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(time_of(&mut paced, watch, 4).await, Duration::ZERO, "they have become free again");
        assert_eq!(time_of(&mut paced, watch, 1).await, PACE);
    }
}
