use std::time::Duration;

use super::key::TokenKey;
use crate::{
    outcome::{Denial, Outcome, Unavailability},
    sts::{NoVerdict, StsError},
};

/// How many seconds the same moment's refusals are spread over, so that they do not come back in the same one.
const SPREAD: u64 = 3;
/// The longest that anybody is told to wait, in seconds, spread included. kube-apiserver gives up after 30.
const LONGEST: u64 = 8;

/// Why nobody is vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The token is nobody's.
    Denied(Denial),
    /// There is no verdict now.
    Unavailable(Unavailability),
}

/// A token was not taken to STS, to keep STS and everybody else's tokens from harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Shed {
    /// Why.
    pub reason: ShedReason,
    /// After how many seconds it is worth asking again.
    pub retry_after: u64,
}

/// Why a token was not taken to STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShedReason {
    /// More tokens wait than STS may be asked about.
    #[error("too many tokens wait to be verified by STS; see server.stsQps and server.stsConcurrency")]
    Overload,
    /// Too many tokens signed with the same credentials.
    #[error("too many tokens of this access key; see server.stsAccessKeyQps")]
    AccessKey,
    /// STS's host has not been there for a while.
    #[error("STS's host has not answered for a while, and is asked only from time to time")]
    CircuitOpen,
}

impl ShedReason {
    /// The reason's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overload => "shed_overload",
            Self::AccessKey => "shed_access_key",
            Self::CircuitOpen => "sts_circuit_open",
        }
    }
}

impl Shed {
    pub(super) fn new(reason: ShedReason, wait: Duration, token: TokenKey) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let retry_after = seconds.clamp(1, LONGEST - SPREAD + 1) + token.spread(SPREAD);
        Self { reason, retry_after }
    }
}

impl Refusal {
    /// Whether no later look at the same token can end otherwise; see [`Denial::is_final`].
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Denied(denial) if denial.is_final())
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<NoVerdict> for Refusal {
    fn from(no_verdict: NoVerdict) -> Self {
        Self::Unavailable(Unavailability::Sts(no_verdict))
    }
}

impl From<StsError> for Refusal {
    fn from(error: StsError) -> Self {
        match error {
            StsError::Rejected(rejection) => Denial::Rejected(rejection).into(),
            StsError::NoVerdict(no_verdict) => no_verdict.into(),
        }
    }
}

impl From<Shed> for Refusal {
    fn from(shed: Shed) -> Self {
        Self::Unavailable(Unavailability::Shed(shed))
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => Self::Denied(denial),
            Refusal::Unavailable(unavailability) => Self::Unavailable(unavailability),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sts::verifier::{
        key::Keys,
        tests::{now, request},
    };

    #[test]
    fn what_is_shed_together_does_not_come_back_together() {
        let keys = Keys::generate().unwrap();
        let mut told = [0_usize; 10];
        for number in 0..300 {
            let token = keys.token(&request(&format!("AKIA{number:016}"), None, 'a', now()));
            for (wait, least) in [(0, 1), (1500, 2), (60_000, 6)] {
                let wait = Duration::from_millis(wait);
                let shed = Shed::new(ShedReason::Overload, wait, token);
                assert!((least..least + 3).contains(&shed.retry_after), "{wait:?}: {}", shed.retry_after);
            }
            let shed = Shed::new(ShedReason::Overload, Duration::ZERO, token);
            told[usize::try_from(shed.retry_after).unwrap()] += 1;
        }
        assert!(told[1..=3].iter().all(|count| *count > 50), "{told:?}");
    }
}
