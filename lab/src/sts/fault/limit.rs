use std::{fmt, str::FromStr, time::Instant};

/// How many requests a second are answered, and how many at once after a pause; others are throttled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    rate: f64,
    burst: f64,
}

impl RateLimit {
    /// So many requests a second, and at most `burst` at once.
    ///
    /// # Errors
    /// Where one is not above zero, or beyond a million.
    pub fn new(rate: f64, burst: f64) -> Result<Self, UnknownLimit> {
        let sound = |number: f64| number > 0.0 && number <= 1e6;
        if sound(rate) && sound(burst) && burst >= 1.0 { Ok(Self { rate, burst }) } else { Err(UnknownLimit) }
    }

    /// The same limit for `scale` times the requests.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn scaled(self, scale: f64) -> Result<Self, UnknownLimit> {
        Self::new(self.rate * scale, (self.burst * scale).max(1.0))
    }
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected requests a second, such as 100/s, and perhaps how many at once: 100/s,burst=200")]
pub struct UnknownLimit;

impl FromStr for RateLimit {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rate, burst) =
            text.split_once(",burst=").map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let rate: f64 = rate.strip_suffix("/s").ok_or(UnknownLimit)?.parse().map_err(|_| UnknownLimit)?;
        let burst = burst.map_or(Ok(rate.max(1.0)), str::parse).map_err(|_| UnknownLimit)?;
        Self::new(rate, burst)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s,burst={}", self.rate, self.burst)
    }
}

/// A token bucket of a [`RateLimit`].
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    level: f64,
    filled: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, level: limit.burst, filled: None }
    }

    /// Whether a request at `now` is within the limit.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let RateLimit { rate, burst } = self.limit;
        let since = self.filled.map_or(0.0, |filled| now.saturating_duration_since(filled).as_secs_f64());
        self.filled = Some(now);
        self.level = (self.level + since * rate).min(burst);
        let within = self.level >= 1.0;
        if within {
            self.level -= 1.0;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_holds_after_the_burst() {
        let mut bucket = Bucket::new("10/s,burst=3".parse().unwrap());
        let start = Instant::now();
        let taken = |bucket: &mut Bucket, at: Duration, asked: usize| {
            (0..asked).filter(|_| bucket.take(start + at)).count()
        };
        assert_eq!(taken(&mut bucket, Duration::ZERO, 10), 3);
        assert_eq!(taken(&mut bucket, Duration::from_millis(250), 10), 2);
        assert_eq!(taken(&mut bucket, Duration::from_millis(300), 10), 1);
        assert_eq!(taken(&mut bucket, Duration::from_mins(1), 10), 3);
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let limit: RateLimit = "100/s".parse().unwrap();
        assert_eq!(limit, RateLimit::new(100.0, 100.0).unwrap());
        assert_eq!(limit.to_string().parse(), Ok(limit));
        for text in ["", "100", "0/s", "-1/s", "x/s", "1/s,burst=0", "inf/s", "1/s,burst=NaN"] {
            assert_eq!(text.parse::<RateLimit>(), Err(UnknownLimit), "{text}");
        }
    }
}
