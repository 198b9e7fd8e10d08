use crate::{sts::http::HttpFailure, xml::XmlError};

/// Why an instance's name is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// EC2 knows no such instance in this account and region, or it has no private DNS name (any more).
    #[error("EC2 knows no such instance, or it has no private DNS name")]
    Unknown,
    /// There is no answer.
    #[error("EC2 was not asked, or did not answer: {0}")]
    Unavailable(#[from] Failure),
}

/// Why there is no answer of EC2's; the caller should try again.
///
/// No variant carries a text of AWS's or of the HTTP client's: those may quote the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `RequestLimitExceeded` and its like, or HTTP 429, until the deadline.
    #[error("EC2 throttles")]
    Throttled,
    /// More instances are asked about than the limits here allow.
    #[error("more instances are asked about than may be at once")]
    Overloaded,
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// No connection: refused, no address, no TLS, no proxy.
    #[error("cannot connect to EC2")]
    Connect,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to EC2 broke")]
    Transport,
    /// HTTP 5xx.
    #[error("EC2 failed with HTTP status {0}")]
    ServerError(u16),
    /// A redirect or another status that EC2 does not use.
    #[error("unexpected HTTP status {0}")]
    UnexpectedStatus(u16),
    /// EC2 refuses the call: its credentials may not make it.
    #[error("EC2 refuses the call: the credentials must allow ec2:DescribeInstances")]
    Refused,
    /// More bytes than an answer about so many instances has.
    #[error("EC2's answer is too long")]
    Oversized,
    /// The body is not what EC2 sends.
    #[error("EC2's answer cannot be read")]
    Unreadable,
    /// No region is known.
    #[error("no AWS region: set AWS_REGION, a region in the AWS profile, or server.region")]
    Region,
    /// No credentials, or the role to assume first cannot be assumed.
    #[error("no AWS credentials for EC2")]
    Credentials,
}

impl Failure {
    /// The reason's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Throttled => "ec2_throttled",
            Self::Overloaded => "ec2_overloaded",
            Self::Timeout => "ec2_timeout",
            Self::Connect => "ec2_connect",
            Self::Transport => "ec2_transport",
            Self::ServerError(_) => "ec2_server_error",
            Self::UnexpectedStatus(_) => "ec2_unexpected_status",
            Self::Refused => "ec2_refused",
            Self::Oversized => "ec2_oversized",
            Self::Unreadable => "ec2_unreadable",
            Self::Region => "ec2_no_region",
            Self::Credentials => "ec2_no_credentials",
        }
    }

    /// Whether the same call may go better a moment later.
    pub(super) const fn passes(self) -> bool {
        matches!(self, Self::Throttled | Self::Connect | Self::Transport | Self::ServerError(_))
    }
}

impl From<HttpFailure> for Failure {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::Connect => Self::Connect,
            HttpFailure::Timeout => Self::Timeout,
            HttpFailure::Transport => Self::Transport,
            HttpFailure::Oversized => Self::Oversized,
            HttpFailure::Encoding => Self::Unreadable,
        }
    }
}

impl From<XmlError> for Failure {
    fn from(_: XmlError) -> Self {
        Self::Unreadable
    }
}
