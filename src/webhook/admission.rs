//! `/validate/aws-auth`: edits of aws-auth, looked at before they are made.
//!
//! kube-apiserver asks by an AdmissionReview (`admission.k8s.io/v1`), and its client is told what is answered: kubectl
//! prints the refusal's causes, and the warnings. Nothing is decided here but whether a text can be read, and nothing
//! secret is in the answer, so that whoever reaches the port may ask.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::answer::{self, Answer};
use crate::{
    mapping::{AwsAuth, Edit},
    source::config_map::{NAME, NAMESPACE},
};

/// The path.
pub const PATH: &str = "/validate/aws-auth";
/// The longest AdmissionReview that is read, in bytes: it holds the object as it was and as it shall be, of which an
/// API server takes 3 MiB each at most.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many reviews are read and looked at at one time. Others are told to come again.
const AT_ONCE: usize = 2;
/// How many causes a refusal names.
const MAX_CAUSES: usize = 20;
/// The longest warning, in characters, that an API server passes on whole.
const MAX_WARNING: usize = 250;

/// Answers AdmissionReviews.
#[derive(Debug)]
pub struct Admission {
    /// Beginnings of usernames that aws-auth may not give.
    reserved: Vec<String>,
    turns: Semaphore,
}

/// What became of a review, for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The edit may be made.
    Allowed,
    /// It may not.
    Refused,
    /// It is no AdmissionReview, or there is no time for it now.
    Unanswered,
}

impl Verdict {
    /// The metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

#[derive(Deserialize)]
struct Review {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: Kind,
    request: Request,
}

#[derive(Serialize, Deserialize)]
enum ApiVersion {
    #[serde(rename = "admission.k8s.io/v1")]
    V1,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    AdmissionReview,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    kind: GroupKind,
    #[serde(default)]
    object: Option<ConfigMap>,
    #[serde(default)]
    old_object: Option<ConfigMap>,
}

#[derive(Deserialize)]
struct GroupKind {
    kind: String,
}

/// The part of a ConfigMap that is looked at. Another kind of object has none of it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ConfigMap {
    data: Option<BTreeMap<String, Option<String>>>,
    binary_data: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    api_version: ApiVersion,
    kind: Kind,
    response: Response<'a>,
}

#[derive(Serialize)]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Why not, in the form from which kubectl makes its own message.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "Kubernetes' own name")]
struct Status {
    status: &'static str,
    reason: &'static str,
    code: u16,
    message: String,
    details: Details,
}

#[derive(Serialize)]
struct Details {
    name: &'static str,
    kind: &'static str,
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

impl Admission {
    /// `reserved` are beginnings of usernames that aws-auth may not give.
    #[must_use]
    pub const fn new(reserved: Vec<String>) -> Self {
        Self { reserved, turns: Semaphore::const_new(AT_ONCE) }
    }

