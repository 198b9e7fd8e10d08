//! How often, and how much, a verification allocates. STS is another process, so that its allocations are not
//! counted. Not a matter of time: the figures are the same on every machine.

mod support;

use std::{
    alloc::System,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use arngate::{outcome::Outcome, token};
use jiff::Timestamp;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{authenticator, endpoints, sts, tokens};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Set for the process that is STS.
const IS_STS: &str = "ARNGATE_BENCH_STS";
const ROUNDS: usize = 500;

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::var_os(IS_STS).is_some() {
        runtime.block_on(serve());
    } else {
        count(&runtime);
    }
}

/// Is STS until its standard input closes.
async fn serve() {
    let emulator = sts().await;
    println!("{} {}", emulator.address(), emulator.ca_file().display());
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
}

fn count(runtime: &Runtime) {
    let mut sts = Command::new(std::env::current_exe().unwrap())
        .env(IS_STS, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(sts.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (address, ca) = line.trim().split_once(' ').unwrap();

    let (now, endpoints) = (Timestamp::now(), endpoints());
    let tokens = tokens(now);
    let other = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii".repeat(30);
    println!("allocations and bytes, on average of {ROUNDS}:");
    report("a token that is not ours, parsed", || {
        token::parse(&other, &endpoints, now).unwrap_err();
    });
    report("a token, parsed", || {
        token::parse(&tokens[0], &endpoints, now).unwrap();
    });
    for (name, cache_ttl) in [
        ("a verification that is remembered", Duration::from_mins(15)),
        ("a verification that STS is asked for", Duration::ZERO),
    ] {
        let authenticator = {
            let _context = runtime.enter();
            authenticator(address, Path::new(ca), 1000, cache_ttl)
        };
        let verify = || {
            let decision = runtime.block_on(authenticator.authenticate(&tokens[0], now));
            assert!(matches!(decision.outcome, Outcome::Authenticated(_)), "{decision:?}");
        };
        // The first ones connect, and fill what is kept.
        (0..20).for_each(|_| verify());
        report(name, verify);
        if !cache_ttl.is_zero() {
            let region = Region::new(ALLOCATOR);
            for token in &tokens[1..=ROUNDS] {
                runtime.block_on(authenticator.authenticate(token, now));
            }
            let change = region.change();
            let kept = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
            println!("{:40} {:8} {:10} B", "what is kept of each token", "", kept / ROUNDS);
        }
    }
    drop(sts.stdin.take());
    sts.wait().unwrap();
}

fn report(name: &str, mut work: impl FnMut()) {
    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| work());
    let change = region.change();
    let allocations = change.allocations + change.reallocations;
    println!("{name:40} {:8} {:10} B", allocations.div_ceil(ROUNDS), change.bytes_allocated / ROUNDS);
}
