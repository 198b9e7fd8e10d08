//! The TokenReview API, as kube-apiserver speaks it to webhooks: versions v1 and v1beta1 of
//! `authentication.k8s.io`, which differ in nothing but the name.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A version of the API group; an answer has the version of its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiVersion {
    /// `authentication.k8s.io/v1`
    #[serde(rename = "authentication.k8s.io/v1")]
    V1,
    /// `authentication.k8s.io/v1beta1`, kube-apiserver's default for webhooks.
    #[serde(rename = "authentication.k8s.io/v1beta1")]
    V1beta1,
}

/// The kind of object; there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `TokenReview`
    TokenReview,
}

/// What is asked. Not `Debug`: it holds the token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The version asked in.
    pub api_version: ApiVersion,
    /// Always TokenReview; anything else does not parse.
    #[expect(dead_code, reason = "its parsing is the check")]
    kind: Kind,
    /// The question.
    pub spec: RequestSpec,
}

/// The question. Not `Debug`: it holds the token.
#[derive(Deserialize)]
pub struct RequestSpec {
    /// The bearer token. Absent means empty, as in Kubernetes' own decoding.
    #[serde(default)]
    pub token: String,
    /// The audiences that the token should be meant for; empty where the API server did not ask.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub audiences: Vec<String>,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The version asked in.
    pub api_version: ApiVersion,
    /// Always TokenReview.
    pub kind: Kind,
    /// Empty: the token is never sent back.
    pub spec: EmptySpec,
    /// The answer.
    pub status: Status,
}

/// The empty object.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct EmptySpec {}

/// The answer.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the token is the user's.
    pub authenticated: bool,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserInfo>,
    /// Which of the audiences asked for it is meant for; empty means the API server's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Why not. kube-apiserver logs it, and does not remember an answer that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A user.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// The name.
    pub username: String,
    /// Unique over time.
    pub uid: String,
    /// Groups, in order.
    pub groups: Vec<String>,
    /// Each a list of one.
    pub extra: BTreeMap<&'static str, [String; 1]>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kube_apiserver_sends() {
        let body = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1",
            "metadata":{"creationTimestamp":null},"spec":{"token":"t"},"status":{"user":{}}}"#;
        let request: Request = serde_json::from_str(body).unwrap();
        assert_eq!(request.api_version, ApiVersion::V1beta1);
        assert_eq!(request.spec.token, "t");
        assert!(request.spec.audiences.is_empty());
    }

    #[test]
    fn refuses_other_kinds_versions_and_doubled_fields() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReviews","spec":{"token":"t"}}"#,
            r#"{"apiVersion":"authentication.k8s.io/v2","kind":"TokenReview","spec":{"token":"t"}}"#,
            r#"{"apiVersion":"v1","kind":"TokenReview","spec":{"token":"t"}}"#,
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview"}"#,
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":1}}"#,
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","token":"b"}}"#,
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a"}} {}"#,
        ] {
            assert!(serde_json::from_str::<Request>(body).is_err(), "{body}");
        }
    }
}
