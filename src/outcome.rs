//! What is said of a token, and why.
//!
//! A reason is at once the metric's label, the audit record's field and, where the rule allows,
//! `status.error`. Its labels are a closed set: no label is made from input.

use std::collections::BTreeMap;

use crate::{
    ec2::Failure as Ec2Failure,
    identity::CallerError,
    mapping::BackendMode,
    sts::{NoVerdict, Rejection, Shed, ShedReason},
    token::{TokenError, TokenErrorClass},
};

/// What is said of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is this user's.
    Authenticated(User),
    /// It is nobody's.
    Denied(Denial),
    /// There is no verdict now; ask again.
    Unavailable(Unavailability),
}

/// A Kubernetes user, as a TokenReview describes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The username.
    pub username: String,
    /// Unique over time: it names the IAM principal's unique ID.
    pub uid: String,
    /// The groups, in the mapping's order.
    pub groups: Vec<String>,
    /// What else is known, by the keys that authorizers and audit logs know it.
    pub extra: BTreeMap<&'static str, String>,
}

/// Why a token is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It did not parse; STS was not asked.
    #[error("{0}")]
    Token(TokenError),
    /// STS refused it.
    #[error("STS refused the token: {0}")]
    Rejected(Rejection),
    /// STS named somebody whom this server does not let in.
    #[error("{0}")]
    Caller(CallerError),
    /// STS vouched for a principal that no backend maps.
    #[error("no mapping matches the IAM principal")]
    NotMapped,
    /// A mapping matched, but its username or a group cannot be rendered for this principal.
    #[error("the mapping that matches the IAM principal cannot be rendered")]
    NotRendered,
    /// A mapping matched that wants the instance's name, and EC2 does not know the instance.
    #[error(
        "the mapping that matches the IAM principal names its instance, and EC2 knows no such instance, or it has no \
         private DNS name"
    )]
    UnknownInstance,
    /// A mapping matched, and gives a username that is reserved from its backend.
    #[error("the mapping that matches the IAM principal gives a username that is reserved from its backend")]
    Reserved,
    /// The review asks for audiences of which this server serves none.
    #[error("none of the audiences asked for is served here")]
    Audience,
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailability {
    /// STS gave none.
    #[error("no verdict from STS: {0}")]
    Sts(NoVerdict),
    /// A mapping matched that wants the instance's name, and EC2 did not tell it.
    #[error("no private DNS name from EC2: {0}")]
    Ec2(Ec2Failure),
    /// STS was not asked, to keep it and others' tokens from harm.
    #[error("{0}")]
    Shed(Shed),
    /// A backend that stands before any match has not loaded yet.
    #[error("the backend {0} has not loaded its mappings yet")]
    NotLoaded(BackendMode),
}

impl Outcome {
    /// `authenticated`, `denied` or `unavailable`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Authenticated(_) => "authenticated",
            Self::Denied(_) => "denied",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The reason's label; `mapped` where the token is somebody's.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Authenticated(_) => "mapped",
            Self::Denied(denial) => denial.label(),
            Self::Unavailable(unavailability) => unavailability.label(),
        }
    }

    /// The reason in words; empty where the token is somebody's.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Authenticated(_) => String::new(),
            Self::Denied(denial) => denial.to_string(),
            Self::Unavailable(unavailability) => unavailability.to_string(),
        }
    }

    /// The label of `authenticate_latency_seconds`, as aws-iam-authenticator's dashboards know it,
    /// its misspelling included.
    #[must_use]
    pub const fn legacy_result(&self) -> &'static str {
        match self {
            Self::Authenticated(_) => "success",
            Self::Denied(Denial::Token(_)) => "invalid_token",
            Self::Denied(
                Denial::NotMapped
                | Denial::NotRendered
                | Denial::UnknownInstance
                | Denial::Reserved
                | Denial::Audience,
            )
            | Self::Unavailable(Unavailability::NotLoaded(_) | Unavailability::Ec2(_)) => "uknown_user",
            Self::Unavailable(
                Unavailability::Sts(NoVerdict::Throttled)
                | Unavailability::Shed(Shed { reason: ShedReason::Overload | ShedReason::AccessKey, .. }),
            ) => "sts_throttling",
            Self::Denied(Denial::Rejected(_) | Denial::Caller(_))
            | Self::Unavailable(Unavailability::Sts(_) | Unavailability::Shed(_)) => "sts_error",
        }
    }
}

