//! What the configuration says of EC2.

use std::{fmt, str::FromStr};

use crate::{
    identity::{AccountId, Principal, PrincipalKind},
    sts::ClientOptions,
};

/// How EC2 is reached, and how often.
#[derive(Debug, Clone)]
pub struct Options {
    /// The role to assume before EC2 is asked; the credentials found are EC2's otherwise.
    pub role: Option<RoleArn>,
    /// On whose behalf that role is assumed.
    pub source: Option<SourceArn>,
    /// The region where neither the environment, the AWS profile nor the instance names one.
    pub region: Option<String>,
    /// How often EC2 is asked.
    pub rate: Rate,
    /// The way to EC2.
    pub ec2: ClientOptions,
    /// The way to STS, for that role.
    pub sts: ClientOptions,
}

/// So many calls at once, and so many a second from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// Calls a second where nobody says otherwise, as today.
    pub const DEFAULT_PER_SECOND: u32 = 15;
    /// Calls at once where nobody says otherwise, as today.
    pub const DEFAULT_BURST: u32 = 5;

    /// `burst` calls at once, then `per_second` a second, of which 0 is no limit, as today. `None` where there is a
    /// limit and a burst of no call, by which there would never be one.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Option<Self> {
        if burst == 0 && per_second > 0 {
            return None;
        }
        let burst = if burst == 0 { 1 } else { burst };
        Some(Self { per_second, burst })
    }

    /// Calls a second; 0 is no limit.
    #[must_use]
    pub const fn per_second(self) -> u32 {
        self.per_second
    }

    /// Calls at once, one at least.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

/// The ARN of an IAM role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn(String);

/// A text that is no role's ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no IAM role's ARN: want one such as arn:aws:iam::111122223333:role/Name")]
pub struct RoleArnError;

impl RoleArn {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleArn {
    type Err = RoleArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Principal::parse(text).map(|principal| principal.kind().clone()) {
            Ok(PrincipalKind::Role { .. }) => Ok(Self(text.to_owned())),
            _ => Err(RoleArnError),
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ARN of the resource on whose behalf a role is assumed. A role's trust policy may ask for it, and for its
/// account, so that a service that serves many cannot be led to act for another of them.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceArn {
    arn: String,
    account: AccountId,
}

/// A text that is no ARN with an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no ARN with an account: want one such as arn:aws:eks:us-east-1:111122223333:cluster/my-cluster")]
pub struct SourceArnError;

impl SourceArn {
    pub(super) fn as_str(&self) -> &str {
        &self.arn
    }

    pub(super) fn account(&self) -> &AccountId {
        &self.account
    }
}

impl FromStr for SourceArn {
    type Err = SourceArnError;

    /// Takes any service's ARN: `arn:partition:service:region:account:resource`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // It becomes a header's value.
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, service, _region, account, resource]
                if text.len() <= 2048
                    && text.bytes().all(|byte| byte.is_ascii_graphic())
                    && ![partition, service, resource].into_iter().any(|part| part.is_empty()) =>
            {
                let account = account.parse().map_err(|_| SourceArnError)?;
                Ok(Self { arn: text.to_owned(), account })
            }
            _ => Err(SourceArnError),
        }
    }
}

impl fmt::Display for SourceArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_role() {
        let role: RoleArn = "arn:aws-cn:iam::111122223333:role/path/Describe".parse().unwrap();
        assert_eq!(role.to_string(), "arn:aws-cn:iam::111122223333:role/path/Describe");
        for text in
            ["", "Describe", "arn:aws:iam::111122223333:user/x", "arn:aws:sts::111122223333:assumed-role/R/s"]
        {
            assert_eq!(text.parse::<RoleArn>(), Err(RoleArnError), "{text}");
        }
    }

    #[test]
    fn a_source_is_any_arn_with_an_account() {
        for text in [
            "arn:aws:eks:us-east-1:111122223333:cluster/my-cluster",
            "arn:aws:iam::111122223333:role/a:b",
            "arn:aws-us-gov:ec2:us-gov-west-1:111122223333:instance/*",
        ] {
            let source: SourceArn = text.parse().unwrap();
            assert_eq!((source.as_str(), source.account().as_str()), (text, "111122223333"));
        }
        for text in [
            "",
            "arn:aws:s3:::bucket",
            "arn:aws:eks:us-east-1:1111:cluster/x",
            "arn:aws:eks:us-east-1:111122223333:",
            "arn:aws:eks:us-east-1:111122223333",
            "arn:aws:eks:us-east-1:111122223333:cluster/x\r\ny: z",
            "ARN:aws:eks:us-east-1:111122223333:cluster/x",
        ] {
            assert_eq!(text.parse::<SourceArn>(), Err(SourceArnError), "{text}");
        }
    }

    #[test]
    fn a_limit_lets_one_call_through_at_least() {
        assert_eq!(Rate::new(15, 0), None);
        assert_eq!(Rate::new(0, 0).map(Rate::burst), Some(1), "no limit");
    }
}
