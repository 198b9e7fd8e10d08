use std::{fmt, time::Duration};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::{ClusterId, PREFIX};
use crate::sts::Endpoint;

/// What clients put into X-Amz-Expires. STS does not look at it.
const EXPIRES: Duration = Duration::from_mins(1);

/// A token: a secret for 15 minutes. Neither Debug nor Display shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum PresignError {
    /// The signing library refused the request or the credentials.
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] aws_sigv4::http_request::SigningError),
    /// A signing parameter is missing, which is a bug.
    #[error("a signing parameter is missing: {0}")]
    Parameters(#[from] v4::signing_params::BuildError),
    /// The request is no HTTP request, which is a bug.
    #[error("the request cannot be built: {0}")]
    Http(#[from] http::Error),
}

/// Makes a token: a GetCallerIdentity request to `endpoint`, signed by `credentials` for `cluster_id` at `now`.
///
/// # Errors
/// Where the request cannot be signed.
pub fn presign(
    credentials: &Credentials,
    cluster_id: &ClusterId,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<Token, PresignError> {
    let url = format!("https://{}/?Action=GetCallerIdentity&Version=2011-06-15", endpoint.host());
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(endpoint.region())
        .name("sts")
        .time(now.into())
        .settings(settings)
        .build()?
        .into();
    let headers = std::iter::once(("x-k8s-aws-id", cluster_id.as_str()));
    let signable = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]))?;
    let (instructions, _signature) = sign(signable, &params)?.into_parts();
    let mut request = http::Request::get(&url).body(())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(Token(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()))))
}
