use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{super::RequestIds, *};
use crate::{
    authenticator::Decision,
    identity::{Identity, Partition},
    mapping::{BackendMode, MappedUser, Section},
    outcome::{Denial, Outcome, Unavailability, User},
    sts::{Endpoint, Endpoints, NoVerdict, Rejection},
    telemetry::audit::record::Review,
    token::{self, PREFIX, PresignedRequest},
    yaml::Position,
};

const DOCUMENT: &str = include_str!("../../../../docs/audit-log.md");

/// A review that took 1.234567 ms.
pub(in super::super) fn review() -> Review {
    Review {
        id: RequestIds::new().next(),
        client: "10.0.0.7:41234".parse().unwrap(),
        decided_at: "2026-01-15T12:00:00.1Z".parse().unwrap(),
        duration: Duration::from_nanos(1_234_567),
    }
}

fn request() -> PresignedRequest {
    let url = format!(
        "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=ASIAEXAMPLE123456789%2F20260115%2Fus-east-1%2Fsts%2Faws4_request\
         &X-Amz-Date=20260115T120000Z&X-Amz-Expires=60&X-Amz-Security-Token=canary\
         &X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature={}",
        "c0ffee00".repeat(8)
    );
    let endpoints = Endpoints::of(&Endpoint::regional("us-east-1").unwrap());
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url));
    token::parse(&token, &endpoints, "2026-01-15T12:00:00Z".parse().unwrap()).unwrap()
}

/// A role's session is let in, STS having been asked.
pub(in super::super) fn decision() -> Decision {
    let arn = "arn:aws:sts::111122223333:assumed-role/Admin/alice";
    let account = "111122223333".parse().unwrap();
    let identity =
        Identity::new(Partition::Aws, arn, account, "AROAEXAMPLE:alice", "ASIAEXAMPLE123456789").unwrap();
    let groups = vec!["system:masters".to_owned(), "account:111122223333".to_owned()];
    Decision {
        outcome: Outcome::Authenticated(User {
            username: "admin:alice".to_owned(),
            uid: "aws-iam-authenticator:111122223333:AROAEXAMPLE".to_owned(),
            groups: groups.clone(),
            extra: BTreeMap::new(),
        }),
        request: Some(request()),
        source: Some(Source::Sts),
        identity: Some(Arc::new(identity)),
        mapped: Some(MappedUser {
            username: "admin:alice".to_owned(),
            groups,
            backend: BackendMode::EksConfigMap,
            origin: Origin::Listed(Listed {
                section: Section::Roles,
                entry: 3,
                position: Position { line: 12, column: 3 },
            }),
        }),
        scrubbed: false,
    }
}

fn written(decision: &Decision) -> String {
    let review = Review { ..review() };
    let text = String::from_utf8(super::decision(&Record::of(review, decision), 0)).unwrap();
    // The process's number is another one each time.
    let id = review.id.to_string();
    text.replace(&id, "00000000c0ffee00-7")
}

#[test]
fn a_decisions_line_is_this_to_the_letter() {
    let wanted = concat!(
        r#"{"schema":"arngate.audit.v1","kind":"decision","time":"2026-01-15T12:00:00.100000Z","#,
        r#""request_id":"00000000c0ffee00-7","client":"10.0.0.7:41234","decision":"authenticated","#,
        r#""reason":"mapped","scrubbed":false,"access_key_id":"ASIAEXAMPLE123456789","#,
        r#""principal":{"arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice","#,
        r#""canonical_arn":"arn:aws:iam::111122223333:role/Admin","account":"111122223333","#,
        r#""user_id":"AROAEXAMPLE:alice"},"user":{"username":"admin:alice","#,
        r#""uid":"aws-iam-authenticator:111122223333:AROAEXAMPLE","#,
        r#""groups":["system:masters","account:111122223333"]},"#,
        r#""mapping":{"backend":"EKSConfigMap","kind":"mapRoles","entry":3,"line":12,"object":null},"#,
        r#""sts":{"endpoint":"sts.us-east-1.amazonaws.com","cache":"none"},"duration_ms":1.235,"suppressed":0}"#,
        "\n",
    );
    assert_eq!(written(&decision()), wanted);
}

#[test]
fn what_is_not_known_is_null_and_never_left_out() {
    let token = Decision::without_caller(Outcome::Denied(Denial::Token(token::TokenError::Prefix)));
    let wanted = concat!(
        r#""decision":"denied","reason":"token_not_ours","scrubbed":false,"access_key_id":null,"principal":null,"#,
        r#""user":null,"mapping":null,"sts":null,"duration_ms":1.235,"suppressed":0}"#,
    );
    assert!(written(&token).contains(wanted), "{}", written(&token));
    let time = "2026-01-15T12:00:00Z".parse().unwrap();
    assert_eq!(
        String::from_utf8(gap(Cause::QueueFull, 3, time)).unwrap(),
        concat!(
            r#"{"schema":"arngate.audit.v1","kind":"gap","time":"2026-01-15T12:00:00.000000Z","#,
            r#""cause":"queue_full","reason":null,"count":3}"#,
            "\n"
        )
    );
}

