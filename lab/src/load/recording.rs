use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{AnswerKind, TokenClass};

/// Latencies are kept from a microsecond to this many, with three digits.
const LONGEST_MICROS: u64 = 120_000_000;
/// How many intervals a run is parted into at most: what a plot can show.
const INTERVALS: u32 = 150;
/// How many there are at least.
const FEWEST_INTERVALS: u32 = 8;
/// How many requests an interval should have in the mean.
const FILLED: u64 = 5;

/// What came of the requests of one class.
#[derive(Debug, Clone)]
pub struct ClassRecording {
    /// From the planned start to the end of the answer, in microseconds; those that were not sent are left out.
    pub latency: Histogram<u64>,
    /// How many came to what, in the order of [`AnswerKind::ALL`].
    pub answers: [u64; AnswerKind::ALL.len()],
}

/// What happened within one interval of a run.
#[derive(Debug, Clone)]
pub struct Interval {
    /// How many requests were planned to start in it.
    pub started: u64,
    /// How many ended in it, and as what.
    pub ended: [u64; AnswerKind::ALL.len()],
    /// The latency of those planned to start in it; two digits are enough for a plot.
    pub latency: Histogram<u32>,
}

/// All that is kept of a run; its size does not depend on how many requests there were.
#[derive(Debug, Clone)]
pub struct Recording {
    /// How long an interval is.
    pub width: Duration,
    /// The intervals, from the start.
    pub intervals: Vec<Interval>,
    /// By class, in the order of [`TokenClass::ALL`].
    pub classes: Vec<ClassRecording>,
    /// How much later than planned requests were sent, in microseconds: what the generator itself adds.
    pub lag: Histogram<u64>,
}

/// Makes a histogram. Bounds and digits are fixed and sound: a failure is a bug of the bounds.
fn latencies<T: hdrhistogram::Counter>(digits: u8) -> Histogram<T> {
    #[expect(
        clippy::expect_used,
        reason = "1 is at least 1, the longest is at least twice that, 3 digits are at most 5"
    )]
    Histogram::new_with_bounds(1, LONGEST_MICROS, digits).expect("bounds that HDR histograms allow")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_MICROS)
}

impl Recording {
    /// For a run of about `lasting` and, where that is known, about `expected` requests: the fewer there are, the
    /// longer intervals are.
    #[must_use]
    pub fn new(lasting: Duration, expected: Option<u64>) -> Self {
        let filled = expected.map_or(INTERVALS, |expected| {
            u32::try_from(expected / FILLED).unwrap_or(INTERVALS).clamp(FEWEST_INTERVALS, INTERVALS)
        });
        let class = ClassRecording { latency: latencies(3), answers: [0; AnswerKind::ALL.len()] };
        // Whole steps, so that plots have sensible times.
        let width = (lasting / filled).as_millis().div_ceil(100).max(1) * 100;
        Self {
            width: Duration::from_millis(u64::try_from(width).unwrap_or(u64::MAX)),
            intervals: Vec::new(),
            classes: vec![class; TokenClass::ALL.len()],
            lag: latencies(3),
        }
    }

    /// Adds a request that was planned for `planned` from the start, and took `latency`.
    pub fn add(&mut self, class: TokenClass, kind: AnswerKind, planned: Duration, latency: Duration) {
        if let Some(class) = self.classes.get_mut(class.index()) {
            if let Some(count) = class.answers.get_mut(kind.index()) {
                *count += 1;
            }
            if kind != AnswerKind::NotSent {
                class.latency.saturating_record(micros(latency));
            }
        }
        if let Some(interval) = self.interval(planned) {
            interval.started += 1;
            if kind != AnswerKind::NotSent {
                interval.latency.saturating_record(micros(latency));
            }
        }
        if let Some(count) =
            self.interval(planned + latency).and_then(|interval| interval.ended.get_mut(kind.index()))
        {
            *count += 1;
        }
    }

    /// Adds how much later than planned a request was sent.
    pub fn add_lag(&mut self, lag: Duration) {
        self.lag.saturating_record(micros(lag));
    }

    /// Adds another recording of the same time.
    pub fn merge(&mut self, other: &Self) {
        for (class, others) in self.classes.iter_mut().zip(&other.classes) {
            // Bounds are the same, so that nothing is out of them.
            let _ = class.latency.add(&others.latency);
            add(&mut class.answers, &others.answers);
        }
        let _ = self.lag.add(&other.lag);
        for (index, others) in other.intervals.iter().enumerate() {
            let time = other.width * u32::try_from(index).unwrap_or(u32::MAX);
            if let Some(interval) = self.interval(time) {
                interval.started += others.started;
                add(&mut interval.ended, &others.ended);
                let _ = interval.latency.add(&others.latency);
            }
        }
    }

    /// The latency of all classes.
    #[must_use]
    pub fn latency(&self) -> Histogram<u64> {
        let mut all = latencies(3);
        for class in &self.classes {
            let _ = all.add(&class.latency);
        }
        all
    }

