//! What the tests of this folder's files share. The whole is tried in `tests/verifier.rs`, against an STS.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use crate::{
    identity::{Identity, Partition},
    sts::{Endpoint, Endpoints},
    token::{PREFIX, PresignedRequest, parse},
};

/// The time of these tests.
pub(in crate::sts) fn now() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

/// A request whose signature is `signature` 64 times.
pub(in crate::sts) fn request(
    access_key_id: &str,
    security_token: Option<&str>,
    signature: char,
    signed_at: Timestamp,
) -> PresignedRequest {
    let date = signed_at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let security_token =
        security_token.map(|token| format!("&X-Amz-Security-Token={token}")).unwrap_or_default();
    let url = format!(
        "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={access_key_id}%2F{}%2Fus-east-1%2Fsts%2Faws4_request\
         &X-Amz-Date={date}&X-Amz-Expires=60{security_token}&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
         &X-Amz-Signature={}",
        &date[..8],
        signature.to_string().repeat(64),
    );
    let endpoints = Endpoints::of(&Endpoint::regional("us-east-1").unwrap());
    parse(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url)), &endpoints, signed_at).unwrap()
}

/// Somebody.
pub(in crate::sts) fn identity() -> Arc<Identity> {
    let account = "111122223333".parse().unwrap();
    let arn = "arn:aws:iam::111122223333:user/bob";
    Arc::new(Identity::new(Partition::Aws, arn, account, "AIDAEXAMPLE", "AKIAIOSFODNN7EXAMPLE").unwrap())
}
