use aws_lc_rs::{hmac, rand::SystemRandom};

use crate::token::PresignedRequest;

/// Stands for one token, and is worth nothing outside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey(u128);

/// Stands for what a token is signed with: the access key ID, and the security token where there is one.
///
/// An access key ID is no secret. Of temporary credentials the security token is one, so that who knows only
/// the ID of somebody's key cannot make a token that counts as theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CredentialsKey(u128);

impl TokenKey {
    /// A number from 0 up to `below`, the same for the same token, that its maker cannot choose.
    pub(super) fn spread(self, below: u64) -> u64 {
        u64::try_from(self.0 % u128::from(below.max(1))).unwrap_or_default()
    }
}

/// Makes keys: HMAC-SHA256 under a key of this process's own, cut to 128 bits.
///
/// Tokens come from whoever likes to send one. Without the key nobody can make two that meet in one entry, nor
/// learn from an entry which token it is of.
#[derive(Debug)]
pub(super) struct Keys(hmac::Key);

/// No random numbers: there is no way to keep tokens apart safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomNumbers;

impl Keys {
    /// A key that no other process has.
    pub(super) fn generate() -> Result<Self, NoRandomNumbers> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map(Self).map_err(|_| NoRandomNumbers)
    }

    /// The key of the token that `request` was parsed from.
    ///
    /// It is made of what is sent to STS. A token is that URL in the one base64 that the parser takes, so that
    /// equal requests are equal tokens, and an entry cannot be of another token than the one that was asked
    /// about.
    pub(super) fn token(&self, request: &PresignedRequest) -> TokenKey {
        TokenKey(self.sign(&[request.endpoint().host(), "?", request.query()]))
    }

    /// The key of what `request` is signed with.
    pub(super) fn credentials(&self, request: &PresignedRequest) -> CredentialsKey {
        // Neither part can hold a blank.
        let security_token = request.security_token().unwrap_or_default();
        CredentialsKey(self.sign(&[request.access_key_id(), " ", security_token]))
    }

    fn sign(&self, parts: &[&str]) -> u128 {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        // The tag has 32 bytes.
        tag.as_ref().first_chunk().map_or(0, |half: &[u8; 16]| u128::from_le_bytes(*half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sts::verifier::tests::{now, request};

    #[test]
    fn every_part_of_a_token_is_in_its_key() {
        let keys = Keys::generate().unwrap();
        let one = request("AKIAIOSFODNN7EXAMPLE", None, 'a', now());
        assert_eq!(keys.token(&one), keys.token(&one.clone()));
        for other in [
            request("AKIAIOSFODNN7EXAMPLF", None, 'a', now()),
            request("AKIAIOSFODNN7EXAMPLE", Some("s"), 'a', now()),
            request("AKIAIOSFODNN7EXAMPLE", None, 'b', now()),
            request("AKIAIOSFODNN7EXAMPLE", None, 'a', now() - jiff::SignedDuration::from_secs(1)),
        ] {
            assert_ne!(keys.token(&one), keys.token(&other));
        }
        assert_ne!(keys.token(&one), Keys::generate().unwrap().token(&one), "a process's own");
    }

    #[test]
    fn credentials_are_the_key_and_its_security_token_and_nothing_else() {
        let keys = Keys::generate().unwrap();
        let key =
            |id, security_token, signature| keys.credentials(&request(id, security_token, signature, now()));
        let one = key("ASIAIOSFODNN7EXAMPLE", Some("s"), 'a');
        assert_eq!(one, key("ASIAIOSFODNN7EXAMPLE", Some("s"), 'b'), "any token of theirs");
        assert_ne!(one, key("ASIAIOSFODNN7EXAMPLE", Some("t"), 'a'), "the ID alone is not enough");
        assert_ne!(one, key("ASIAIOSFODNN7EXAMPLE", None, 'a'));
        assert_ne!(one, key("ASIAIOSFODNN7EXAMPLF", Some("s"), 'a'));
    }
}
