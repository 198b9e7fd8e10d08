use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Duration, Instant};

/// How long the first denials of a reason count for the next ones.
const WINDOW: Duration = Duration::from_secs(1);

/// Which denials are written: of each reason the first ones of each second. The others are counted.
#[derive(Debug)]
pub(super) struct Sampler {
    /// How many of each reason a second; `None` where all are written.
    per_second: Option<NonZeroU32>,
    /// By reason. Reasons are a closed set.
    windows: Mutex<HashMap<&'static str, Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    written: u32,
    /// Those since the last one that was written.
    suppressed: u64,
}

impl Sampler {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, windows: Mutex::default() }
    }

    /// Whether a denial for `reason` is written at `now`: how many before it were not, since the last one that was;
    /// or `None` where this one is not either, and is counted.
    pub(super) fn admit(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let Some(per_second) = self.per_second else { return Some(0) };
        let mut windows = self.windows();
        let window = windows.entry(reason).or_insert(Window { began: now, written: 0, suppressed: 0 });
        if now.saturating_duration_since(window.began) >= WINDOW {
            (window.began, window.written) = (now, 0);
        }
        if window.written >= per_second.get() {
            window.suppressed += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.suppressed))
    }

    /// Takes the counts that no later denial has told of for `quiet`.
    pub(super) fn untold(&self, quiet: Duration, now: Instant) -> Vec<(&'static str, u64)> {
        let mut windows = self.windows();
        let untold = windows.iter_mut().filter(|(_, window)| {
            window.suppressed > 0 && now.saturating_duration_since(window.began) >= quiet
        });
        untold.map(|(reason, window)| (*reason, std::mem::take(&mut window.suppressed))).collect()
    }

    /// Whether there are counts that nothing has told of yet.
    pub(super) fn has_untold(&self) -> bool {
        self.windows().values().any(|window| window.suppressed > 0)
    }

    // Every change is whole at once, so that a panic elsewhere leaves nothing half done.
    fn windows(&self) -> MutexGuard<'_, HashMap<&'static str, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_of_each_second_and_each_reason_are_written_and_the_others_counted() {
        let (sampler, now) = (Sampler::new(NonZeroU32::new(3)), Instant::now());
        let written = |reason, at| (0..10).filter_map(|_| sampler.admit(reason, at)).collect::<Vec<_>>();
        assert_eq!(written("a", now), [0, 0, 0]);
        assert_eq!(written("b", now), [0, 0, 0], "each reason for itself");
        assert_eq!(written("a", now + Duration::from_millis(999)), [0; 0]);
        assert_eq!(written("a", now + seconds(1)), [17, 0, 0], "the next one tells of all before it");
        assert_eq!(written("a", now + seconds(9)), [7, 0, 0]);
    }

    #[test]
    fn what_nothing_tells_of_is_told_once_when_it_has_been_quiet_for_a_while() {
        let (sampler, now) = (Sampler::new(NonZeroU32::new(1)), Instant::now());
        for _ in 0..5 {
            sampler.admit("a", now);
        }
        sampler.admit("b", now);
        assert!(sampler.has_untold());
        assert_eq!(sampler.untold(seconds(10), now + seconds(9)), []);
        assert_eq!(sampler.untold(seconds(10), now + seconds(10)), [("a", 4)]);
        assert_eq!(sampler.untold(Duration::ZERO, now + seconds(99)), []);
        assert!(!sampler.has_untold());
        assert_eq!(sampler.admit("a", now + seconds(99)), Some(0), "it is not told twice");
    }

    #[test]
    fn without_a_limit_all_are_written() {
        let (sampler, now) = (Sampler::new(None), Instant::now());
        assert!((0..1000).all(|_| sampler.admit("a", now) == Some(0)));
        assert!(!sampler.has_untold());
    }
}
