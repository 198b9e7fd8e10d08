use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use super::{credential::Credential, error::TokenError, query::Parameters, time};
use crate::sts::{Endpoint, Endpoints};

/// What every token begins with.
pub const PREFIX: &str = "k8s-aws-v1.";
/// The longest token that is looked at, in bytes, prefix included.
pub const MAX_LEN: usize = 4096;

/// How long STS takes a presigned URL after X-Amz-Date, whatever X-Amz-Expires says.
pub(crate) const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How far ahead of ours a client's clock may be.
pub(crate) const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A presigned GetCallerIdentity request that has passed every rule. Only [`parse`] makes one, and the request
/// to STS is made from it alone: what was checked is what is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct PresignedRequest {
    endpoint: Arc<Endpoint>,
    query: Box<str>,
    access_key_id: Box<str>,
    signed_at: Timestamp,
}

impl PresignedRequest {
    /// Whom to ask.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The URL, byte for byte as it was signed. It is a secret: whoever has it is the caller.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/?{}", self.endpoint.host(), self.query)
    }

    /// The URL's query. It is as secret as the URL.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// The security token of temporary credentials, still encoded. It is a secret.
    pub(crate) fn security_token(&self) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Security-Token="))
    }

    /// The key that signed it, as it says itself.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// X-Amz-Date.
    #[must_use]
    pub const fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// When STS stops taking it: 15 minutes after X-Amz-Date.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.signed_at.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Debug for PresignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedRequest")
            .field("host", &self.endpoint.host())
            .field("region", &self.endpoint.region())
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}

/// Reads a token at the time `now`.
///
/// # Errors
/// The first rule that it breaks. A token of another authenticator is told by its length and its first bytes,
/// before anything is decoded or allocated.
pub fn parse(token: &str, endpoints: &Endpoints, now: Timestamp) -> Result<PresignedRequest, TokenError> {
    if token.len() > MAX_LEN {
        return Err(TokenError::TooLong);
    }
    let encoded = token.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
    // This engine refuses padding, the standard alphabet, white space and stray trailing bits.
    let url = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Base64)?;
    if !url.iter().all(u8::is_ascii_graphic) {
        return Err(TokenError::Character);
    }
    let url = std::str::from_utf8(&url).map_err(|_| TokenError::Character)?;
    parse_url(url, endpoints, now)
}

fn parse_url(url: &str, endpoints: &Endpoints, now: Timestamp) -> Result<PresignedRequest, TokenError> {
    let rest = url.strip_prefix("https://").ok_or(TokenError::Scheme)?;
    if rest.contains('#') {
        return Err(TokenError::Fragment);
    }
    // The host must be one in the table to the letter, so that a port, a user, a trailing dot, an escape or
    // another case is a host that is not there.
    let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let endpoint = endpoints.look_up(host).ok_or(TokenError::Host)?;
    let query = rest.strip_prefix("/?").ok_or(TokenError::Path)?;

    let parameters = Parameters::parse(query)?;
    let get = |value: Option<_>, name: &'static str| value.ok_or(TokenError::MissingParameter(name));
    let fixed = |value: &str, want: &str, error| if value == want { Ok(()) } else { Err(error) };
    fixed(get(parameters.action, "Action")?, "GetCallerIdentity", TokenError::Action)?;
    fixed(get(parameters.version, "Version")?, "2011-06-15", TokenError::Version)?;
    fixed(get(parameters.algorithm, "X-Amz-Algorithm")?, "AWS4-HMAC-SHA256", TokenError::Algorithm)?;
    let signed_headers = get(parameters.signed_headers, "X-Amz-SignedHeaders")?;
    fixed(signed_headers, "host%3Bx-k8s-aws-id", TokenError::SignedHeaders)?;
    if parameters.security_token == Some("") {
        return Err(TokenError::SecurityToken);
    }
    let signature = get(parameters.signature, "X-Amz-Signature")?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if signature.len() != 64 || !signature.bytes().all(hexadecimal) {
        return Err(TokenError::Signature);
    }
    let expires = get(parameters.expires, "X-Amz-Expires")?;
    let seconds =
        expires.bytes().all(|byte| byte.is_ascii_digit()).then(|| expires.parse::<u16>().ok()).flatten();
    if seconds.is_none_or(|seconds| seconds > 900) {
        return Err(TokenError::Expires);
    }
    let date = get(parameters.date, "X-Amz-Date")?;
    let signed_at = time::parse(date).ok_or(TokenError::Date)?;
    let credential = Credential::parse(get(parameters.credential, "X-Amz-Credential")?)?;
    if !date.starts_with(credential.date) || credential.date.len() != 8 {
        return Err(TokenError::CredentialDate);
    }
    if credential.region != endpoint.region() {
        return Err(TokenError::CredentialRegion);
    }
    let age = now.duration_since(signed_at);
    if age > LIFETIME {
        return Err(TokenError::Expired);
    }
    if age < -MAX_AHEAD {
        return Err(TokenError::NotYetValid);
    }
    Ok(PresignedRequest {
        endpoint: Arc::clone(endpoint),
        query: query.into(),
        access_key_id: credential.access_key_id.into(),
        signed_at,
    })
}