    /// How many came to what, of all classes.
    #[must_use]
    pub fn answers(&self) -> [u64; AnswerKind::ALL.len()] {
        let mut all = [0; AnswerKind::ALL.len()];
        for class in &self.classes {
            add(&mut all, &class.answers);
        }
        all
    }

    /// The interval of a time; what is beyond twice the plan, as a late end may be, has none.
    fn interval(&mut self, time: Duration) -> Option<&mut Interval> {
        let index = usize::try_from(time.as_micros() / self.width.as_micros().max(1)).ok()?;
        if index > 2 * INTERVALS as usize {
            return None;
        }
        if index >= self.intervals.len() {
            let empty = Interval { started: 0, ended: [0; AnswerKind::ALL.len()], latency: latencies(2) };
            self.intervals.resize(index + 1, empty);
        }
        self.intervals.get_mut(index)
    }
}

fn add(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// A [`Recording`] that tasks share. What they do with it is short.
#[derive(Debug)]
pub struct Recorder(Mutex<Recording>);

impl Recorder {
    /// See [`Recording::new`].
    #[must_use]
    pub fn new(lasting: Duration, expected: Option<u64>) -> Self {
        Self(Mutex::new(Recording::new(lasting, expected)))
    }

    /// See [`Recording::add`].
    pub fn add(&self, class: TokenClass, kind: AnswerKind, planned: Duration, latency: Duration) {
        self.recording().add(class, kind, planned, latency);
    }

    /// See [`Recording::add_lag`].
    pub fn add_lag(&self, lag: Duration) {
        self.recording().add_lag(lag);
    }

    /// What there is so far.
    #[must_use]
    pub fn snapshot(&self) -> Recording {
        self.recording().clone()
    }

    /// How many requests have ended so far, how many of them without a verdict, and the 99th percentile of all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64, Duration) {
        let recording = self.recording();
        let answers = recording.answers();
        let ended = answers.iter().sum();
        let verdicts: u64 = AnswerKind::ALL
            .into_iter()
            .filter(|kind| kind.is_verdict())
            .filter_map(|kind| answers.get(kind.index()))
            .sum();
        let p99 = Duration::from_micros(recording.latency().value_at_quantile(0.99));
        (ended, ended - verdicts, p99)
    }

    // A panic elsewhere leaves counts that are off by one at most.
    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_stall_is_seen_by_all_who_came_meanwhile() {
        // Every 10 ms one, and the server stops for a second: had only one waited, p50 would not know.
        let mut recording = Recording::new(Duration::from_secs(1), None);
        for number in 0..100 {
            let planned = MS(10 * number);
            recording.add(
                TokenClass::Fresh,
                AnswerKind::Authenticated,
                planned,
                MS(1000).saturating_sub(planned),
            );
        }
        let median = recording.latency().value_at_quantile(0.5);
        assert!((499_000..=511_000).contains(&median), "{median}");
    }

    #[test]
    fn what_was_recorded_apart_is_merged() {
        let (mut one, mut other) = (Recording::new(MS(1000), None), Recording::new(MS(1000), None));
        for number in 1..=50 {
            one.add(TokenClass::Fresh, AnswerKind::Authenticated, MS(100), MS(number));
            other.add(TokenClass::Garbage, AnswerKind::Denied, MS(150), MS(50 + number));
            other.add_lag(MS(1));
        }
        one.merge(&other);
        let all = one.latency();
        assert_eq!((all.len(), one.lag.len()), (100, 50));
        assert!(all.value_at_quantile(0.5).abs_diff(50_000) < 100);
        assert!(all.value_at_quantile(0.99).abs_diff(99_000) < 100);
        assert_eq!(one.answers()[AnswerKind::Denied.index()], 50);
        assert_eq!(one.classes[TokenClass::Fresh.index()].latency.len(), 50);
        assert_eq!(one.intervals[1].started, 100);
        assert_eq!(one.intervals[1].latency.len(), 100);
    }

    #[test]
    fn requests_count_where_they_start_and_where_they_end() {
        let mut recording = Recording::new(MS(1000), None);
        recording.add(TokenClass::Fresh, AnswerKind::Throttled, MS(50), MS(200));
        assert_eq!(recording.intervals[0].started, 1);
        assert_eq!(recording.intervals[2].ended[AnswerKind::Throttled.index()], 1);
        assert_eq!(recording.intervals[0].latency.len(), 1);
    }

    #[test]
    fn what_was_not_sent_has_no_latency() {
        let mut recording = Recording::new(MS(1000), None);
        recording.add(TokenClass::Fresh, AnswerKind::NotSent, MS(0), MS(0));
        assert_eq!((recording.latency().len(), recording.answers()[AnswerKind::NotSent.index()]), (0, 1));
    }

    #[test]
    fn memory_is_bounded_whatever_the_run_is() {
        let mut recording = Recording::new(Duration::from_hours(10), None);
        for minute in 0..6_000 {
            recording.add(TokenClass::Fresh, AnswerKind::Denied, Duration::from_mins(minute), MS(1));
        }
        assert!(recording.intervals.len() <= 2 * INTERVALS as usize + 1);
        assert_eq!(recording.latency().len(), 6_000);
    }
}
