//! A verification from the token to the Kubernetes user: remembered, and asked for at an STS in this process.

mod support;

use std::time::Duration;

use arngate::outcome::Outcome;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use support::{authenticator, sts, tokens};
use tokio::runtime::Runtime;

fn verifications(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let now = Timestamp::now();
    let emulator = runtime.block_on(sts());
    let tokens = tokens(now);
    let mut group = criterion.benchmark_group("verification");
    for (name, cache_ttl) in [("remembered", Duration::from_mins(15)), ("asked for", Duration::ZERO)] {
        for roles in [10, 5_000] {
            let authenticator = {
                let _context = runtime.enter();
                authenticator(&emulator.address().to_string(), emulator.ca_file(), roles, cache_ttl)
            };
            // What is remembered is asked for here; connections are opened here too.
            for token in &tokens {
                runtime.block_on(authenticator.authenticate(token, now));
            }
            let mut turn = tokens.iter().cycle();
            group.bench_function(BenchmarkId::new(name, roles), |bencher| {
                bencher.iter(|| {
                    let token = turn.next().unwrap();
                    let decision = runtime.block_on(authenticator.authenticate(token, now));
                    assert!(matches!(decision.outcome, Outcome::Authenticated(_)), "{decision:?}");
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, verifications);
criterion_main!(benches);
