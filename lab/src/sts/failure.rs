use http::StatusCode;

/// An error as STS answers it, or another service in its own form.
///
/// Codes and statuses: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>; the messages
/// are those that STS gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// An error in a service's own words.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// `SignatureDoesNotMatch`, which STS also answers where the scope or the time is wrong.
    pub(crate) fn signature(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
    }

    /// The signature is well-formed and not the one that the key makes.
    pub(crate) fn wrong_signature() -> Self {
        Self::signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS \
             Secret Access Key and signing method. Consult the service documentation for details.",
        )
    }

    /// The access key is unknown or inactive, or its session token is another.
    pub(crate) fn invalid_client_token() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    }

    /// The session is over.
    pub(crate) fn expired_token() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ExpiredToken",
            "The security token included in the request is expired",
        )
    }

    /// The request is not signed at all.
    pub(crate) fn missing_token() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    }

    /// The request is signed in a form that can't be checked.
    pub(crate) fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "IncompleteSignature", message)
    }

    /// The action or its version is none that is emulated.
    pub(crate) fn invalid_action(action: &str, version: Option<&str>) -> Self {
        let version = version.unwrap_or("NO_VERSION_SPECIFIED");
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    }

    /// No action at all.
    pub(crate) fn missing_action() -> Self {
        let message = "The request is missing an action or a required parameter.";
        Self::new(StatusCode::BAD_REQUEST, "MissingAction", message)
    }

    /// The caller may not do that.
    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// A parameter's value is none that the action takes.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    /// The query has a malformed percent sequence or is not UTF-8.
    pub(crate) fn malformed_query() -> Self {
        let message = "The query string contains a syntax error.";
        Self::new(StatusCode::NOT_FOUND, "MalformedQueryString", message)
    }

    /// Too many requests, which STS answers with HTTP 400.
    pub(crate) fn throttling() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
    }

    /// STS's own error.
    pub(crate) fn service(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                ("ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
            }
            _ => (
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
        };
        Self::new(status, code, message)
    }

    /// Whose fault it is, in STS's words.
    pub(crate) fn kind(&self) -> &'static str {
        if self.status.is_server_error() { "Receiver" } else { "Sender" }
    }
}
