//! The few principals of the sequences, and the tokens that they sign.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use crate::token::PREFIX;

pub(super) const ACCOUNT: &str = "111122223333";

/// Somebody in IAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Who {
    Alpha,
    Beta,
    Gamma,
    Delta,
}

impl Who {
    pub(super) const ALL: [Self; 4] = [Self::Alpha, Self::Beta, Self::Gamma, Self::Delta];

    pub(super) const fn is_role(self) -> bool {
        matches!(self, Self::Alpha | Self::Beta)
    }

    /// As STS names them.
    pub(super) fn arn(self) -> String {
        let resource = match self {
            Self::Alpha => "sts::111122223333:assumed-role/Alpha/session-a",
            Self::Beta => "sts::111122223333:assumed-role/Beta/session-b",
            Self::Gamma => "iam::111122223333:user/gamma",
            Self::Delta => "iam::111122223333:user/ops/delta",
        };
        format!("arn:aws:{resource}")
    }

    /// As a mapping names them.
    pub(super) fn mapped_arn(self) -> String {
        let resource = match self {
            Self::Alpha => "role/Alpha",
            Self::Beta => "role/team/Beta",
            Self::Gamma => "user/gamma",
            Self::Delta => "user/ops/delta",
        };
        format!("arn:aws:iam::{ACCOUNT}:{resource}")
    }

    /// STS's `UserId`.
    pub(super) const fn user_id(self) -> &'static str {
        match self {
            Self::Alpha => "AROAALPHA:session-a",
            Self::Beta => "AROABETA:session-b",
            Self::Gamma => "AIDAGAMMA",
            Self::Delta => "AIDADELTA",
        }
    }

    pub(super) const fn session(self) -> &'static str {
        match self {
            Self::Alpha => "session-a",
            Self::Beta => "session-b",
            Self::Gamma | Self::Delta => "",
        }
    }

    pub(super) const fn access_key_id(self) -> &'static str {
        match self {
            Self::Alpha => "ASIAALPHA00000000000",
            Self::Beta => "ASIABETA000000000000",
            Self::Gamma => "AKIAGAMMA00000000000",
            Self::Delta => "AKIADELTA00000000000",
        }
    }
}

/// A token, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Token {
    /// Whose key it names. Whose it is, STS says.
    pub(super) key: Who,
    pub(super) signed_at: Timestamp,
    /// Tells it from others of the same key and second.
    pub(super) signature: u32,
}

impl Token {
    /// What follows the host's name in the URL.
    pub(super) fn query(&self) -> String {
        let date = self.signed_at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let security_token = if self.key.is_role() { "&X-Amz-Security-Token=session" } else { "" };
        format!(
            "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential={}%2F{}%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires=60\
             {security_token}&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature={:064x}",
            self.key.access_key_id(),
            &date[..8],
            self.signature,
        )
    }

    pub(super) fn text(&self) -> String {
        let url = format!("https://sts.us-east-1.amazonaws.com/?{}", self.query());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
    }
}
