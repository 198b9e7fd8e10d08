//! Clocks that are wrong, or are set while arngate runs. libfaketime moves the clock on the wall for arngate alone; the
//! steady clock, by which it waits, goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use arngate_lab::sts::KeyStatus;
use jiff::{SignedDuration, Timestamp};

use crate::{
    asking::{Asking, MAPPED, name, shown, told},
    support::{ACCOUNT, CLUSTER_ID, Setup, emulator, token_for},
    table::Table,
};

/// Where distributions put it.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

fn library() -> &'static str {
    LIBRARIES
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("libfaketime is needed: apt-get install libfaketime")
}

/// The clock of one arngate.
struct Clock(PathBuf);

impl Clock {
    /// Sets it to so many minutes ahead of the right time; a negative number is behind.
    fn set(&self, minutes: i64) {
        // Beside it first: it is read at every look at the clock.
        let beside = self.0.with_extension("new");
        fs::write(&beside, format!("{:+}\n", minutes * 60)).unwrap();
        fs::rename(&beside, &self.0).unwrap();
    }
}

/// A row's clocks, and what it has to come to.
struct Case {
    fault: &'static str,
    /// How many minutes ahead arngate's clock is.
    ours: i64,
    /// How many minutes ahead STS's is.
    theirs: i64,
    wanted: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_are_wrong() {
    let mut table = Table::of("clock");
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let setup = Setup::new(&emulator, MAPPED).arg("--sts-access-key-qps", "0");
    let clock = Clock(setup.path("clock"));
    clock.set(0);
    let file = clock.0.to_str().unwrap().to_owned();
    let server = setup
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1")
        .start();
    let asking = Asking::of(&server);
    // By the right clock; a different second for each, so that they are different tokens.
    let mut number = 0;
    let mut signed = |minutes_ago: i64| {
        number += 1;
        let ago = SignedDuration::from_mins(minutes_ago) + SignedDuration::from_secs(number);
        token_for(&bob, CLUSTER_ID, Timestamp::now() - ago)
    };

    for Case { fault, ours, theirs, wanted } in [
        Case { fault: "arngate 4 min behind", ours: -4, theirs: 0, wanted: "in" },
        Case { fault: "arngate 8 min behind", ours: -8, theirs: 0, wanted: "denied for now" },
        Case { fault: "arngate 12 min ahead", ours: 12, theirs: 0, wanted: "in" },
        Case { fault: "arngate 20 min ahead", ours: 20, theirs: 0, wanted: "denied" },
        Case { fault: "STS 20 min ahead", ours: 0, theirs: 20, wanted: "denied" },
        Case { fault: "STS 8 min behind", ours: 0, theirs: -8, wanted: "denied for now" },
        Case { fault: "both 20 min ahead", ours: 20, theirs: 20, wanted: "denied" },
    ] {
        clock.set(ours);
        emulator.clock().advance(SignedDuration::from_mins(theirs));
        let answer = asking.about(&signed(0)).await;
        let got = told(&answer);
        assert!(
            got.starts_with(wanted) && (got.len() == wanted.len() || wanted == "in"),
            "{fault}: {answer:?}"
        );
        let reason = server.audit().last().unwrap()["reason"].as_str().unwrap().to_owned();
        // Sixteen minutes old: over, whichever clock is right, unless both are behind.
        let old = asking.about(&signed(16)).await;
        assert_eq!(name(&old), None, "{fault}: {old:?}");
        clock.set(0);
        emulator.clock().advance(SignedDuration::from_mins(-theirs));
        let recovery = asking.until("bob", &signed(0), Instant::now(), |answer| name(answer).is_some()).await;
        table.add(
            fault,
            format!("{got}: {reason}"),
            format!("a token 16 min old: {}", told(&old)),
            shown(recovery),
        );
    }

    // What STS said before the clock was set counts no more after.
    let remembered = signed(0);
    asking.until("bob", &remembered, Instant::now(), |answer| name(answer).is_some()).await;
    let calls = emulator.calls();
    asking.about(&remembered).await;
    assert_eq!(emulator.calls(), calls, "it is remembered");
    clock.set(-2);
    assert!(principals.set_status(&bob.access_key_id, KeyStatus::Disabled));
    let answer = asking.about(&remembered).await;
    let got = told(&answer);
    assert_eq!(got, "denied for now", "a key that was turned off after STS spoke: {answer:?}");
    assert_eq!(emulator.calls(), calls + 1, "STS is asked again");
    clock.set(-14);
    let old = asking.about(&signed(16)).await;
    assert_eq!(name(&old), None, "{old:?}");
    assert!(principals.set_status(&bob.access_key_id, KeyStatus::Active));
    let old_of_good = asking.about(&signed(16)).await;
    assert_eq!(name(&old_of_good), None, "STS's clock is right: {old_of_good:?}");
    clock.set(0);
    let recovery = asking.until("bob", &signed(0), Instant::now(), |answer| name(answer).is_some()).await;
    table.add(
        "set back by 2 min, a key turned off meanwhile; by 14 min",
        format!("{got}: STS is asked anew about what it had vouched for"),
        format!("a token 16 min old: {}", told(&old_of_good)),
        shown(recovery),
    );
}
