//! How many instructions the parts of a verification take, counted by Valgrind's callgrind. A count does not depend on
//! how busy or how fast the machine is, so that it can be a gate: a part that takes over five percent more than in the
//! last run on this machine, on the last commit say, fails.

// What the macros make of a bench is public and has no page.
#![allow(missing_docs, unreachable_pub, clippy::must_use_candidate, reason = "of gungraun's macros")]

mod support;

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use arngate::{
    authenticator::{Authenticator, Decision},
    identity::{Identity, Principal},
    mapping::Snapshot,
    sts::{
        Endpoints,
        xml::{self, CallerIdentity},
    },
    token,
};
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use jiff::Timestamp;
use support::{ANSWER, ARN, aws_auth, credentials, endpoints, identity};
use tokio::runtime::{Builder, Runtime};

/// How much more than in the last run, in percent.
const MORE: f64 = 5.0;

fn gate() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().soft_limits([(EventKind::Ir, MORE)]).clone());
    config
}

struct Token {
    text: String,
    endpoints: Endpoints,
    now: Timestamp,
}

fn a_token() -> Token {
    let now = Timestamp::now();
    Token { text: support::token(&credentials(), now), endpoints: endpoints(), now }
}

/// What an expired service account's token looks like.
fn not_ours() -> Token {
    Token { text: format!("eyJhbGciOiJSUzI1NiIsImtpZCI6Ii{}", "x".repeat(900)), ..a_token() }
}

#[library_benchmark(config = gate())]
#[bench::ours(a_token())]
fn parse_token(token: Token) -> bool {
    token::parse(black_box(&token.text), &token.endpoints, token.now).is_ok()
}

#[library_benchmark(config = gate())]
#[bench::other(not_ours())]
fn refuse_token(token: Token) -> bool {
    token::parse(black_box(&token.text), &token.endpoints, token.now).is_err()
}

#[library_benchmark(config = gate())]
fn canonicalise() -> bool {
    Principal::parse(black_box(ARN))
        .is_ok_and(|principal| black_box(principal.match_key()) == black_box(principal.match_key()))
}

#[library_benchmark(config = gate())]
fn read_answer_of_sts() -> Result<CallerIdentity, xml::XmlError> {
    xml::caller_identity(black_box(ANSWER))
}

fn mapped(size: usize) -> (Snapshot, Identity) {
    let list = aws_auth(size).remove("mapRoles").unwrap();
    let node = arngate::yaml::parse(&list, arngate::yaml::Limits::for_bytes(list.len())).unwrap().unwrap();
    (Snapshot::from_nodes(Some(&node), None, None).0, identity())
}

// A look-up costs no more among many.
#[library_benchmark(config = gate())]
#[bench::of_10(mapped(10))]
#[bench::of_1_000(mapped(1_000))]
#[bench::of_100_000(mapped(100_000))]
fn look_up(mapped: (Snapshot, Identity)) -> (bool, Snapshot) {
    let (snapshot, identity) = mapped;
    // The snapshot is given back, so that it is not freed in here.
    (snapshot.index().look_up(black_box(&identity)).is_some(), snapshot)
}

/// A tenth of the longest that there can be.
fn a_tenth_of_a_mebibyte() -> BTreeMap<String, String> {
    let entry = aws_auth(10_000)["mapRoles"].len().div_ceil(10_000);
    aws_auth(1024 * 1024 / 10 / entry)
}

#[library_benchmark(config = gate())]
#[bench::tenth_of_a_mebibyte(a_tenth_of_a_mebibyte())]
fn parse_aws_auth(text: BTreeMap<String, String>) -> Snapshot {
    Snapshot::update(None, black_box(&text.into())).0
}

/// An authenticator that has verified the token once.
fn remembered() -> (Runtime, Authenticator, Token) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let token = a_token();
    let authenticator = runtime.block_on(async {
        let emulator = support::sts().await;
        let address = emulator.address().to_string();
        let authenticator =
            support::authenticator(&address, emulator.ca_file(), 1_000, Duration::from_mins(15));
        authenticator.authenticate(&token.text, token.now).await;
        authenticator
    });
    (runtime, authenticator, token)
}

#[library_benchmark(config = gate())]
#[bench::once_more(remembered())]
fn verify(remembered: (Runtime, Authenticator, Token)) -> (Decision, Runtime, Authenticator, Token) {
    let (runtime, authenticator, token) = remembered;
    let decision = runtime.block_on(authenticator.authenticate(black_box(&token.text), token.now));
    (decision, runtime, authenticator, token)
}

library_benchmark_group!(
    name = parts;
    benchmarks = parse_token, refuse_token, canonicalise, read_answer_of_sts, look_up, parse_aws_auth, verify
);

main!(library_benchmark_groups = parts);
