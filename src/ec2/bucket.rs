use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

use super::Rate;

/// A token bucket: so many calls at once, and so many a second from then on.
///
/// It is kept as one point in time, by which every call so far would have been made at an even pace (the generic
/// cell rate algorithm): nothing has to fill it.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Between two calls at an even pace; zero where there is no limit.
    interval: Duration,
    /// How far calls may be ahead of that pace.
    ahead: Duration,
    paced: Mutex<Option<Instant>>,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let interval = match rate.per_second() {
            0 => Duration::ZERO,
            calls => Duration::from_secs(1) / calls,
        };
        Self { interval, ahead: interval * (rate.burst() - 1), paced: Mutex::new(None) }
    }

    /// Waits until a call may be made, and takes it; `false`, at once and without taking one, where that would be
    /// later than `deadline`.
    pub(super) async fn take(&self, deadline: Instant) -> bool {
        let Some(start) = self.reserve(Instant::now(), deadline) else { return false };
        sleep_until(start).await;
        true
    }

    fn reserve(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let mut paced = self.paced.lock().unwrap_or_else(PoisonError::into_inner);
        let call = paced.map_or(now, |paced| paced.max(now));
        let start = call.checked_sub(self.ahead).map_or(now, |start| start.max(now));
        if start > deadline {
            return None;
        }
        *paced = Some(call + self.interval);
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_pace() {
        let bucket = Bucket::new(rate(10, 3));
        let (begin, deadline) = (Instant::now(), Instant::now() + Duration::from_mins(1));
        let mut waited = Vec::new();
        for _ in 0..6 {
            assert!(bucket.take(deadline).await);
            waited.push(begin.elapsed().as_millis());
        }
        // Tokio's clock goes in whole milliseconds, and never wakes early.
        assert_eq!(waited, [0, 0, 0, 100, 200, 300]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begin = Instant::now();
        for _ in 0..3 {
            assert!(bucket.take(deadline).await);
        }
        assert_eq!(begin.elapsed(), Duration::ZERO, "it fills again, and no further");
        assert!(bucket.take(deadline).await);
        assert!(begin.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_be_too_late_is_refused_at_once_and_costs_nothing() {
        let bucket = Bucket::new(rate(1, 1));
        let begin = Instant::now();
        assert!(bucket.take(begin).await);
        assert!(!bucket.take(begin + Duration::from_millis(999)).await);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert!(bucket.take(begin + Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let bucket = Bucket::new(rate(0, 1));
        let begin = Instant::now();
        for _ in 0..1000 {
            assert!(bucket.take(begin).await);
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    proptest! {
        /// In no span of time are there more calls than the burst and the pace allow.
        #[test]
        fn no_span_has_more_than_its_share(
            per_second in 1..50_u32,
            burst in 1..20_u32,
            gaps in prop::collection::vec(0..500_u64, 1..60),
        ) {
            let bucket = Bucket::new(rate(per_second, burst));
            let begin = Instant::now();
            let mut now = begin;
            let mut starts = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let start = bucket.reserve(now, now + Duration::from_hours(1)).unwrap();
                prop_assert!(start >= now);
                starts.push(start.duration_since(begin).as_secs_f64());
            }
            for (index, first) in starts.iter().enumerate() {
                for (last, calls) in starts[index..].iter().zip(1_u32..) {
                    let share = f64::from(burst) + (last - first) * f64::from(per_second);
                    prop_assert!(f64::from(calls) <= share + 1e-3, "{calls} in {} s", last - first);
                }
            }
        }
    }
}
