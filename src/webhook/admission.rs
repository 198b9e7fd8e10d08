//! `/validate/aws-auth`: edits of aws-auth, looked at before they are made.
//!
//! kube-apiserver asks by an AdmissionReview (`admission.k8s.io/v1`), and its client is told what is answered: kubectl
//! prints the refusal's causes, and the warnings. Nothing is decided here but whether a text can be read, and nothing
//! secret is in the answer, so that whoever reaches the port may ask.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use hyper::body::{Body, Bytes};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{
    answer::{self, Answer},
    body::{BodyBudget, BodyError, Limits},
};
use crate::{
    mapping::{AwsAuth, BackendMode, CurrentChain, Edit, Snapshot, Warning},
    source::config_map::{NAME, NAMESPACE},
    telemetry::Quotes,
};

/// The path.
pub const PATH: &str = "/validate/aws-auth";
/// How many reviews are looked at at one time. Others wait for their turn.
const AT_ONCE: usize = 2;
/// How long one waits for its turn, before it is told to come again: less than an API server waits for the answer.
const TURN_WAIT: Duration = Duration::from_secs(3);
/// How many causes a refusal names.
const MAX_CAUSES: usize = 20;
/// The longest warning, in characters, that an API server passes on whole.
const MAX_WARNING: usize = 250;

/// Answers AdmissionReviews.
#[derive(Debug)]
pub struct Admission {
    /// Beginnings of usernames that aws-auth may not give.
    reserved: Vec<String>,
    quotes: Quotes,
    bodies: BodyBudget,
    turns: Arc<Semaphore>,
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
    /// `reserved` are beginnings of usernames that aws-auth may not give; `quotes` says whether answers quote what is
    /// in aws-auth.
    #[must_use]
    pub fn new(reserved: Vec<String>, quotes: Quotes) -> Self {
        let (bodies, turns) = (BodyBudget::new(Limits::ADMISSION_REVIEWS), Semaphore::new(AT_ONCE));
        Self { reserved, quotes, bodies, turns: Arc::new(turns) }
    }

    /// Answers the review that is `body`, where `chain` is in force.
    pub async fn answer<B>(&self, body: B, chain: &CurrentChain) -> (Answer, Verdict)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let unanswered = |answer| (answer, Verdict::Unanswered);
        // The turn comes after the body: whoever sends slowly keeps nobody's edit from being looked at.
        let body = match self.bodies.read(body).await {
            Ok(body) => body,
            Err(error) => return unanswered(BodyError::answer(error)),
        };
        let turn = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let text = "too many edits are being looked at; try again";
            return unanswered(answer::try_again(StatusCode::SERVICE_UNAVAILABLE, text, 1));
        };
        let (reserved, quotes) = (self.reserved.clone(), self.quotes);
        let in_force = chain.get().snapshot(BackendMode::EksConfigMap);
        // A mebibyte of YAML takes a while, in which token reviews are answered. The turn ends with the work, which
        // goes on where whoever asked is gone.
        let reviewed = tokio::task::spawn_blocking(move || {
            let reviewed = review(body.bytes(), in_force.as_deref(), &reserved, quotes);
            drop((body, turn));
            reviewed
        });
        match reviewed.await {
            Ok(Ok(reviewed)) => reviewed,
            // Its text may quote the body, and a token that was sent here by mistake.
            Ok(Err(error)) => {
                let (line, column) = (error.line(), error.column());
                let text = format!(
                    "the body is no AdmissionReview of admission.k8s.io/v1: it stops being one at line {line}, \
                     column {column}"
                );
                unanswered(answer::failure(StatusCode::BAD_REQUEST, text))
            }
            Err(_) => {
                let text = "the edit could not be looked at";
                unanswered(answer::failure(StatusCode::INTERNAL_SERVER_ERROR, text))
            }
        }
    }
}

