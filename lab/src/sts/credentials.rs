use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// An access key, with its session token if it is temporary.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AKIA…`, or `ASIA…` where it is temporary.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Sent along with requests that are signed with a temporary key.
    pub session_token: Option<String>,
}

impl Credentials {
    /// The variables by which AWS's programs take them.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let token = self.session_token.as_ref().map(|token| ("AWS_SESSION_TOKEN".to_owned(), token.clone()));
        [
            ("AWS_ACCESS_KEY_ID".to_owned(), self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.secret_access_key.clone()),
        ]
        .into_iter()
        .chain(token)
        .collect()
    }

    /// Long-term credentials that follow from `seed`.
    pub(super) fn long_term(seed: &str) -> Self {
        Self {
            access_key_id: unique_id("AKIA", &format!("access key of {seed}"), 20),
            secret_access_key: secret(seed),
            session_token: None,
        }
    }

    /// Temporary credentials that follow from `seed`.
    pub(super) fn temporary(seed: &str) -> Self {
        // As long as those of many an SDK's user; its base64 has `+`, `/` and `=`, so that clients have
        // something to encode.
        let token: Vec<u8> = (0..11).flat_map(|part| digest(&format!("token {part} of {seed}"))).collect();
        Self {
            access_key_id: unique_id("ASIA", &format!("access key of {seed}"), 20),
            secret_access_key: secret(seed),
            session_token: Some(STANDARD.encode(token)),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// An ID in the form of IAM's, `length` characters with its prefix, that follows from `seed`.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>
pub(super) fn unique_id(prefix: &str, seed: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = digest(seed).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    prefix.chars().chain(letters).take(length).collect()
}

fn secret(seed: &str) -> String {
    let mut secret = STANDARD.encode(digest(&format!("secret of {seed}")));
    secret.truncate(40);
    secret
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_like_awss_and_follow_from_their_seed() {
        let credentials = Credentials::temporary("x");
        assert_eq!(credentials, Credentials::temporary("x"));
        assert_ne!(credentials, Credentials::temporary("y"));
        assert!(credentials.access_key_id.starts_with("ASIA"));
        assert_eq!(credentials.access_key_id.len(), 20);
        assert_eq!(credentials.secret_access_key.len(), 40);
        assert!(Credentials::long_term("x").access_key_id.starts_with("AKIA"));
        assert_eq!(unique_id("AROA", "x", 21).len(), 21);
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials::temporary("x");
        let shown = format!("{credentials:?}");
        assert!(!shown.contains(&credentials.secret_access_key), "{shown}");
        assert!(!shown.contains(&credentials.session_token.unwrap()), "{shown}");
    }
}