    /// Answers the review that is `body`.
    pub async fn answer<B>(&self, body: B) -> (Answer, Verdict)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unanswered = |code, text: String| (answer::failure(code, text), Verdict::Unanswered);
        let Ok(_turn) = self.turns.try_acquire() else {
            let text = "too many edits are being looked at; try again";
            return (answer::try_again(StatusCode::SERVICE_UNAVAILABLE, text, 1), Verdict::Unanswered);
        };
        let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                let text = format!("an AdmissionReview has at most {MAX_BODY} bytes");
                return unanswered(StatusCode::PAYLOAD_TOO_LARGE, text);
            }
            Ok(Err(_)) => return unanswered(StatusCode::BAD_REQUEST, "the body broke off".to_owned()),
            Err(_) => return unanswered(StatusCode::REQUEST_TIMEOUT, "the body did not arrive".to_owned()),
        };
        let reserved = self.reserved.clone();
        // A mebibyte of YAML takes a while, in which token reviews are answered.
        let reviewed = tokio::task::spawn_blocking(move || review(&body, &reserved)).await;
        match reviewed {
            Ok(Ok(reviewed)) => reviewed,
            Ok(Err(error)) => {
                let text = format!("the body is no AdmissionReview of admission.k8s.io/v1: {error}");
                unanswered(StatusCode::BAD_REQUEST, text)
            }
            Err(error) => unanswered(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

fn review(body: &[u8], reserved: &[String]) -> Result<(Answer, Verdict), serde_json::Error> {
    let Review { request, .. } = serde_json::from_slice(body)?;
    let is_aws_auth =
        request.kind.kind == "ConfigMap" && request.namespace == NAMESPACE && request.name == NAME;
    let edit = if is_aws_auth {
        let (before, after) = (request.old_object.map(AwsAuth::from), request.object.map(AwsAuth::from));
        Edit::review(before.as_ref(), after.as_ref(), reserved)
    } else {
        Edit::default()
    };
    let allowed = edit.refusals.is_empty();
    let shorten = |warning: String| warning.chars().take(MAX_WARNING).collect();
    let response = Response {
        uid: &request.uid,
        allowed,
        status: (!allowed).then(|| Status::new(&edit)),
        warnings: edit.warnings.into_iter().map(shorten).collect(),
    };
    let reply = Reply { api_version: ApiVersion::V1, kind: Kind::AdmissionReview, response };
    let verdict = if allowed { Verdict::Allowed } else { Verdict::Refused };
    if is_aws_auth {
        tracing::info!(verdict = verdict.label(), "an edit of aws-auth was looked at");
    }
    Ok((answer::json(StatusCode::OK, &reply), verdict))
}

impl Status {
    fn new(edit: &Edit) -> Self {
        let all = edit.refusals.iter();
        let mut causes: Vec<Cause> = all
            .clone()
            .take(MAX_CAUSES)
            .map(|diagnostic| Cause {
                reason: "FieldValueInvalid",
                message: format!("{}; {}", diagnostic.message, diagnostic.advice),
                field: format!("data.{}", diagnostic.place),
            })
            .collect();
        let more = edit.refusals.len().saturating_sub(MAX_CAUSES);
        if more > 0 {
            let (reason, field) = ("FieldValueInvalid", "data".to_owned());
            causes.push(Cause { reason, message: format!("and {more} more: see arngate lint"), field });
        }
        let lines: Vec<String> = all.take(MAX_CAUSES).map(ToString::to_string).collect();
        Self {
            status: "Failure",
            reason: "Invalid",
            code: 422,
            message: lines.join("\n"),
            details: Details { name: NAME, kind: "ConfigMap", causes },
        }
    }
}

impl From<ConfigMap> for AwsAuth {
    fn from(object: ConfigMap) -> Self {
        let data = object.data.unwrap_or_default().into_iter();
        let binary: BTreeSet<String> = object.binary_data.unwrap_or_default().into_keys().collect();
        Self { data: data.map(|(key, value)| (key, value.unwrap_or_default())).collect(), binary }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use serde_json::{Value, json};

    use super::*;

    const GOOD: &str = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n";

    fn config_map(roles: &str) -> Value {
        json!({"kind": "ConfigMap", "data": {"mapRoles": roles}, "metadata": {"name": "aws-auth"}})
    }

    fn request(name: &str, before: &Value, after: &Value) -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "operation": "UPDATE",
                "namespace": "kube-system", "name": name, "object": after, "oldObject": before,
            }
        })
    }

    async fn ask(admission: &Admission, body: String) -> (u16, Value, Verdict) {
        let (answer, verdict) = admission.answer(Full::new(Bytes::from(body))).await;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap(), verdict)
    }

    #[tokio::test]
    async fn a_broken_edit_is_refused_with_its_causes_and_a_good_one_is_not() {
        let admission = Admission::new(Vec::new());
        let (good, broken) = (config_map(GOOD), config_map(&GOOD.replace("rolearn", "arn")));
        let (code, body, verdict) = ask(&admission, request("aws-auth", &good, &broken).to_string()).await;
        assert_eq!((code, verdict), (200, Verdict::Refused));
        let response = &body["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(false)));
        let cause = &response["status"]["details"]["causes"][0];
        assert_eq!(cause["field"], "data.mapRoles, entry 1, line 1, column 3");
        assert!(cause["message"].as_str().unwrap().starts_with("has no rolearn"), "{cause}");
        assert_eq!(
            (&body["kind"], &body["apiVersion"]),
            (&json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
        );

        let (code, body, verdict) =
            ask(&admission, request("aws-auth", &Value::Null, &good).to_string()).await;
        assert_eq!((code, verdict, &body["response"]["allowed"]), (200, Verdict::Allowed, &json!(true)));
        let (_, body, _) = ask(&admission, request("other", &good, &broken).to_string()).await;
        assert_eq!(body["response"], json!({"uid": "u-1", "allowed": true}), "another ConfigMap");
    }

    #[tokio::test]
    async fn deleting_is_allowed_with_a_warning() {
        let admission = Admission::new(Vec::new());
        let masters = config_map(&format!("{GOOD}  groups: ['system:masters']\n"));
        let (_, body, _) = ask(&admission, request("aws-auth", &masters, &Value::Null).to_string()).await;
        assert_eq!(body["response"]["allowed"], true);
        assert!(body["response"]["warnings"][0].as_str().unwrap().contains("system:masters goes"), "{body}");
    }

    #[tokio::test]
    async fn anything_else_is_not_answered() {
        let admission = Admission::new(Vec::new());
        for body in
            ["", "{}", r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}"#]
        {
            let (code, _, verdict) = ask(&admission, body.to_owned()).await;
            assert_eq!((code, verdict), (400, Verdict::Unanswered), "{body}");
        }
        let (code, _, _) = ask(&admission, " ".repeat(MAX_BODY + 1)).await;
        assert_eq!(code, 413);
        let turns = admission.turns.try_acquire_many(2).unwrap();
        let (code, _, verdict) = ask(&admission, "{}".to_owned()).await;
        assert_eq!((code, verdict), (503, Verdict::Unanswered));
        drop(turns);
    }
}
