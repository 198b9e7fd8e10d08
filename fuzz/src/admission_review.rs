//! AdmissionReviews.
//!
//! **Property.** An answer is for the uid that was asked about. What changes nothing is allowed, and so is what is no
//! aws-auth; what has no error is allowed, and what is refused has a cause of its own. Where quotes are withheld, no
//! account's number is in the answer. An answer's length, causes and warnings are bounded.
//!
//! Input: mapRoles before and after, mapUsers before and after; or, where it begins with `{`, a body.

use std::{collections::BTreeMap, sync::LazyLock};

use arngate::{
    mapping::{BackendMode, Chain, CurrentChain, Severity, Snapshot},
    telemetry::Quotes,
    webhook::{
        admission::{Admission, Verdict},
        answer::Answer,
    },
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{aws_auth::aws_auth, parts::parts};

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";
/// The longest answer, in bytes: 20 causes and 31 warnings, each told twice at most.
const MAX_ANSWER: usize = 128 * 1024;
/// An account that nobody but the mappings in force names.
const IN_FORCE: &str =
    "- rolearn: arn:aws:iam::444455556666:role/Admin\n  username: a\n  groups: [system:masters]\n";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));
static CHAIN: LazyLock<CurrentChain> = LazyLock::new(|| {
    let (backend, publisher) = BackendMode::EksConfigMap.backend();
    publisher.publish(Snapshot::update(None, &aws_auth([("mapRoles", IN_FORCE)])).0.into());
    CurrentChain::new(Chain::new(vec![backend]))
});

/// Looks at the lists, or at the body.
pub fn check(data: &[u8]) {
    if data.starts_with(b"{") {
        ask(data);
        return;
    }
    let Some(parts) = parts(data) else { return };
    let part = |index: usize| parts.get(index).copied();
    let (before, after) = (lists(part(0), part(2)), lists(part(1), part(3)));
    let allowed = ask(&review(&before, &after));
    let had = Snapshot::update(
        CHAIN.get().snapshot(BackendMode::EksConfigMap).as_deref(),
        &aws_auth(before.clone()),
    )
    .0;
    let (_, diagnostics) = Snapshot::update(Some(&had), &aws_auth(after.clone()));
    let errors = diagnostics.iter().filter(|told| told.severity == Severity::Error).count();
    assert!(errors > 0 || allowed == Some(true), "refused without an error");
    for object in [&before, &after] {
        assert_eq!(ask(&review(object, object)), Some(true), "what changes nothing is refused");
    }
}

fn lists<'t>(roles: Option<&'t str>, users: Option<&'t str>) -> BTreeMap<&'static str, &'t str> {
    let lists = [("mapRoles", roles), ("mapUsers", users)];
    lists.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
}

fn review(before: &BTreeMap<&str, &str>, after: &BTreeMap<&str, &str>) -> Vec<u8> {
    let object = |data: &BTreeMap<&str, &str>| json!({"data": data, "metadata": {"name": "aws-auth"}});
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": UID, "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "operation": "UPDATE",
            "namespace": "kube-system", "name": "aws-auth", "object": object(after), "oldObject": object(before),
        }
    });
    body.to_string().into_bytes()
}

/// Asks twice, once with quotes withheld; whether it is allowed, where there is a verdict.
fn ask(body: &[u8]) -> Option<bool> {
    let [shown, withheld] = [Quotes::Shown, Quotes::Withheld].map(|quotes| {
        let admission = Admission::new(vec!["system:".to_owned()], quotes);
        let body = Full::new(Bytes::copy_from_slice(body));
        let (answer, verdict) = RUNTIME.block_on(admission.answer(body, &CHAIN));
        (answer.status().as_u16(), body_of(answer), verdict)
    });
    // In what it passes over, the server's reader takes bytes that are no UTF-8.
    let asked: Value = serde_json::from_str(&String::from_utf8_lossy(body)).unwrap_or_default();
    let allowed = look(&asked["request"], &shown);
    assert_eq!(look(&asked["request"], &withheld), allowed);
    let told = withheld.1.to_string().replace(&json_text(&asked["request"]["uid"]), "");
    let digits = |c: char| c.is_ascii_digit();
    assert!(!told.split(|c| !digits(c)).any(|number| number.len() == 12), "{told}");
    allowed
}

fn json_text(value: &Value) -> String {
    if value.is_string() { value.to_string() } else { "\0".to_owned() }
}

fn body_of(answer: Answer) -> Value {
    let body = RUNTIME.block_on(answer.into_body().collect()).expect("it is whole").to_bytes();
    assert!(body.len() < MAX_ANSWER, "an answer of {} bytes", body.len());
    serde_json::from_slice(&body).expect("an answer is JSON")
}

fn look(request: &Value, (code, body, verdict): &(u16, Value, Verdict)) -> Option<bool> {
    if *verdict == Verdict::Unanswered {
        assert!(*code == 400 && body["kind"] == "Status", "{code}: {body}");
        return None;
    }
    let response = &body["response"];
    assert_eq!(
        (*code, &body["kind"], &body["apiVersion"]),
        (200, &json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
    );
    assert!(request.is_null() || response["uid"] == request["uid"], "{body}");
    let allowed = response["allowed"].as_bool().expect("a verdict is one");
    assert_eq!(*verdict, if allowed { Verdict::Allowed } else { Verdict::Refused });
    let causes = response["status"]["details"]["causes"].as_array().map_or(0, Vec::len);
    assert_eq!(allowed, causes == 0, "{body}");
    assert!(causes <= 21);
    let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
    assert!(warnings.len() <= 2 + 3 * 10);
    assert!(warnings.iter().all(|warning| warning.as_str().is_some_and(|text| text.chars().count() <= 250)));
    let text = |field: &str| request[field].as_str().unwrap_or_default();
    let is_aws_auth = (text("namespace"), text("name")) == ("kube-system", "aws-auth");
    assert!(is_aws_auth || allowed && warnings.is_empty(), "{body}");
    Some(allowed)
}
