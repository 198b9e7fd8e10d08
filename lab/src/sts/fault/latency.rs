use std::{f64::consts::TAU, fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;

/// The longest that any answer is held back, in seconds: a distribution's tail has no end of its own.
const LONGEST_SECONDS: f64 = 60.0;
/// The same, as a duration.
const LONGEST: Duration = Duration::from_mins(1);

/// How long the emulator takes for an answer, beside what it takes anyway.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Latency {
    /// Nothing.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Anything between the two, each as likely.
    Uniform {
        /// The least.
        from: Duration,
        /// The most.
        to: Duration,
    },
    /// Exponential, with this mean.
    Exponential(Duration),
    /// Lognormal: a median, and the standard deviation of the logarithm. Latencies of real services look like it.
    Lognormal {
        /// Half of the answers take longer.
        median: Duration,
        /// 0.5 has one answer in a hundred take 3.2 medians.
        sigma: f64,
    },
}

impl Latency {
    /// Draws one, at most a minute.
    pub(super) fn draw(self, random: &mut fastrand::Rng) -> Duration {
        let seconds = match self {
            Self::None => return Duration::ZERO,
            Self::Fixed(latency) => return latency.min(LONGEST),
            Self::Uniform { from, to } => {
                from.as_secs_f64() + random.f64() * to.saturating_sub(from).as_secs_f64()
            }
            // `f64` draws from [0, 1), and the logarithm wants (0, 1].
            Self::Exponential(mean) => -mean.as_secs_f64() * (1.0 - random.f64()).ln(),
            Self::Lognormal { median, sigma } => {
                let normal = (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos();
                median.as_secs_f64() * (sigma * normal).exp()
            }
        };
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_SECONDS))
    }
}

/// A text that is no latency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a latency of at most 60s: none, 20ms, uniform=10ms..30ms, exponential=20ms, or \
     lognormal=20ms,0.5 (median, and sigma from 0 to 5)"
)]
pub struct UnknownLatency;

impl FromStr for Latency {
    type Err = UnknownLatency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = |text: &str| {
            let parsed: SignedDuration = text.trim().parse().map_err(|_| UnknownLatency)?;
            let parsed = Duration::try_from(parsed).map_err(|_| UnknownLatency)?;
            if parsed > LONGEST { Err(UnknownLatency) } else { Ok(parsed) }
        };
        Ok(match text.split_once('=') {
            None if text == "none" => Self::None,
            None => Self::Fixed(duration(text)?),
            Some(("uniform", range)) => {
                let (from, to) = range.split_once("..").ok_or(UnknownLatency)?;
                let (from, to) = (duration(from)?, duration(to)?);
                if from > to {
                    return Err(UnknownLatency);
                }
                Self::Uniform { from, to }
            }
            Some(("exponential", mean)) => Self::Exponential(duration(mean)?),
            Some(("lognormal", parameters)) => {
                let (median, sigma) = parameters.split_once(',').ok_or(UnknownLatency)?;
                let sigma: f64 = sigma.trim().parse().map_err(|_| UnknownLatency)?;
                if !(0.0..=5.0).contains(&sigma) {
                    return Err(UnknownLatency);
                }
                Self::Lognormal { median: duration(median)?, sigma }
            }
            Some(_) => return Err(UnknownLatency),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Fixed(latency) => write!(f, "{latency:?}"),
            Self::Uniform { from, to } => write!(f, "uniform={from:?}..{to:?}"),
            Self::Exponential(mean) => write!(f, "exponential={mean:?}"),
            Self::Lognormal { median, sigma } => write!(f, "lognormal={median:?},{sigma}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many draws of one seed, in order of size, in milliseconds.
    fn draws(latency: &str) -> Vec<f64> {
        let latency: Latency = latency.parse().unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut drawn: Vec<f64> =
            (0..10_001).map(|_| latency.draw(&mut random).as_secs_f64() * 1000.0).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    fn mean(drawn: &[f64]) -> f64 {
        drawn.iter().sum::<f64>() / 10_001.0
    }

    #[test]
    fn distributions_have_their_shape() {
        let uniform = draws("uniform=10ms..30ms");
        assert!(uniform[0] >= 10.0 && uniform[10_000] <= 30.0);
        assert!((mean(&uniform) - 20.0).abs() < 0.5, "{}", mean(&uniform));

        let exponential = draws("exponential=20ms");
        assert!((mean(&exponential) - 20.0).abs() < 1.0, "{}", mean(&exponential));
        // The median of an exponential distribution is ln 2 of its mean.
        assert!((exponential[5_000] - 13.86).abs() < 1.0, "{}", exponential[5_000]);

        let lognormal = draws("lognormal=20ms,0.5");
        assert!((lognormal[5_000] - 20.0).abs() < 1.0, "{}", lognormal[5_000]);
        // exp(0.5 * 2.326) is 3.2.
        assert!((lognormal[9_900] - 64.0).abs() < 6.0, "{}", lognormal[9_900]);

        assert!(draws("20ms").iter().all(|ms| (ms - 20.0).abs() < 1e-6));
        assert!(draws("none").iter().all(|ms| *ms == 0.0));
    }

    #[test]
    fn one_seed_draws_the_same_again() {
        assert_eq!(draws("lognormal=20ms,0.5"), draws("lognormal=20ms,0.5"));
    }

    #[test]
    fn a_tail_ends_at_a_minute() {
        let drawn = draws("lognormal=50s,5");
        assert!(drawn[10_000] <= 60_000.0);
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["none", "20ms", "uniform=10ms..30ms", "exponential=1.5s", "lognormal=20ms,0.5"] {
            let latency: Latency = text.parse().unwrap();
            assert_eq!(latency.to_string(), text);
        }
        for text in ["", "x", "-1s", "uniform=2s..1s", "uniform=1s", "lognormal=1s", "lognormal=1s,9", "61s"]
        {
            assert_eq!(text.parse::<Latency>(), Err(UnknownLatency), "{text}");
        }
    }
}
