use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    time::Duration,
};

use crate::sts::Limits;

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32>(u32);

/// A text that is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a whole number from {least} to {most}")]
pub struct WithinError {
    least: u32,
    most: u32,
}

impl<const LEAST: u32, const MOST: u32> FromStr for Within<LEAST, MOST> {
    type Err = WithinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map(Self).ok_or(WithinError { least: LEAST, most: MOST })
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Display for Within<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the file says of the verifier's limits.
#[derive(Debug, Default)]
pub struct LimitKeys {
    /// `server.stsCacheTTL`, in seconds
    pub cache_ttl: Option<Within<0, 900>>,
    /// `server.stsCacheSize`
    pub cache_size: Option<Within<1, 1_000_000>>,
    /// `server.stsQps`
    pub qps: Option<Within<0, 1_000_000>>,
    /// `server.stsBurst`
    pub burst: Option<Within<1, 1_000_000>>,
    /// `server.stsAccessKeyQps`
    pub access_key_qps: Option<Within<0, 1_000_000>>,
    /// `server.stsAccessKeyBurst`
    pub access_key_burst: Option<Within<1, 1_000_000>>,
    /// `server.stsConcurrency`
    pub concurrency: Option<Within<1, 4096>>,
}

/// The same as flags.
#[derive(Debug, Default, clap::Args)]
pub struct LimitFlags {
    /// How long an answer of STS is believed, in seconds; 0 asks STS about every token [default: 60]
    #[arg(long = "sts-cache-ttl", value_name = "SECONDS")]
    pub cache_ttl: Option<Within<0, 900>>,
    /// How many callers are remembered [default: 8192]
    #[arg(long = "sts-cache-size", value_name = "NUMBER")]
    pub cache_size: Option<Within<1, 1_000_000>>,
    /// STS calls a second in the long run; callers who were not let in lately get half; 0 is no limit
    /// [default: 500]
    #[arg(long = "sts-qps", value_name = "NUMBER")]
    pub qps: Option<Within<0, 1_000_000>>,
    /// STS calls at once after a pause [default: 1000]
    #[arg(long = "sts-burst", value_name = "NUMBER")]
    pub burst: Option<Within<1, 1_000_000>>,
    /// STS calls a second with the same access key in the long run; 0 is no limit [default: 20]
    #[arg(long = "sts-access-key-qps", value_name = "NUMBER")]
    pub access_key_qps: Option<Within<0, 1_000_000>>,
    /// STS calls at once with the same access key after a pause [default: 100]
    #[arg(long = "sts-access-key-burst", value_name = "NUMBER")]
    pub access_key_burst: Option<Within<1, 1_000_000>>,
    /// STS calls under way at once [default: 256]
    #[arg(long = "sts-concurrency", value_name = "NUMBER")]
    pub concurrency: Option<Within<1, 4096>>,
}

/// Lays the flags over the file, and both over the defaults.
pub(super) fn limits(flags: &LimitFlags, file: &LimitKeys) -> Limits {
    let default = Limits::default();
    let rate = |flag: Option<u32>, file: Option<u32>, default| flag.or(file).map_or(default, NonZeroU32::new);
    let least = |flag: Option<u32>, file: Option<u32>, default| {
        flag.or(file).and_then(NonZeroU32::new).unwrap_or(default)
    };
    let size = |flag: Option<u32>, file: Option<u32>, default| {
        let given = flag.or(file).and_then(|number| usize::try_from(number).ok());
        given.and_then(NonZeroUsize::new).unwrap_or(default)
    };
    let seconds = number(flags.cache_ttl).or(number(file.cache_ttl));
    Limits {
        cache_ttl: seconds.map_or(default.cache_ttl, |seconds| Duration::from_secs(seconds.into())),
        cache_size: size(number(flags.cache_size), number(file.cache_size), default.cache_size),
        rate: rate(number(flags.qps), number(file.qps), default.rate),
        burst: least(number(flags.burst), number(file.burst), default.burst),
        access_key_rate: rate(
            number(flags.access_key_qps),
            number(file.access_key_qps),
            default.access_key_rate,
        ),
        access_key_burst: least(
            number(flags.access_key_burst),
            number(file.access_key_burst),
            default.access_key_burst,
        ),
        concurrency: size(number(flags.concurrency), number(file.concurrency), default.concurrency),
    }
}

fn number<const LEAST: u32, const MOST: u32>(value: Option<Within<LEAST, MOST>>) -> Option<u32> {
    value.map(|value| value.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds_and_say_which() {
        type Number = Within<1, 4096>;
        assert_eq!("4096".parse::<Number>().unwrap().to_string(), "4096");
        for text in ["0", "4097", "-1", "1.5", "", "many", "99999999999"] {
            let error = text.parse::<Number>().unwrap_err();
            assert_eq!(error.to_string(), "want a whole number from 1 to 4096", "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_file_and_zero_is_no_limit() {
        assert_eq!(limits(&LimitFlags::default(), &LimitKeys::default()), Limits::default());
        let flags = LimitFlags { qps: Some(Within(0)), burst: Some(Within(5)), ..LimitFlags::default() };
        let file = LimitKeys {
            cache_ttl: Some(Within(0)),
            qps: Some(Within(7)),
            burst: Some(Within(6)),
            concurrency: Some(Within(3)),
            ..LimitKeys::default()
        };
        let limits = limits(&flags, &file);
        assert_eq!((limits.rate, limits.burst.get(), limits.concurrency.get()), (None, 5, 3));
        assert_eq!(limits.cache_ttl, Duration::ZERO);
        assert_eq!(limits.access_key_rate, Limits::default().access_key_rate);
    }
}
