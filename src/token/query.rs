//! The query of a presigned URL: the parameters that it has, each exactly once, in SigV4's encoding.

use super::error::TokenError;

/// The raw values, still encoded. The names are the seven of SigV4 and STS's two; there are no others.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    pub(super) action: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) algorithm: Option<&'a str>,
    pub(super) credential: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    pub(super) expires: Option<&'a str>,
    pub(super) security_token: Option<&'a str>,
    pub(super) signed_headers: Option<&'a str>,
    pub(super) signature: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// Splits `query`. Names are compared as they stand, neither decoded nor in another case: no client writes
    /// them otherwise, and what STS would make of it is then not our question.
    pub(super) fn parse(query: &'a str) -> Result<Self, TokenError> {
        let mut parameters = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or(TokenError::Query)?;
            let slot = match name {
                "Action" => &mut parameters.action,
                "Version" => &mut parameters.version,
                "X-Amz-Algorithm" => &mut parameters.algorithm,
                "X-Amz-Credential" => &mut parameters.credential,
                "X-Amz-Date" => &mut parameters.date,
                "X-Amz-Expires" => &mut parameters.expires,
                "X-Amz-Security-Token" => &mut parameters.security_token,
                "X-Amz-SignedHeaders" => &mut parameters.signed_headers,
                "X-Amz-Signature" => &mut parameters.signature,
                _ => return Err(TokenError::UnknownParameter),
            };
            if !is_encoded(value) {
                return Err(TokenError::Query);
            }
            if slot.replace(value).is_some() {
                return Err(TokenError::DuplicateParameter);
            }
        }
        Ok(parameters)
    }
}

/// Whether `value` is in the one encoding that SigV4 has for it: unreserved characters (RFC 3986, 2.3) as they
/// are, all others as `%` and two hexadecimal digits in upper case.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
fn is_encoded(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (Some(high), Some(low)) = (bytes.next().and_then(digit), bytes.next().and_then(digit)) else {
                return false;
            };
            if is_unreserved(high * 16 + low) {
                return false;
            }
        } else if !is_unreserved(byte) {
            return false;
        }
    }
    true
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_encoding_a_value() {
        for value in ["", "a-b.c_d~9", "%2B%2F%3D", "%00"] {
            assert!(is_encoded(value), "{value}");
        }
        for value in ["%", "%2", "%2f", "%GG", "%41", "%7E", "a b", "a+b", "a/b", "a;b", "a=b", "ä"] {
            assert!(!is_encoded(value), "{value}");
        }
    }
}
