use std::{fmt, time::Duration};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::{ClusterId, MAX_LEN, PREFIX};
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
    /// No server takes a token as long as this one, for its session token is too long.
    #[error(
        "the token would be {0} bytes long and no server takes more than {MAX_LEN}: the credentials' session token is \
         too long (a smaller session policy or fewer session tags shorten it)"
    )]
    TooLong(usize),
}

/// Makes a token: a GetCallerIdentity request to `endpoint`, signed by `credentials` for `cluster_id` at `now`.
///
/// # Errors
/// Where the request cannot be signed, or the token would be longer than [`MAX_LEN`].
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
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()));
    if token.len() > MAX_LEN {
        return Err(PresignError::TooLong(token.len()));
    }
    Ok(Token(token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{identity::Partition, sts::Endpoints, token::parse};

    /// 2026-01-15T12:00:00Z, in seconds.
    const NOW: i64 = 1_768_478_400;

    fn credentials(access_key_id: &str, session_token: Option<String>) -> Credentials {
        Credentials::new(
            access_key_id,
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            session_token,
            None,
            "test",
        )
    }

    fn presigned(session_token: Option<String>, cluster_id: &str) -> Result<Token, PresignError> {
        presign(
            &credentials("AKIAIOSFODNN7EXAMPLE", session_token),
            &cluster_id.parse().unwrap(),
            &Endpoint::global(),
            Timestamp::from_second(NOW).unwrap(),
        )
    }

    #[test]
    fn a_token_is_for_one_cluster() {
        let token = presigned(None, "a").unwrap();
        assert_eq!(token, presigned(None, "a").unwrap());
        assert_ne!(token, presigned(None, "b").unwrap());
    }

    #[test]
    fn a_token_that_no_server_takes_is_not_made() {
        let error = presigned(Some("x".repeat(MAX_LEN)), "a").unwrap_err();
        assert!(matches!(error, PresignError::TooLong(_)));
        assert!(!error.to_string().contains("xxx"), "{error}");
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let token = presigned(None, "a").unwrap();
        assert_eq!(format!("{token:?} {token:#?}"), "Token(…) Token(…)");
    }

    proptest! {
        /// Whatever is signed, for whichever host of whichever partition: our own server takes it, and both it
        /// and the HTTP client that sends it keep every byte.
        #[test]
        fn what_is_presigned_parses_and_is_sent_as_signed(
            partition in prop::sample::select(Partition::ALL.to_vec()),
            host in any::<prop::sample::Selector>(),
            access_key_id in "[A-Z0-9a-z_]{16,128}",
            session_token in prop::option::of("[!-~]{1,800}"),
            cluster_id in "[!-~]{1,100}",
            second in 0..4_000_000_000_i64,
        ) {
            let endpoints = Endpoints::new(partition, None, &[]).unwrap();
            let endpoint = host.select(endpoints.iter());
            let now = Timestamp::from_second(second).unwrap();
            let credentials = credentials(&access_key_id, session_token);
            let token = presign(&credentials, &cluster_id.parse().unwrap(), endpoint, now).unwrap();
            let request = parse(token.expose(), &endpoints, now).unwrap();
            prop_assert_eq!(request.endpoint(), endpoint);
            prop_assert_eq!(request.access_key_id(), access_key_id);
            prop_assert_eq!(request.signed_at(), now);
            let url = request.url();
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&url), &token.expose()[PREFIX.len()..]);
            prop_assert_eq!(reqwest::Url::parse(&url).unwrap().to_string(), url);
        }
    }
}
