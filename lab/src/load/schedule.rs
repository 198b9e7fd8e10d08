use std::{str::FromStr, time::Duration};

use jiff::SignedDuration;

/// The most arrivals that a schedule may have.
const MOST_ARRIVALS: f64 = 1e9;

/// A time with a rate that stays or changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Requests a second at its beginning.
    pub from: f64,
    /// Requests a second at its end.
    pub to: f64,
    /// How long it lasts.
    pub lasting: Duration,
}

/// A text that is no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected FROM:TO:DURATION or RATE:DURATION with requests a second, such as 0:500:30s or 500:1m")]
pub struct UnknownStage;

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let (from, to, lasting) = match parts.as_slice() {
            [from, to, lasting] => (*from, *to, *lasting),
            [rate, lasting] => (*rate, *rate, *lasting),
            _ => return Err(UnknownStage),
        };
        let rate = |text: &str| {
            let rate: f64 = text.trim().parse().map_err(|_| UnknownStage)?;
            if (0.0..=1e6).contains(&rate) { Ok(rate) } else { Err(UnknownStage) }
        };
        let lasting: SignedDuration = lasting.trim().parse().map_err(|_| UnknownStage)?;
        let lasting = Duration::try_from(lasting).map_err(|_| UnknownStage)?;
        if lasting.is_zero() {
            return Err(UnknownStage);
        }
        Ok(Self { from: rate(from)?, to: rate(to)?, lasting })
    }
}

impl Stage {
    /// How many arrivals it has.
    fn arrivals(self) -> f64 {
        f64::midpoint(self.from, self.to) * self.lasting.as_secs_f64()
    }

    /// When, in seconds from its beginning, so many have arrived: the inverse of the rate's integral,
    /// `from·t + (to − from)/(2·lasting)·t²`.
    fn time_of(self, arrived: f64) -> f64 {
        let slope = (self.to - self.from) / self.lasting.as_secs_f64();
        let root = (self.from * self.from + 2.0 * slope * arrived).max(0.0).sqrt();
        // The form of the quadratic's solution that loses no digits where the slope is small or zero.
        let time = if self.from + root > 0.0 { 2.0 * arrived / (self.from + root) } else { 0.0 };
        time.min(self.lasting.as_secs_f64())
    }

    fn rate_at(self, seconds: f64) -> f64 {
        self.from + (self.to - self.from) * seconds / self.lasting.as_secs_f64()
    }
}

/// How arrivals are spread over a stage's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// As evenly as the rate allows.
    Even,
    /// As of many clients that know nothing of each other: a Poisson process, from this seed.
    Poisson(u64),
}

/// When requests are to be sent, fixed before the first one is.
///
/// No answer, late or missing, moves an arrival: latency counts from the time that is planned here, so that a
/// stalled server is seen by all who would have come meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    stages: Vec<Stage>,
    spacing: Spacing,
    most: Option<u64>,
}

/// A schedule that nobody could run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stages come to {0} requests: want one at least, and at most a billion")]
pub struct ScheduleError(u64);

impl Schedule {
    /// Stages one after the other, and at most `most` arrivals.
    ///
    /// # Errors
    /// Where they come to none, or to more than a billion.
    pub fn new(stages: Vec<Stage>, spacing: Spacing, most: Option<u64>) -> Result<Self, ScheduleError> {
        let arrivals: f64 = stages.iter().map(|stage| stage.arrivals()).sum();
        if (1.0..=MOST_ARRIVALS).contains(&arrivals) {
            Ok(Self { stages, spacing, most })
        } else {
            Err(ScheduleError(whole(arrivals)))
        }
    }

    /// How many arrivals are expected; with [`Spacing::Even`], how many there are.
    #[must_use]
    pub fn expected(&self) -> u64 {
        let arrivals: f64 = self.stages.iter().map(|stage| stage.arrivals()).sum();
        // What rounding takes from a sum shall not take an arrival.
        let arrivals = whole((arrivals + 1e-6).floor());
        self.most.map_or(arrivals, |most| most.min(arrivals))
    }

