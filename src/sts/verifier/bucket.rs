use std::time::Duration;

use tokio::time::Instant;

/// How much of a rate is left after STS has throttled: each cut leaves this much of it.
const CUT: f64 = 0.7;
/// What no cut goes below.
const FLOOR: f64 = 0.05;
/// How much of the whole rate comes back in a second without a cut.
const RECOVERY: f64 = 0.05;
/// Answers that were under way together tell the same thing: they cut once.
const CUTS_APART: Duration = Duration::from_millis(250);

/// How many calls there may be: `rate` a second in the long run, `burst` at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// Calls a second; `None` where they are not limited.
    pub(super) per_second: Option<f64>,
    /// Calls at once; at least 1.
    pub(super) burst: f64,
}

/// A token bucket. It never looks at a clock: whoever uses it says what time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    rate: Rate,
    level: f64,
    at: Instant,
    /// The part of the rate that is left, as of the last cut.
    share: f64,
    cut_at: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub(super) const fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, level: rate.burst, at: now, share: 1.0, cut_at: None }
    }

    /// Whether a call may leave.
    pub(super) fn has(&mut self, now: Instant) -> bool {
        let Some(per_second) = self.rate.per_second else { return true };
        let share = self.share(now);
        // A clock that stands still or goes back adds nothing.
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + elapsed * per_second * share).min(self.rate.burst);
        self.at = self.at.max(now);
        self.level >= 1.0
    }

    /// Counts a call that leaves. Whoever calls has seen that [`Self::has`] one.
    pub(super) fn take(&mut self) {
        if self.rate.per_second.is_some() {
            self.level -= 1.0;
        }
    }

    /// How long until a call may leave, where nobody else takes it.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        if self.has(now) {
            return Duration::ZERO;
        }
        let rate = self.rate.per_second.unwrap_or(f64::INFINITY) * self.share(now);
        // A thousandth more: what is there then must not lack the last digit of a float.
        Duration::from_secs_f64(((1.0 - self.level) / rate).clamp(0.0, 3600.0)) + Duration::from_millis(1)
    }

    /// Calls a second as they are let through now.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        self.rate.per_second.map_or(f64::INFINITY, |rate| rate * self.share(now))
    }

    /// The part of the rate that STS's throttling has left, from [`FLOOR`] to 1.
    pub(super) fn share(&self, now: Instant) -> f64 {
        self.cut_at.map_or(1.0, |cut_at| {
            let elapsed = now.saturating_duration_since(cut_at).as_secs_f64();
            RECOVERY.mul_add(elapsed, self.share).min(1.0)
        })
    }

    /// Takes less from now on, since STS throttles; it comes back by itself.
    pub(super) fn cut(&mut self, now: Instant) {
        if self.cut_at.is_some_and(|cut_at| now.saturating_duration_since(cut_at) < CUTS_APART) {
            return;
        }
        // What has flowed in until now came at the rate until now.
        self.has(now);
        self.share = (self.share(now) * CUT).max(FLOOR);
        self.cut_at = Some(now);
        // A full bucket would send a burst at an STS that has just asked for less.
        self.level = self.level.min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(per_second: f64, burst: f64) -> (Bucket, Instant) {
        let now = Instant::now();
        (Bucket::new(Rate { per_second: Some(per_second), burst }, now), now)
    }

    fn takes(bucket: &mut Bucket, now: Instant) -> usize {
        let mut taken = 0;
        while bucket.has(now) {
            bucket.take();
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut bucket, now) = bucket(10.0, 5.0);
        assert_eq!(takes(&mut bucket, now), 5);
        assert_eq!(takes(&mut bucket, now + Duration::from_millis(301)), 3);
        assert_eq!(
            takes(&mut bucket, now + Duration::from_mins(1)),
            5,
            "a pause saves up no more than a burst"
        );
        assert_eq!(takes(&mut bucket, now), 0, "a clock that goes back gives nothing");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: None, burst: 1.0 }, now);
        for _ in 0..1000 {
            assert!(bucket.has(now));
            bucket.take();
        }
        assert_eq!(bucket.wait(now), Duration::ZERO);
    }

    #[test]
    fn a_cut_takes_a_part_and_it_comes_back() {
        let (mut bucket, now) = bucket(100.0, 100.0);
        bucket.cut(now);
        bucket.cut(now + Duration::from_millis(10));
        assert!((bucket.share(now) - 0.7).abs() < 1e-9, "answers of one moment cut once");
        assert_eq!(takes(&mut bucket, now), 1, "the burst is gone");
        assert_eq!(takes(&mut bucket, now + Duration::from_millis(101)), 7);
        assert!((bucket.share(now + Duration::from_secs(3)) - 0.85).abs() < 1e-9);
        assert!((bucket.share(now + Duration::from_secs(7)) - 1.0).abs() < 1e-9);
        for second in 0..100 {
            bucket.cut(now + Duration::from_secs(10) + Duration::from_millis(250) * second);
        }
        assert!(bucket.share(now + Duration::from_secs(35)) >= FLOOR, "never nothing");
    }

    proptest! {
        /// Whatever the times: no window lets more through than a burst and what flows in while it lasts.
        #[test]
        fn no_window_has_more_than_the_burst_and_the_rate(
            rate in 1_u32..200,
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..300, 1..200),
        ) {
            let (mut bucket, mut now) = bucket(f64::from(rate), f64::from(burst));
            let mut taken = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if bucket.has(now) {
                    bucket.take();
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = f64::from(burst) + f64::from(rate) * (*to - *from).as_secs_f64();
                    let calls = u32::try_from(last - first + 1).unwrap();
                    prop_assert!(f64::from(calls) <= most + 1e-6, "{calls} in {:?}", *to - *from);
                }
            }
        }

        /// Who waits as long as told gets a call then, and not before.
        #[test]
        fn the_wait_is_neither_too_short_nor_too_long(rate in 1_u32..1000, taken in 1_u32..10) {
            let (mut bucket, now) = bucket(f64::from(rate), f64::from(taken));
            takes(&mut bucket, now);
            let wait = bucket.wait(now);
            prop_assert!(bucket.clone().has(now + wait));
            prop_assert!(!bucket.has(now + wait.saturating_sub(Duration::from_millis(2))));
        }
    }
}
