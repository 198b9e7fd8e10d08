use std::borrow::Cow;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What came of a request: a closed set, so that reports can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// Somebody was let in.
    Authenticated,
    /// A clean denial, which kube-apiserver remembers.
    Denied,
    /// A denial with `status.error`, which kube-apiserver does not remember.
    DeniedPassing,
    /// HTTP 401 or 403: how a kube-apiserver refuses a client, and aws-iam-authenticator a token.
    Refused,
    /// HTTP 429.
    Throttled,
    /// HTTP 503.
    Unavailable,
    /// Any other answer.
    Other,
    /// None in time.
    TimedOut,
    /// None: no connection, or one that broke.
    Transport,
    /// Not sent: as many as may be were under way.
    NotSent,
}

impl AnswerKind {
    /// All, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Authenticated,
        Self::Denied,
        Self::DeniedPassing,
        Self::Refused,
        Self::Throttled,
        Self::Unavailable,
        Self::Other,
        Self::TimedOut,
        Self::Transport,
        Self::NotSent,
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As reports name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Denied => "denied",
            Self::DeniedPassing => "denied, may change",
            Self::Refused => "refused (401, 403)",
            Self::Throttled => "throttled (429)",
            Self::Unavailable => "unavailable (503)",
            Self::Other => "other answers",
            Self::TimedOut => "timed out",
            Self::Transport => "transport errors",
            Self::NotSent => "not sent",
        }
    }

    /// Whether the server gave a verdict on the token.
    #[must_use]
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::Authenticated | Self::Denied | Self::DeniedPassing | Self::Refused)
    }

    /// Whether an HTTP answer came at all.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        !matches!(self, Self::TimedOut | Self::Transport | Self::NotSent)
    }

    /// Reads a webhook's answer.
    #[must_use]
    pub fn of_review(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Review<'a> {
            #[serde(borrow)]
            status: Option<Verdict<'a>>,
        }
        #[derive(Deserialize)]
        struct Verdict<'a> {
            #[serde(default)]
            authenticated: bool,
            #[serde(borrow)]
            error: Option<Cow<'a, str>>,
        }
        if status != StatusCode::OK {
            return Self::of_status(status);
        }
        match serde_json::from_slice(body) {
            Ok(Review { status: Some(Verdict { authenticated: true, .. }) }) => Self::Authenticated,
            Ok(Review { status: Some(Verdict { error: Some(error), .. }) }) if !error.is_empty() => {
                Self::DeniedPassing
            }
            Ok(Review { status: Some(_) }) => Self::Denied,
            Ok(Review { status: None }) | Err(_) => Self::Other,
        }
    }

    /// Reads an API server's answer to a `SelfSubjectReview`, which it makes of a token that it takes.
    #[must_use]
    pub fn of_self_review(status: StatusCode) -> Self {
        if status.is_success() { Self::Authenticated } else { Self::of_status(status) }
    }

    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused,
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        for (status, body, kind) in [
            (200, r#"{"status":{"authenticated":true,"user":{"username":"a"}}}"#, AnswerKind::Authenticated),
            (200, r#"{"status":{"authenticated":false}}"#, AnswerKind::Denied),
            (200, r#"{"status":{}}"#, AnswerKind::Denied),
            (
                200,
                r#"{"status":{"authenticated":false,"error":"no \"such\" user"}}"#,
                AnswerKind::DeniedPassing,
            ),
            (200, r#"{"status":{"authenticated":false,"error":""}}"#, AnswerKind::Denied),
            (200, r#"{"kind":"TokenReview"}"#, AnswerKind::Other),
            (200, "<html>", AnswerKind::Other),
            (403, r#"{"status":{"authenticated":true}}"#, AnswerKind::Refused),
            (429, "", AnswerKind::Throttled),
            (503, "", AnswerKind::Unavailable),
            (500, "", AnswerKind::Other),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(AnswerKind::of_review(status, body.as_bytes()), kind, "{status} {body}");
        }
        assert_eq!(AnswerKind::of_self_review(StatusCode::CREATED), AnswerKind::Authenticated);
        assert_eq!(AnswerKind::of_self_review(StatusCode::UNAUTHORIZED), AnswerKind::Refused);
    }

    #[test]
    fn each_kind_has_its_place() {
        for (index, kind) in AnswerKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
