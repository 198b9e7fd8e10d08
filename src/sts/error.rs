//! What STS's refusals and failures mean: a verdict on the token, or none.

use super::{http::HttpFailure, xml::XmlError};

/// Why STS vouched for nobody.
///
/// No variant carries a text of STS's or of the HTTP client's: those may quote the request, and with it the
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StsError {
    /// STS looked at the token and refused it: a verdict.
    #[error("STS refused the token: {0}")]
    Rejected(#[from] Rejection),
    /// There is no verdict.
    #[error("no verdict from STS: {0}")]
    NoVerdict(#[from] NoVerdict),
}

/// STS's verdicts against a token.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// `SignatureDoesNotMatch`: forged, or signed for another cluster ID.
    #[error("the signature does not match: forged, or signed for another cluster ID")]
    SignatureDoesNotMatch,
    /// `SignatureDoesNotMatch` because X-Amz-Date lies ahead of STS's clock.
    #[error("the signature is not yet current: the client's clock is ahead of STS's")]
    NotYetCurrent,
    /// `ExpiredToken` or `ExpiredTokenException`: the session behind the token is over.
    #[error("the session that signed it has expired")]
    ExpiredToken,
    /// `InvalidClientTokenId`: no such key, or too new, or disabled.
    #[error("STS does not know the access key, or not yet")]
    InvalidClientTokenId,
    /// `IncompleteSignature`, `MissingAuthenticationToken`, `MalformedQueryString` and their like.
    #[error("STS calls the request malformed")]
    Malformed,
    /// `AccessDenied` or `AccessDeniedException`.
    #[error("access denied")]
    AccessDenied,
    /// `RegionDisabledException`: STS is switched off in this region for the account.
    #[error("the account has STS switched off in this region")]
    RegionDisabled,
    /// Any other code with a 4xx status.
    #[error("another error code with a 4xx status")]
    Other,
}

/// Why there is no verdict; the caller should try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoVerdict {
    /// `Throttling` and its like, which come with HTTP 400, or HTTP 429.
    #[error("STS throttles")]
    Throttled,
    /// HTTP 5xx.
    #[error("STS failed with HTTP status {0}")]
    ServerError(u16),
    /// A redirect or another status that STS does not use.
    #[error("unexpected HTTP status {0}")]
    UnexpectedStatus(u16),
    /// No connection: refused, no address, no TLS, no proxy.
    #[error("cannot connect to STS")]
    Connect,
    /// The deadline passed.
    #[error("STS did not answer in time")]
    Timeout,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to STS broke")]
    Transport,
    /// More bytes than any answer of STS has.
    #[error("STS's answer is longer than {} bytes", super::client::MAX_BODY)]
    Oversized,
    /// The body is not what STS sends.
    #[error("STS's answer cannot be read: {0}")]
    Unreadable(#[from] XmlError),
    /// The call was given up before there was an answer: it failed within, or the process is ending.
    #[error("the call of STS ended without an answer")]
    Interrupted,
    /// The body is not UTF-8.
    #[error("STS's answer is not UTF-8")]
    Encoding,
}

impl From<HttpFailure> for NoVerdict {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::Connect => Self::Connect,
            HttpFailure::Timeout => Self::Timeout,
            HttpFailure::Transport => Self::Transport,
            HttpFailure::Oversized => Self::Oversized,
            HttpFailure::Encoding => Self::Encoding,
        }
    }
}

impl From<HttpFailure> for StsError {
    fn from(failure: HttpFailure) -> Self {
        NoVerdict::from(failure).into()
    }
}