    /// How long it lasts.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        self.stages.iter().map(|stage| stage.lasting).sum()
    }

    /// As reports name it.
    #[must_use]
    pub fn describe(&self) -> String {
        let stages: Vec<String> = self
            .stages
            .iter()
            .map(|Stage { from, to, lasting }| {
                // Three digits are enough to be read.
                let [from, to, seconds] =
                    [*from, *to, lasting.as_secs_f64()].map(|number| (number * 1000.0).round() / 1000.0);
                if (from - to).abs() < f64::EPSILON {
                    format!("{from}/s for {seconds} s")
                } else {
                    format!("{from} to {to}/s in {seconds} s")
                }
            })
            .collect();
        let spacing = match self.spacing {
            Spacing::Even => "evenly spaced",
            Spacing::Poisson(_) => "Poisson",
        };
        format!("{}, {spacing}", stages.join(", then "))
    }

    /// The rate that is planned for a time.
    #[must_use]
    pub fn rate_at(&self, time: Duration) -> f64 {
        let mut begun = Duration::ZERO;
        for stage in &self.stages {
            if time < begun + stage.lasting {
                return stage.rate_at(time.saturating_sub(begun).as_secs_f64());
            }
            begun += stage.lasting;
        }
        0.0
    }

    /// The arrivals' times from the start, in order.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let mut random = match self.spacing {
            Spacing::Even => None,
            Spacing::Poisson(seed) => Some(fastrand::Rng::with_seed(seed)),
        };
        // In a stage, in units of the rate's integral; the first comes at once where spacing is even.
        let mut next = random.as_mut().map_or(0.0, exponential);
        let mut stages = self.stages.clone().into_iter();
        let mut stage = stages.next();
        let mut begun = 0.0;
        let all = std::iter::from_fn(move || {
            loop {
                let now = stage?;
                if next < now.arrivals() - 1e-9 {
                    let time = begun + now.time_of(next);
                    next += random.as_mut().map_or(1.0, exponential);
                    return Some(Duration::from_secs_f64(time));
                }
                next = (next - now.arrivals()).max(0.0);
                begun += now.lasting.as_secs_f64();
                stage = stages.next();
            }
        });
        all.take(self.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX))
    }
}

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, far below 2^53")]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(stages: &[&str], spacing: Spacing) -> Schedule {
        let stages = stages.iter().map(|stage| stage.parse().unwrap()).collect();
        Schedule::new(stages, spacing, None).unwrap()
    }

    fn seconds(schedule: &Schedule) -> Vec<f64> {
        schedule.arrivals().map(|time| time.as_secs_f64()).collect()
    }

    #[test]
    fn a_steady_rate_is_even() {
        let schedule = schedule(&["4:2s"], Spacing::Even);
        assert_eq!(schedule.expected(), 8);
        assert_eq!(seconds(&schedule), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]);
    }

    #[test]
    fn a_ramp_has_the_arrivals_of_its_mean_and_they_come_closer() {
        let schedule = schedule(&["0:100:10s"], Spacing::Even);
        let arrivals = seconds(&schedule);
        assert_eq!((arrivals.len(), schedule.expected()), (500, 500));
        // Half of the time has a quarter of the arrivals.
        assert_eq!(arrivals.iter().filter(|time| **time < 5.0).count(), 125);
        assert!(arrivals.windows(2).all(|pair| pair[0] < pair[1]));
        // The rate at the end is the ramp's.
        let gap = arrivals[499] - arrivals[498];
        assert!((gap - 0.01).abs() < 1e-4, "{gap}");
    }

    #[test]
    fn a_ramp_down_ends_where_it_should() {
        let arrivals = seconds(&schedule(&["100:0:10s"], Spacing::Even));
        assert_eq!(arrivals.len(), 500);
        assert_eq!(arrivals.iter().filter(|time| **time < 5.0).count(), 375);
        assert!(arrivals[499] < 10.0);
    }

    #[test]
    fn stages_follow_each_other() {
        let schedule = schedule(&["0:10:2s", "10:1s", "10:0:2s"], Spacing::Even);
        let arrivals = seconds(&schedule);
        assert_eq!((arrivals.len(), schedule.expected()), (30, 30));
        assert_eq!(arrivals.iter().filter(|time| (2.0..3.0).contains(*time)).count(), 10);
        assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
        let rate = |ms| format!("{:.3}", schedule.rate_at(Duration::from_millis(ms)));
        assert_eq!([1000, 2500, 4000, 5000].map(rate), ["5.000", "10.000", "5.000", "0.000"]);
    }

    #[test]
    fn poisson_has_the_rate_in_the_mean_and_uneven_gaps() {
        let schedule = schedule(&["1000:10s"], Spacing::Poisson(3));
        let arrivals = seconds(&schedule);
        assert!((9_700..10_300).contains(&arrivals.len()), "{}", arrivals.len());
        let gaps: Vec<f64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // A gap of more than three means comes once in e^3 = 20 times.
        let long = gaps.iter().filter(|gap| **gap > 0.003).count();
        assert!((400..600).contains(&long), "{long}");
        assert_eq!(seconds(&schedule), arrivals, "a seed's arrivals are the same each time");
    }

    #[test]
    fn a_count_ends_it() {
        let stage = "10:10s".parse().unwrap();
        let schedule = Schedule::new(vec![stage], Spacing::Even, Some(7)).unwrap();
        assert_eq!((schedule.arrivals().count(), schedule.expected()), (7, 7));
    }

    #[test]
    fn it_is_described_in_words() {
        let schedule = schedule(&["0:29.99999999:2s", "30:1500ms"], Spacing::Even);
        assert_eq!(schedule.describe(), "0 to 30/s in 2 s, then 30/s for 1.5 s, evenly spaced");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for text in ["", "1", "1:2", "x:1s", "-1:1s", "1:0s", "1:2:3:4", "1:2:-1s", "inf:1s"] {
            assert_eq!(text.parse::<Stage>(), Err(UnknownStage), "{text}");
        }
        let none = Stage { from: 0.0, to: 0.0, lasting: Duration::from_secs(1) };
        assert!(Schedule::new(vec![none], Spacing::Even, None).is_err());
        assert!(Schedule::new(Vec::new(), Spacing::Even, None).is_err());
    }
}