fn review(
    body: &[u8],
    in_force: Option<&Snapshot>,
    reserved: &[String],
    quotes: Quotes,
) -> Result<(Answer, Verdict), serde_json::Error> {
    let Review { request, .. } = serde_json::from_slice(body)?;
    let is_aws_auth =
        request.kind.kind == "ConfigMap" && request.namespace == NAMESPACE && request.name == NAME;
    let edit = if is_aws_auth {
        let (before, after) = (request.old_object.map(AwsAuth::from), request.object.map(AwsAuth::from));
        Edit::review(in_force, before.as_ref(), after.as_ref(), reserved)
    } else {
        Edit::default()
    };
    let edit = match quotes {
        Quotes::Shown => edit,
        Quotes::Withheld => edit.without_quotes(),
    };
    let allowed = edit.refusals.is_empty();
    let shorten = |warning: Warning| warning.to_string().chars().take(MAX_WARNING).collect();
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
    use std::{convert::Infallible, sync::mpsc};

    use futures::stream;
    use http_body_util::{BodyExt, Full, StreamBody};
    use hyper::body::Frame;
    use serde_json::{Value, json};

    use super::*;
    use crate::mapping::Chain;

    const GOOD: &str = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n";

    fn chain() -> CurrentChain {
        CurrentChain::new(Chain::new(Vec::new()))
    }

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
        let (answer, verdict) = admission.answer(Full::new(Bytes::from(body)), &chain()).await;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap(), verdict)
    }

    #[tokio::test]
    async fn a_broken_edit_is_refused_with_its_causes_and_a_good_one_is_not() {
        let admission = Admission::new(Vec::new(), Quotes::Shown);
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
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        let masters = config_map(&format!("{GOOD}  groups: ['system:masters']\n"));
        let (_, body, _) = ask(&admission, request("aws-auth", &masters, &Value::Null).to_string()).await;
        assert_eq!(body["response"]["allowed"], true);
        assert!(body["response"]["warnings"][0].as_str().unwrap().contains("system:masters goes"), "{body}");
    }

    #[tokio::test]
    async fn what_a_broken_aws_auth_keeps_in_force_counts_as_what_was_there() {
        let (backend, publisher) = BackendMode::EksConfigMap.backend();
        let masters =
            BTreeMap::from([("mapRoles".to_owned(), format!("{GOOD}  groups: ['system:masters']\n"))]);
        publisher.publish(Arc::new(Snapshot::update(None, &masters.into()).0));
        let chain = CurrentChain::new(Chain::new(vec![backend]));
        let edit = request("aws-auth", &config_map("- ["), &config_map("")).to_string();
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        let (answer, verdict) = admission.answer(Full::new(Bytes::from(edit)), &chain).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(verdict, Verdict::Allowed);
        assert!(body["response"]["warnings"][0].as_str().unwrap().contains("system:masters goes"), "{body}");
    }

    #[tokio::test]
    async fn where_accounts_are_scrubbed_an_answer_quotes_no_arn() {
        let admission = Admission::new(vec!["a".to_owned()], Quotes::Withheld);
        let broken = format!("{GOOD}- rolearn: arn:aws:iam::111122223333:rule/A\n  username: b\n");
        for after in [GOOD, &broken] {
            let edit = request("aws-auth", &Value::Null, &config_map(after)).to_string();
            let (_, body, _) = ask(&admission, edit).await;
            assert!(!body["response"]["warnings"].as_array().unwrap().is_empty(), "{body}");
            assert!(!body.to_string().contains("111122223333"), "{body}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_not_answered() {
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        for body in
            ["", "{}", r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}"#]
        {
            let (code, _, verdict) = ask(&admission, body.to_owned()).await;
            assert_eq!((code, verdict), (400, Verdict::Unanswered), "{body}");
        }
        let (code, _, _) = ask(&admission, " ".repeat(Limits::ADMISSION_REVIEWS.body + 1)).await;
        assert_eq!(code, 413);
    }

    #[tokio::test]
    async fn what_was_sent_is_not_in_the_answer_about_it() {
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        for body in ["k8s-aws-v1.canary", r#""k8s-aws-v1.canary""#, r#"{"kind": "k8s-aws-v1.canary"}"#] {
            let (code, answer, _) = ask(&admission, body.to_owned()).await;
            let message = answer.to_string();
            assert!(code == 400 && message.contains("line 1, column"), "{message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_hold_nobody_up_and_a_turn_is_waited_for_within_bounds() {
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        let edit = request("aws-auth", &Value::Null, &config_map(GOOD)).to_string();
        let never = || StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let chain = chain();
        let mut slow: Vec<_> = (0..20).map(|_| Box::pin(admission.answer(never(), &chain))).collect();
        for body in &mut slow {
            assert!(futures::poll!(body.as_mut()).is_pending());
        }
        let (code, _, verdict) = ask(&admission, edit.clone()).await;
        assert_eq!((code, verdict), (200, Verdict::Allowed));
        assert_eq!(slow.remove(0).await.0.status(), 408);

        let turns = admission.turns.acquire_many(2).await.unwrap();
        let (code, _, verdict) = ask(&admission, edit.clone()).await;
        assert_eq!((code, verdict), (503, Verdict::Unanswered));
        let mut waiting = Box::pin(ask(&admission, edit));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(turns);
        assert_eq!(waiting.await.2, Verdict::Allowed, "its turn has come");
    }

    #[test]
    fn work_that_nobody_waits_for_any_more_has_its_turn_until_it_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let admission = Admission::new(Vec::new(), Quotes::Shown);
        runtime.block_on(async {
            let chain = chain();
            let (end, ended) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || ended.recv());
            let edit = request("aws-auth", &Value::Null, &config_map(GOOD)).to_string();
            let mut asked = Box::pin(admission.answer(Full::new(Bytes::from(edit)), &chain));
            assert!(futures::poll!(asked.as_mut()).is_pending());
            assert_eq!(admission.turns.available_permits(), AT_ONCE - 1);
            drop(asked);
            assert_eq!(admission.turns.available_permits(), AT_ONCE - 1, "the work is still to be done");
            end.send(()).unwrap();
            busy.await.unwrap().unwrap();
            drop(admission.turns.acquire_many(2).await.unwrap());
        });
    }
}
