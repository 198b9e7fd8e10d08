//! Kubernetes' `Status` object: the body of every answer that is no TokenReview.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use http::StatusCode;
use serde::Serialize;

/// A failure, as Kubernetes tells of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    #[serde(rename = "status")]
    outcome: &'static str,
    message: String,
    reason: &'static str,
    code: u16,
}

#[derive(Debug, Serialize)]
struct Metadata {}

impl Status {
    /// A failure with an HTTP status and what a person should know of it.
    #[must_use]
    pub fn failure(code: StatusCode, message: impl Into<String>) -> Self {
        // The reasons of k8s.io/apimachinery's StatusReason; clients switch on them.
        let reason = match code {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
            StatusCode::REQUEST_TIMEOUT => "Timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            _ => "InternalError",
        };
        Self {
            api_version: "v1",
            kind: "Status",
            metadata: Metadata {},
            outcome: "Failure",
            message: message.into(),
            reason,
            code: code.as_u16(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }
}
