//! Every hostile token is refused by the parser for its own reason, and by the real server without a request
//! to STS.

mod support;

use std::collections::HashSet;

use arngate::{
    identity::Partition,
    sts::Endpoints,
    token::{PREFIX, TokenError, parse},
};
use arngate_lab::{
    hostile::{hostile_tokens, token as encode, url_of},
    sts::Principals,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use support::{ACCOUNT, CLUSTER_ID, Setup, emulator, token, token_for};

fn now() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

fn endpoints() -> Endpoints {
    Endpoints::new(Partition::Aws, None, &[]).unwrap()
}

/// A good token with a security token in it, signed at `now`.
fn good(now: Timestamp) -> String {
    token_for(&Principals::new().role(ACCOUNT, "Admin", "alice"), CLUSTER_ID, now)
}

/// The good token's parameters.
fn good_pairs() -> Vec<String> {
    let url = url_of(&good(now()));
    let (_, query) = url.split_once('?').unwrap();
    query.split('&').map(str::to_owned).collect()
}

#[test]
fn the_good_token_parses_to_what_it_is() {
    let token = good(now());
    let request = parse(&token, &endpoints(), now()).unwrap();
    assert_eq!(request.url(), url_of(&token), "byte for byte");
    assert_eq!(request.endpoint().host(), "sts.us-east-1.amazonaws.com");
    assert_eq!(request.signed_at(), now());
    assert_eq!(request.expires_at(), now() + SignedDuration::from_mins(15));
    assert!(request.access_key_id().starts_with("ASIA"), "{}", request.access_key_id());
    let debug = format!("{request:?}");
    assert!(!debug.contains("X-Amz") && !debug.contains("Signature"), "{debug}");
}

#[test]
fn the_edges_of_time_are_inside() {
    let minutes = SignedDuration::from_mins;
    for signed_at in [now(), now() - minutes(15), now() + minutes(5)] {
        parse(&good(signed_at), &endpoints(), now()).unwrap();
    }
}

#[test]
fn expires_from_0_to_900_is_taken() {
    let url = url_of(&good(now()));
    for value in ["0", "60", "900", "0060"] {
        let url = url.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={value}"));
        parse(&encode(url.as_bytes()), &endpoints(), now()).unwrap();
    }
}

#[test]
fn each_hostile_token_is_refused_for_its_own_reason() {
    let cases = hostile_tokens(&url_of(&good(now())), now());
    let names: HashSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "names are unique");
    let endpoints = endpoints();
    let mut wrong = Vec::new();
    for case in &cases {
        let result = parse(&case.token, &endpoints, now());
        if result != Err(case.refusal) {
            wrong.push(format!("{}: {result:?}, not {:?}", case.name, case.refusal));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} hostile tokens refused", cases.len());
}

#[test]
fn no_reason_is_left_untried() {
    let tried: HashSet<&str> =
        hostile_tokens(&url_of(&good(now())), now()).iter().map(|case| case.refusal.reason()).collect();
    for error in [
        TokenError::TooLong,
        TokenError::Prefix,
        TokenError::Base64,
        TokenError::Character,
        TokenError::Scheme,
        TokenError::Host,
        TokenError::Path,
        TokenError::Fragment,
        TokenError::Query,
        TokenError::UnknownParameter,
        TokenError::DuplicateParameter,
        TokenError::MissingParameter(""),
        TokenError::Action,
        TokenError::Version,
        TokenError::Algorithm,
        TokenError::Credential,
        TokenError::CredentialDate,
        TokenError::CredentialRegion,
        TokenError::SignedHeaders,
        TokenError::Expires,
        TokenError::Date,
        TokenError::SecurityToken,
        TokenError::Signature,
        TokenError::Expired,
        TokenError::NotYetValid,
    ] {
        assert!(tried.contains(error.reason()), "{error:?}");
    }
}

#[tokio::test]
async fn the_server_refuses_every_hostile_token_and_asks_sts_about_none() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n").start();
    let cases = hostile_tokens(&url_of(&token(&role)), Timestamp::now());
    for case in &cases {
        let answer = server.review(&case.token).await;
        assert_eq!(
            (answer.code, &answer.body["status"]["authenticated"]),
            (200, &Value::Bool(false)),
            "{}",
            case.name
        );
        // kube-apiserver may remember each of these but the one that a clock may make good.
        let passing = case.refusal == TokenError::NotYetValid;
        assert_eq!(answer.body["status"]["error"].is_string(), passing, "{}", case.name);
    }
    assert_eq!((emulator.calls(), emulator.connections()), (0, 0), "nothing left for STS");
    let reasons: Vec<Value> = server.audit().iter().map(|record| record["reason"].clone()).collect();
    let wanted: Vec<&str> = cases.iter().map(|case| case.refusal.reason()).collect();
    assert_eq!(reasons, wanted);

    server.review(&token(&role)).await.user();
    assert_eq!(emulator.calls(), 1, "the good one is asked about");
}

proptest! {
    #[test]
    fn any_text_is_refused_or_sent_as_it_is(text in any::<String>(), ours in any::<bool>()) {
        let text = if ours { format!("{PREFIX}{text}") } else { text };
        prop_assert!(parse(&text, &endpoints(), now()).is_err());
    }

    #[test]
    fn any_url_behind_a_good_beginning_is_refused_or_sent_as_it_is(end in "[ -~]{0,80}") {
        let token = encode(format!("https://sts.us-east-1.amazonaws.com/?{end}").as_bytes());
        prop_assert!(parse(&token, &endpoints(), now()).is_err());
    }

    /// Whatever one byte becomes: the token is refused, or what is sent is the token's own URL, to a host in
    /// the table.
    #[test]
    fn one_byte_changed_is_refused_or_sent_as_it_is(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut url = url_of(&good(now())).into_bytes();
        let at = at.index(url.len());
        url[at] = byte;
        let endpoints = endpoints();
        if let Ok(request) = parse(&encode(&url), &endpoints, now()) {
            prop_assert_eq!(request.url().into_bytes(), url);
            prop_assert!(endpoints.look_up(request.endpoint().host()).is_some());
        }
    }

    /// The order of the parameters is the client's affair (botocore and Go's SDK differ), and is kept.
    #[test]
    fn parameters_in_any_order_are_taken_and_sent_as_they_are(pairs in Just(good_pairs()).prop_shuffle()) {
        let url = format!("https://sts.us-east-1.amazonaws.com/?{}", pairs.join("&"));
        let request = parse(&encode(url.as_bytes()), &endpoints(), now()).unwrap();
        prop_assert_eq!(request.url(), url);
    }

    #[test]
    fn a_part_cut_out_is_refused_or_sent_as_it_is(from in any::<prop::sample::Index>(), len in 1_usize..40) {
        let url = url_of(&good(now()));
        let from = from.index(url.len());
        let to = (from + len).min(url.len());
        let cut = format!("{}{}", &url[..from], &url[to..]);
        if let Ok(request) = parse(&encode(cut.as_bytes()), &endpoints(), now()) {
            prop_assert_eq!(request.url(), cut);
        }
    }
}