#[test]
fn each_way_to_sts_and_each_kind_of_mapping_is_told() {
    let told = |decision: &Decision, part: &str| -> Value {
        serde_json::from_str::<Value>(&written(decision)).unwrap()[part].clone()
    };
    let mut decision = decision();
    for (source, cache) in [(Source::Sts, "none"), (Source::Shared, "shared"), (Source::Cache, "verified")] {
        decision.source = Some(source);
        assert_eq!(told(&decision, "sts")["cache"], cache);
    }
    for (origin, wanted) in [
        (Origin::Object("bob".into()), ["IAMIdentityMapping", "null", "bob"]),
        (Origin::Administrator(2), ["adminPrincipals", "2", "null"]),
    ] {
        decision.mapped.as_mut().unwrap().origin = origin;
        let mapping = told(&decision, "mapping");
        let text =
            |field: &str| mapping[field].as_str().map_or_else(|| mapping[field].to_string(), str::to_owned);
        assert_eq!(["kind", "entry", "object"].map(text), wanted);
    }
    decision.outcome = Outcome::Denied(Denial::Rejected(Rejection::SignatureDoesNotMatch));
    (decision.identity, decision.mapped) = (None, None);
    assert_eq!(told(&decision, "sts")["cache"], "negative");
    assert_eq!(told(&decision, "access_key_id"), "ASIAEXAMPLE123456789");
    decision.outcome = Outcome::Unavailable(Unavailability::Sts(NoVerdict::Throttled));
    assert_eq!(
        (told(&decision, "decision"), told(&decision, "reason")),
        ("unavailable".into(), "sts_throttled".into())
    );
}

#[test]
fn no_secret_of_the_token_is_in_a_line() {
    for secret in ["canary", "c0ffee00c0ffee00", "X-Amz", "Signature="] {
        assert!(!written(&decision()).contains(secret), "{secret}");
    }
}

/// The fields of a line, in their order, those of a part behind the part's own.
fn fields(line: &str) -> Vec<String> {
    // Maps of serde_json are sorted, so the names are read off the text: between quotes, with a colon behind them.
    let parts: Vec<&str> = line.split('"').collect();
    let name = |pair: &[&str]| pair[1].starts_with(':').then(|| pair[0].to_owned());
    parts[1..].chunks_exact(2).filter_map(name).collect()
}

#[test]
fn the_document_has_every_field_in_its_order() {
    let (decision, time) = (decision(), "2026-01-15T12:00:00Z".parse().unwrap());
    let gap = String::from_utf8(gap(Cause::Sampled("token_not_ours"), 1, time)).unwrap();
    let shown: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("{\"schema\"")).collect();
    for line in &shown {
        serde_json::from_str::<Value>(line).unwrap();
    }
    let whole = shown.iter().find(|line| line.contains(r#""decision":"authenticated""#)).unwrap();
    let names = fields(&written(&decision));
    assert_eq!(fields(whole), names);
    let shown_gap = shown.iter().find(|line| line.contains(r#""kind":"gap""#)).unwrap();
    assert_eq!(fields(shown_gap), fields(&gap));
    for name in names.iter().chain(&fields(&gap)) {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not described");
    }
}

#[test]
fn the_document_has_every_reason() {
    use crate::{
        ec2::Failure,
        identity::{CallerError, PrincipalError},
        outcome::{Denial::*, Unavailability::*},
        sts::ShedReason,
        xml::XmlError,
    };
    let shed = |reason| Shed(crate::sts::Shed { reason, retry_after: 1 });
    let mut reasons: Vec<&str> = vec!["mapped"];
    let denials = [
        NotMapped,
        NotRendered,
        UnknownInstance,
        Reserved,
        Audience,
        Caller(CallerError::Principal(PrincipalError::Kind)),
        Caller(CallerError::Account),
        Caller(CallerError::Partition(Partition::AwsCn)),
        Caller(CallerError::UserId),
    ];
    reasons.extend(denials.iter().map(Denial::label));
    let rejections = [
        Rejection::SignatureDoesNotMatch,
        Rejection::NotYetCurrent,
        Rejection::ExpiredToken,
        Rejection::InvalidClientTokenId,
        Rejection::Malformed,
        Rejection::AccessDenied,
        Rejection::RegionDisabled,
        Rejection::Other,
    ];
    reasons.extend(rejections.map(|rejection| Rejected(rejection).label()));
    let unavailabilities = [
        Sts(NoVerdict::Throttled),
        Sts(NoVerdict::ServerError(500)),
        Sts(NoVerdict::UnexpectedStatus(302)),
        Sts(NoVerdict::Connect),
        Sts(NoVerdict::Timeout),
        Sts(NoVerdict::Transport),
        Sts(NoVerdict::Oversized),
        Sts(NoVerdict::Unreadable(XmlError::Malformed)),
        Sts(NoVerdict::Interrupted),
        shed(ShedReason::Overload),
        shed(ShedReason::AccessKey),
        shed(ShedReason::CircuitOpen),
        NotLoaded(BackendMode::Crd),
    ];
    reasons.extend(unavailabilities.iter().map(Unavailability::label));
    let failures = [
        Failure::Throttled,
        Failure::Overloaded,
        Failure::Timeout,
        Failure::Connect,
        Failure::Transport,
        Failure::ServerError(500),
        Failure::UnexpectedStatus(302),
        Failure::Refused,
        Failure::Oversized,
        Failure::Unreadable,
        Failure::Region,
        Failure::Credentials,
    ];
    reasons.extend(failures.map(|failure| Ec2(failure).label()));
    // The reasons of the parser are the rules that a token breaks; tests/hostile_tokens.rs tries each.
    reasons.extend(["token_too_long", "token_not_ours", "token_expired", "token_not_yet_valid"]);
    for reason in reasons {
        assert!(DOCUMENT.contains(&format!("`{reason}`")), "{reason} is not described");
    }
}