/// Tells a verdict from none, for an answer with a status other than 200.
///
/// `body` is the error's code and message, where they could be read.
pub(super) fn classify(status: u16, body: Result<(&str, &str), XmlError>) -> StsError {
    // The codes come with HTTP 400, not 429; whoever proxies STS may still say 429.
    const THROTTLING: [&str; 5] = [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
    ];
    let (code, message) = match body {
        Ok((code, _)) if THROTTLING.contains(&code) => return NoVerdict::Throttled.into(),
        _ if status == 429 => return NoVerdict::Throttled.into(),
        _ if status >= 500 => return NoVerdict::ServerError(status).into(),
        _ if !(400..500).contains(&status) => return NoVerdict::UnexpectedStatus(status).into(),
        // Some 4xx of a proxy or a captive portal: it did not look at the token.
        Err(error) => return NoVerdict::Unreadable(error).into(),
        Ok(code_and_message) => code_and_message,
    };
    match code {
        "SignatureDoesNotMatch" if message.starts_with("Signature not yet current") => {
            Rejection::NotYetCurrent
        }
        "SignatureDoesNotMatch" => Rejection::SignatureDoesNotMatch,
        "ExpiredToken" | "ExpiredTokenException" => Rejection::ExpiredToken,
        "InvalidClientTokenId" | "UnrecognizedClientException" => Rejection::InvalidClientTokenId,
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "MalformedQueryString"
        | "InvalidQueryParameter"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "MissingAction"
        | "InvalidAction"
        | "ValidationError" => Rejection::Malformed,
        "AccessDenied" | "AccessDeniedException" => Rejection::AccessDenied,
        "RegionDisabledException" => Rejection::RegionDisabled,
        // 4xx codes that are about STS or the way there, not about the token.
        "RequestTimeout" | "ServiceUnavailable" | "InternalFailure" | "InternalError" | "SlowDown" => {
            return NoVerdict::ServerError(status).into();
        }
        _ => Rejection::Other,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_comes_with_400_and_is_no_verdict() {
        for code in ["Throttling", "ThrottlingException", "RequestLimitExceeded"] {
            assert_eq!(classify(400, Ok((code, "Rate exceeded"))), NoVerdict::Throttled.into());
        }
        assert_eq!(classify(429, Err(XmlError::Malformed)), NoVerdict::Throttled.into());
    }

    #[test]
    fn refusals_are_verdicts() {
        for (code, rejection) in [
            ("SignatureDoesNotMatch", Rejection::SignatureDoesNotMatch),
            ("ExpiredToken", Rejection::ExpiredToken),
            ("ExpiredTokenException", Rejection::ExpiredToken),
            ("InvalidClientTokenId", Rejection::InvalidClientTokenId),
            ("IncompleteSignature", Rejection::Malformed),
            ("AccessDenied", Rejection::AccessDenied),
            ("SomethingNew", Rejection::Other),
        ] {
            assert_eq!(classify(403, Ok((code, ""))), rejection.into(), "{code}");
        }
    }

    #[test]
    fn a_clock_ahead_of_sts_is_told_apart_from_a_forgery() {
        let message = "Signature not yet current: 20260101T000500Z is still later than 20260101T000000Z";
        assert_eq!(classify(403, Ok(("SignatureDoesNotMatch", message))), Rejection::NotYetCurrent.into());
    }

    #[test]
    fn whoever_is_not_sts_gives_no_verdict() {
        assert_eq!(classify(302, Err(XmlError::Missing)), NoVerdict::UnexpectedStatus(302).into());
        assert_eq!(classify(204, Err(XmlError::Missing)), NoVerdict::UnexpectedStatus(204).into());
        assert_eq!(classify(500, Ok(("InternalFailure", ""))), NoVerdict::ServerError(500).into());
        assert_eq!(classify(503, Ok(("SignatureDoesNotMatch", ""))), NoVerdict::ServerError(503).into());
        assert_eq!(
            classify(403, Err(XmlError::Malformed)),
            NoVerdict::Unreadable(XmlError::Malformed).into()
        );
        assert_eq!(classify(407, Err(XmlError::Missing)), NoVerdict::Unreadable(XmlError::Missing).into());
    }
}
