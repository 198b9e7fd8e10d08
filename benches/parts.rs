//! The parts of a verification, each by itself, and the parsing of aws-auth.

mod support;

use std::hint::black_box;

use arngate::{identity::Principal, mapping::Snapshot, sts::xml, token};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use support::{ANSWER, ARN, aws_auth, credentials, endpoints, identity};

fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    let (endpoints, now) = (endpoints(), Timestamp::now());
    let good = support::token(&credentials(), now);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| token::parse(black_box(&good), &endpoints, now).unwrap());
    });
    // What an expired service account's token looks like.
    let other = format!("eyJhbGciOiJSUzI1NiIsImtpZCI6Ii{}", "x".repeat(900));
    group.bench_function("not ours", |bencher| {
        bencher.iter(|| token::parse(black_box(&other), &endpoints, now).unwrap_err());
    });
    group.finish();
}

fn principals(criterion: &mut Criterion) {
    criterion.bench_function("principal/canonicalise", |bencher| {
        bencher.iter(|| Principal::parse(black_box(ARN)).unwrap().match_key());
    });
}

fn xml_of_sts(criterion: &mut Criterion) {
    criterion.bench_function("xml/GetCallerIdentityResponse", |bencher| {
        bencher.iter(|| xml::caller_identity(black_box(ANSWER)).unwrap());
    });
}

/// The same for ten mappings as for a hundred thousand, or an index is none.
fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look-up");
    let identity = identity();
    for size in [10, 1_000, 100_000] {
        // An aws-auth has no more than 1 MiB; larger ones come from files, whose entries are made as here.
        let list = aws_auth(size).remove("mapRoles").unwrap();
        let limits = arngate::yaml::Limits::for_bytes(list.len());
        let node = arngate::yaml::parse(&list, limits).unwrap().unwrap();
        let (snapshot, diagnostics) = Snapshot::from_nodes(Some(&node), None, None);
        assert_eq!((snapshot.index().len(), diagnostics.len()), (size, 0));
        group.bench_with_input(BenchmarkId::from_parameter(size), &snapshot, |bencher, snapshot| {
            bencher.iter(|| snapshot.index().look_up(black_box(&identity)).unwrap());
        });
    }
    group.finish();
}

fn aws_auths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aws-auth");
    // As many entries as 1 MiB holds.
    let entry = aws_auth(10_000)["mapRoles"].len().div_ceil(10_000);
    let text = aws_auth(1024 * 1024 / entry);
    let bytes = text["mapRoles"].len();
    assert!((1_000_000..=1024 * 1024).contains(&bytes), "{bytes}");
    let text = text.into();
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
    group.bench_function("parse 1 MiB", |bencher| {
        bencher.iter_batched_ref(
            || (),
            |()| {
                let (snapshot, diagnostics) = Snapshot::update(None, black_box(&text));
                assert!(diagnostics.is_empty());
                snapshot
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, tokens, principals, xml_of_sts, look_ups, aws_auths);
criterion_main!(benches);
