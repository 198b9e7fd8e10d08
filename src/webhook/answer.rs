//! The one place where an outcome becomes an HTTP answer.
//!
//! The rule, and what kube-apiserver makes of each answer (k8s.io/apiserver,
//! `plugin/pkg/authenticator/token/webhook`):
//!
//! | outcome | answer | kube-apiserver |
//! |---|---|---|
//! | authenticated | 200 | remembers it (2 minutes by default) |
//! | denied, final | 200 without `status.error` | remembers it |
//! | denied, may change soon | 200 with `status.error` | logs it, does not remember it |
//! | STS throttles, or too much is asked of it | 429 with `Retry-After` | tries again |
//! | no verdict otherwise | 503 with `Retry-After` | tries again |

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use serde::Serialize;

use super::{
    status,
    token_review::{self, ApiVersion, EmptySpec, Kind, UserInfo},
};
use crate::{
    outcome::{Outcome, Unavailability, User},
    sts::{NoVerdict, Shed, ShedReason},
};

/// Every answer's body is made whole before it is sent.
pub type Answer = Response<Full<Bytes>>;

/// Answers a TokenReview asked in `version`. `audiences` are those that were asked for and are served here.
#[must_use]
pub fn review(version: ApiVersion, audiences: Vec<String>, outcome: &Outcome) -> Answer {
    let status = match outcome {
        Outcome::Authenticated(user) => {
            token_review::Status { authenticated: true, user: Some(user_info(user)), audiences, error: None }
        }
        Outcome::Denied(denial) => token_review::Status {
            error: (!denial.is_final()).then(|| denial.to_string()),
            ..token_review::Status::default()
        },
        Outcome::Unavailable(unavailability) => {
            let code = match unavailability {
                Unavailability::Sts(NoVerdict::Throttled)
                | Unavailability::Shed(Shed {
                    reason: ShedReason::Overload | ShedReason::AccessKey, ..
                }) => StatusCode::TOO_MANY_REQUESTS,
                Unavailability::Sts(_)
                | Unavailability::Shed(_)
                | Unavailability::Ec2(_)
                | Unavailability::NotLoaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            return try_again(code, unavailability.to_string(), unavailability.retry_after());
        }
    };
    let review =
        token_review::Response { api_version: version, kind: Kind::TokenReview, spec: EmptySpec {}, status };
    json(StatusCode::OK, &review)
}

/// Answers what is no TokenReview, with a Kubernetes `Status`.
#[must_use]
pub fn failure(code: StatusCode, message: impl Into<String>) -> Answer {
    json(code, &status::Status::failure(code, message))
}

/// Answers what there is no verdict on now, so that the client asks again, after `seconds`.
#[must_use]
pub fn try_again(code: StatusCode, message: impl Into<String>, seconds: u64) -> Answer {
    let mut answer = failure(code, message);
    answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    answer
}

/// Answers a method that `path` does not have.
#[must_use]
pub fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = failure(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} is served here"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Answers with a text.
#[must_use]
pub fn text(code: StatusCode, text: impl Into<Bytes>, content_type: HeaderValue) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Answers with JSON that nobody may keep.
#[must_use]
pub fn json(code: StatusCode, body: &impl Serialize) -> Answer {
    // These types have no map with other keys than text and no failing serializer.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = text(code, body, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn user_info(user: &User) -> UserInfo {
    UserInfo {
        username: user.username.clone(),
        uid: user.uid.clone(),
        groups: user.groups.clone(),
        extra: user.extra.iter().map(|(key, value)| (*key, [value.clone()])).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::{mapping::BackendMode, outcome::Denial, sts::Rejection};

    fn body(answer: Answer) -> Value {
        let body = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(answer.into_body().collect())
            .unwrap()
            .to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn an_authenticated_user_in_the_version_asked() {
        for (version, name) in [(ApiVersion::V1, "v1"), (ApiVersion::V1beta1, "v1beta1")] {
            let user = User {
                username: "admin".into(),
                uid: "aws-iam-authenticator:1:2".into(),
                groups: vec!["system:masters".into()],
                extra: BTreeMap::from([("arn", "arn:x".to_owned())]),
            };
            let answer = review(version, vec!["a".into()], &Outcome::Authenticated(user));
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(
                body(answer),
                json!({
                    "apiVersion": format!("authentication.k8s.io/{name}"), "kind": "TokenReview", "spec": {},
                    "status": {
                        "authenticated": true, "audiences": ["a"],
                        "user": {
                            "username": "admin", "uid": "aws-iam-authenticator:1:2",
                            "groups": ["system:masters"], "extra": {"arn": ["arn:x"]}
                        }
                    }
                })
            );
        }
    }

    #[test]
    fn a_final_denial_is_clean_and_one_that_may_change_has_an_error() {
        let last = Outcome::Denied(Denial::Rejected(Rejection::SignatureDoesNotMatch));
        let answer = review(ApiVersion::V1, vec!["a".into()], &last);
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(body(answer)["status"], json!({"authenticated": false}));

        let answer = review(ApiVersion::V1, vec![], &Outcome::Denied(Denial::NotMapped));
        assert_eq!(answer.status(), StatusCode::OK);
        let status = &body(answer)["status"];
        assert_eq!(status["authenticated"], false);
        assert_eq!(status["error"], "no mapping matches the IAM principal");
    }

    #[test]
    fn no_verdict_asks_to_come_again() {
        let shed = |reason| Unavailability::Shed(Shed { reason, retry_after: 4 });
        for (unavailability, code, reason, retry_after) in [
            (Unavailability::Sts(NoVerdict::Throttled), 429, "TooManyRequests", "1"),
            (Unavailability::Sts(NoVerdict::Timeout), 503, "ServiceUnavailable", "1"),
            (Unavailability::Ec2(crate::ec2::Failure::Throttled), 503, "ServiceUnavailable", "1"),
            (Unavailability::NotLoaded(BackendMode::EksConfigMap), 503, "ServiceUnavailable", "1"),
            (shed(ShedReason::Overload), 429, "TooManyRequests", "4"),
            (shed(ShedReason::AccessKey), 429, "TooManyRequests", "4"),
            (shed(ShedReason::CircuitOpen), 503, "ServiceUnavailable", "4"),
        ] {
            let answer = review(ApiVersion::V1, vec![], &Outcome::Unavailable(unavailability));
            assert_eq!(answer.status().as_u16(), code);
            assert_eq!(answer.headers()[RETRY_AFTER], retry_after);
            let body = body(answer);
            assert_eq!(
                (&body["kind"], &body["reason"], &body["code"]),
                (&json!("Status"), &json!(reason), &json!(code))
            );
        }
    }

    #[test]
    fn a_method_that_is_not_served_names_the_one_that_is() {
        let answer = method_not_allowed("POST");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[ALLOW]),
            (405, &HeaderValue::from_static("POST"))
        );
        assert_eq!(body(answer)["reason"], "MethodNotAllowed");
    }
}