impl Denial {
    /// The reason's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::Rejected(rejection) => match rejection {
                Rejection::SignatureDoesNotMatch => "sts_signature_does_not_match",
                Rejection::NotYetCurrent => "sts_not_yet_current",
                Rejection::ExpiredToken => "sts_expired_token",
                Rejection::InvalidClientTokenId => "sts_invalid_client_token_id",
                Rejection::Malformed => "sts_malformed",
                Rejection::AccessDenied => "sts_access_denied",
                Rejection::RegionDisabled => "sts_region_disabled",
                Rejection::Other => "sts_rejected",
            },
            Self::Caller(error) => match error {
                CallerError::Principal(_) => "caller_not_a_principal",
                CallerError::Account => "caller_account_mismatch",
                CallerError::Partition(_) => "caller_other_partition",
                CallerError::UserId => "caller_malformed_user_id",
            },
            Self::NotMapped => "not_mapped",
            Self::NotRendered => "not_rendered",
            Self::UnknownInstance => "instance_unknown",
            Self::Reserved => "username_reserved",
            Self::Audience => "audience",
        }
    }

    /// Whether no later look at the same token can end otherwise, so that kube-apiserver may remember it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Token(error) => match error.class() {
                TokenErrorClass::NotOurs | TokenErrorClass::Malformed | TokenErrorClass::Expired => true,
                TokenErrorClass::NotYetValid => false,
            },
            Self::Rejected(rejection) => match rejection {
                Rejection::SignatureDoesNotMatch | Rejection::ExpiredToken | Rejection::Malformed => true,
                // A new key becomes known within seconds, a clock catches up, a policy or a region's switch
                // is changed; and what is not known here is not called final.
                Rejection::InvalidClientTokenId
                | Rejection::NotYetCurrent
                | Rejection::AccessDenied
                | Rejection::RegionDisabled
                | Rejection::Other => false,
            },
            Self::Caller(CallerError::Principal(_) | CallerError::Partition(_)) | Self::Audience => true,
            // An answer of STS's that contradicts itself says nothing of the next one, mappings change, and a new
            // instance becomes known.
            Self::Caller(CallerError::Account | CallerError::UserId)
            | Self::NotMapped
            | Self::NotRendered
            | Self::UnknownInstance
            | Self::Reserved => false,
        }
    }
}

impl Unavailability {
    /// The reason's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Sts(NoVerdict::Throttled) => "sts_throttled",
            Self::Sts(NoVerdict::ServerError(_)) => "sts_server_error",
            Self::Sts(NoVerdict::UnexpectedStatus(_)) => "sts_unexpected_status",
            Self::Sts(NoVerdict::Connect) => "sts_connect",
            Self::Sts(NoVerdict::Timeout) => "sts_timeout",
            Self::Sts(NoVerdict::Transport) => "sts_transport",
            Self::Sts(NoVerdict::Oversized) => "sts_oversized",
            Self::Sts(NoVerdict::Unreadable(_) | NoVerdict::Encoding) => "sts_unreadable",
            Self::Ec2(failure) => failure.label(),
            Self::Sts(NoVerdict::Interrupted) => "sts_interrupted",
            Self::Shed(shed) => shed.reason.label(),
            Self::NotLoaded(_) => "backend_not_loaded",
        }
    }

    /// After how many seconds it is worth asking again.
    #[must_use]
    pub const fn retry_after(&self) -> u64 {
        match self {
            Self::Shed(shed) => shed.retry_after,
            Self::Sts(_) | Self::Ec2(_) | Self::NotLoaded(_) => 1,
        }
    }
}
