use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

/// What the verifier keeps, and how much it asks of STS.
///
/// STS allows each account 600 calls a second in a region, all of the account's programs together
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>). The defaults stay below that,
/// and let 5,000 nodes whom nobody knows yet come back within 20 seconds: a burst of 500 and 250 a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer of STS is believed; zero: each is used once.
    pub cache_ttl: Duration,
    /// How many identities are remembered, and of how many credentials it is known that somebody was let in with
    /// them. Denials get an eighth of it.
    pub cache_size: NonZeroUsize,
    /// Calls a second in the long run; `None` where they are not limited. Strangers get half.
    pub rate: Option<NonZeroU32>,
    /// Calls at once after a pause. Strangers get half.
    pub burst: NonZeroU32,
    /// Calls a second with the same credentials; `None` where they are not limited.
    pub access_key_rate: Option<NonZeroU32>,
    /// Calls at once with the same credentials.
    pub access_key_burst: NonZeroU32,
    /// Calls under way. Strangers get half.
    pub concurrency: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        const fn number(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        const fn size(size: usize) -> NonZeroUsize {
            match NonZeroUsize::new(size) {
                Some(size) => size,
                None => NonZeroUsize::MIN,
            }
        }
        Self {
            cache_ttl: Duration::from_mins(1),
            cache_size: size(8192),
            rate: Some(number(500)),
            burst: number(1000),
            access_key_rate: Some(number(20)),
            access_key_burst: number(100),
            concurrency: size(256),
        }
    }
}
