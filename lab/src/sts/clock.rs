use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

/// What the emulator takes the time from: the system's clock or a time that stands still, either of which can
/// be moved, so that a test of expiry needs no sleep.
///
/// Clones move together.
#[derive(Debug, Clone)]
pub struct Clock {
    /// `None` is the system's clock.
    fixed: Option<Timestamp>,
    /// How far this clock is moved, in milliseconds.
    moved: Arc<AtomicI64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { fixed: None, moved: Arc::default() }
    }

    /// A clock that stands still at `time`.
    #[must_use]
    pub fn fixed(time: Timestamp) -> Self {
        Self { fixed: Some(time), moved: Arc::default() }
    }

    /// The time by this clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let moved = SignedDuration::from_millis(self.moved.load(Ordering::Relaxed));
        self.unmoved().checked_add(moved).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock, ahead or, with a negative duration, back.
    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.moved.fetch_add(millis, Ordering::Relaxed);
    }

    /// Moves the clock to `time`; a clock of the system goes on from there.
    pub fn set(&self, time: Timestamp) {
        let millis = time.as_millisecond() - self.unmoved().as_millisecond();
        self.moved.store(millis, Ordering::Relaxed);
    }

    fn unmoved(&self) -> Timestamp {
        self.fixed.unwrap_or_else(Timestamp::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_move_together() {
        let clock = Clock::fixed("2026-01-02T03:04:05Z".parse().unwrap());
        let other = clock.clone();
        clock.advance(SignedDuration::from_mins(15));
        assert_eq!(other.now(), "2026-01-02T03:19:05Z".parse().unwrap());
        other.set("2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(clock.now(), "2020-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn the_systems_clock_runs_on_when_moved() {
        let clock = Clock::system();
        clock.advance(SignedDuration::from_hours(-1));
        let behind = Timestamp::now().duration_since(clock.now());
        assert!((3_599..=3_601).contains(&behind.as_secs()), "{behind:?}");
    }
}
