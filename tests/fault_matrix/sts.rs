//! STS, and the way to it.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use arngate_lab::sts::{Credentials, Emulator, Fault, Flaw, Principals};
use http::StatusCode;

use crate::{
    asking::{Asking, MAPPED, all_told, forger, fresh, name, reasons, several, shown, told},
    line::Line,
    memory, namespace,
    support::{ACCOUNT, Server, Setup, emulator},
    table::Table,
};

/// So many tokens of each are asked about at the same time: more failures than open a circuit.
const AT_ONCE: usize = 6;
const HALF_A_GIB: usize = 512 * 1024 * 1024;

/// arngate, a way to STS, and who comes.
struct Scene {
    emulator: Emulator,
    principals: Principals,
    line: Line,
    server: Server,
    asking: Asking,
    bob: Credentials,
    forger: Credentials,
    mallory: Credentials,
}

/// What bob has to be told while a fault lasts.
#[derive(Clone, Copy)]
enum Expected {
    /// No verdict, with this status.
    NoVerdict(u16),
    /// A denial.
    Denial,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|setup, line| setup.arg("--sts-connect-to", &line.address.to_string())).await
    }

    async fn with(way: impl FnOnce(Setup, &Line) -> Setup) -> Self {
        let (emulator, principals) = emulator().await;
        let line = Line::to(emulator.address());
        let setup = Setup::without_sts(MAPPED);
        let ca = setup.path("sts-ca.pem");
        emulator.write_ca(&ca).unwrap();
        let setup = setup
            .arg("--sts-ca-bundle", ca.to_str().unwrap())
            .arg("--sts-timeout", "1")
            // Tokens come faster here than anybody's.
            .arg("--sts-access-key-qps", "0");
        let server = way(setup, &line).start();
        let asking = Asking::of(&server);
        let bob = principals.user(ACCOUNT, "bob");
        let mallory = principals.user("444455556666", "mallory");
        let forger = forger(&bob);
        Self { emulator, principals, line, server, asking, bob, forger, mallory }
    }

    /// Has a caller be known, as kube-apiserver's callers are.
    async fn know_bob(&self) {
        let start = Instant::now();
        self.asking.until("bob", &fresh(&self.bob), start, |answer| name(answer).is_some()).await;
    }

    /// Asks while a fault lasts: twice, since circuits open meanwhile.
    async fn suffer(&self, expected: Expected, reason: &str) -> (String, String) {
        let mark = self.server.audit().len();
        let (mut of_bob, mut of_others, mut slowest) = (Vec::new(), Vec::new(), Duration::ZERO);
        for _ in 0..2 {
            let mut tokens = several(&self.bob, AT_ONCE);
            tokens.extend(several(&self.forger, AT_ONCE));
            tokens.push(fresh(&self.mallory));
            let start = Instant::now();
            let mut answers = self.asking.about_all(&tokens).await;
            slowest = slowest.max(start.elapsed());
            of_others.extend(answers.split_off(AT_ONCE));
            of_bob.extend(answers);
        }
        for answer in of_bob.iter().chain(&of_others) {
            assert_eq!(name(answer), None, "{reason}: {answer:?}");
        }
        for answer in &of_bob {
            match expected {
                // An open circuit is 503 whatever opened it.
                Expected::NoVerdict(code) => assert_eq!(answer.code, code, "{reason}: {answer:?}"),
                Expected::Denial => assert_eq!(answer.code, 200, "{reason}: {answer:?}"),
            }
        }
        let reasons = reasons(&self.server, mark);
        assert!(reasons.contains(reason), "{reason}: {reasons}");
        let got = format!("{}: {reasons}; within {}", all_told(&of_bob), shown(slowest));
        (got, all_told(&of_others))
    }

    /// After the fault: when `who` is let in, and what others are told then.
    async fn recover(&self, who: &Credentials, ended: Instant) -> (String, String) {
        let token = fresh(who);
        let took = self.asking.until("recovery", &token, ended, |answer| name(answer).is_some()).await;
        let forged = self.asking.until_denied(&fresh(&self.forger)).await;
        let unmapped = self.asking.until_denied(&fresh(&self.mallory)).await;
        (shown(took), format!("{forged}, {unmapped}"))
    }

    /// A whole row, for a fault that begins and ends by these.
    async fn row(
        &mut self,
        table: &mut Table,
        fault: &str,
        expected: Expected,
        reason: &str,
        mut set: impl AsyncFnMut(&mut Self, bool),
    ) {
        self.know_bob().await;
        set(self, true).await;
        let (got, meanwhile) = self.suffer(expected, reason).await;
        set(self, false).await;
        let (recovery, after) = self.recover(&self.bob, Instant::now()).await;
        table.add(fault, got, format!("{meanwhile}; then {after}"), recovery);
    }
}

/// STS's answer about somebody.
fn identity(arn: &str, account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <GetCallerIdentityResult>\n    <Arn>{arn}</Arn>\n    <UserId>AIDAEXAMPLE</UserId>\n    \
         <Account>{account}</Account>\n  </GetCallerIdentityResult>\n</GetCallerIdentityResponse>\n"
    )
}

/// An answer whose one entity is ten to the ninth power times as long as it looks.
fn billion_laughs() -> String {
    let mut entities = "<!ENTITY a0 \"bob\">".to_owned();
    for level in 1..10 {
        let tenfold = format!("&a{};", level - 1).repeat(10);
        let _ = write!(entities, "<!ENTITY a{level} \"{tenfold}\">");
    }
    let arn = "arn:aws:iam::111122223333:user/&a9;";
    format!("<!DOCTYPE GetCallerIdentityResponse [{entities}]>{}", identity(arn, ACCOUNT))
}

#[tokio::test(flavor = "multi_thread")]
async fn sts_fails() {
    let mut table = Table::of("STS");
    let mut scene = Scene::new().await;
    let xml = |text: String| Fault::Body("text/xml".to_owned(), text.into());
    let bobs = identity("arn:aws:iam::111122223333:user/bob", ACCOUNT);
    let page =
        "<!doctype html><html><head><title>Sign in</title></head><body><p>Wi-Fi for guests</body></html>";
    for (fault, what, expected, reason) in [
        ("throttles", Fault::Throttle, Expected::NoVerdict(429), "sts_throttled"),
        (
            "500",
            Fault::Status(StatusCode::INTERNAL_SERVER_ERROR),
            Expected::NoVerdict(503),
            "sts_server_error",
        ),
        ("503", Fault::Status(StatusCode::SERVICE_UNAVAILABLE), Expected::NoVerdict(503), "sts_server_error"),
        ("resets connections", Fault::Reset, Expected::NoVerdict(503), "sts_transport"),
        ("hangs", Fault::Hang, Expected::NoVerdict(503), "sts_timeout"),
        (
            "a body that takes 16 s",
            Fault::SlowBody(Duration::from_secs(16)),
            Expected::NoVerdict(503),
            "sts_timeout",
        ),
        (
            "redirects",
            Fault::Redirect("https://sts.us-west-2.amazonaws.com/".to_owned()),
            Expected::NoVerdict(503),
            "sts_unexpected_status",
        ),
        (
            "a page in HTML",
            Fault::Body("text/html".to_owned(), page.into()),
            Expected::NoVerdict(503),
            "sts_unreadable",
        ),
        (
            "XML that is cut off",
            xml(bobs[..bobs.len() / 2].to_owned()),
            Expected::NoVerdict(503),
            "sts_unreadable",
        ),
        ("XML with a bomb of entities", xml(billion_laughs()), Expected::NoVerdict(503), "sts_unreadable"),
        (
            "an account that is not the ARN's",
            xml(identity("arn:aws:iam::111122223333:user/bob", "444455556666")),
            Expected::Denial,
            "caller_account_mismatch",
        ),
        (
            "somebody of another account",
            xml(identity("arn:aws:iam::444455556666:user/bob", "444455556666")),
            Expected::Denial,
            "not_mapped",
        ),
        (
            "somebody of another partition",
            xml(identity("arn:aws-cn:iam::111122223333:user/bob", ACCOUNT)),
            Expected::Denial,
            "caller_other_partition",
        ),
    ] {
        scene
            .row(&mut table, fault, expected, reason, async |scene, begin| {
                scene.emulator.faults().set(if begin { what.clone() } else { Fault::None });
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_gibibyte_is_neither_read_nor_kept() {
    let mut table = Table::of("STS");
    let mut scene = Scene::new().await;
    scene.know_bob().await;
    let before = memory::anonymous(scene.server.id());
    let own = memory::peak(std::process::id());
    scene
        .row(
            &mut table,
            "a body of 512 MiB",
            Expected::NoVerdict(503),
            "sts_oversized",
            async |scene, begin| {
                scene.emulator.faults().set(if begin { Fault::Oversized(HALF_A_GIB) } else { Fault::None });
            },
        )
        .await;
    let grown = memory::anonymous(scene.server.id()).saturating_sub(before);
    println!("26 answers of 512 MiB: arngate's own memory has grown by {grown} KiB");
    assert!(grown < 16 * 1024, "{grown} KiB");
    // The emulator is of this process, and other tests are.
    let own = memory::peak(std::process::id()).saturating_sub(own);
    assert!(own < 256 * 1024, "the emulator sends it piece by piece, and grew by {own} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_vouches_for_sts() {
    let mut table = Table::of("the way to STS: certificates");
    let mut scene = Scene::new().await;
    for (fault, flaw) in [
        ("an expired certificate", Flaw::Expired),
        ("a certificate of another name", Flaw::OtherName),
        ("a certificate of an unknown CA", Flaw::UnknownIssuer),
    ] {
        let calls = scene.emulator.calls();
        scene
            .row(&mut table, fault, Expected::NoVerdict(503), "sts_connect", async |scene, begin| {
                // What is asked before the fault is counted before it.
                let flaw = begin.then_some(flaw);
                scene.emulator.flaw_certificates(flaw).unwrap();
            })
            .await;
        // Bob before, bob, the forger and mallory after: none of the 26 in between.
        let asked = scene.emulator.calls() - calls;
        assert!(asked < 10, "{fault}: a token was shown to whoever it was: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sts_cannot_be_reached() {
    let mut table = Table::of("the way to STS: the network");
    let mut scene = Scene::new().await;
    let cut = async |scene: &mut Scene, begin| {
        if begin {
            scene.line.cut().await;
        } else {
            scene.line.restore();
        }
    };
    scene.row(&mut table, "connections refused", Expected::NoVerdict(503), "sts_connect", cut).await;

    // Those who are known may try sooner: here nobody is that comes after the fault.
    cut(&mut scene, true).await;
    let (got, meanwhile) = scene.suffer(Expected::NoVerdict(503), "sts_circuit_open").await;
    let carol = scene.principals.user(ACCOUNT, "carol");
    cut(&mut scene, false).await;
    let (recovery, after) = scene.recover(&carol, Instant::now()).await;
    table.add(
        "the same, and a newcomer alone asks after",
        got,
        format!("{meanwhile}; then {after}"),
        recovery,
    );

    let mut scene = Scene::with(|setup, line| {
        let setup = namespace::with_own_names(setup);
        fs::write(setup.path("hosts"), "127.0.0.1 sts.invalid\n").unwrap();
        setup.arg("--sts-connect-to", &format!("sts.invalid:{}", line.address.port()))
    })
    .await;
    scene
        .row(
            &mut table,
            "its name is unknown",
            Expected::NoVerdict(503),
            "sts_connect",
            async |scene, begin| {
                let hosts = scene.server.path("hosts");
                fs::write(hosts, if begin { "" } else { "127.0.0.1 sts.invalid\n" }).unwrap();
                if begin {
                    // Connections that there are need no name.
                    scene.line.cut().await;
                    scene.line.restore();
                }
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_verified_a_moment_ago_needs_no_sts() {
    let mut table = Table::of("STS, and a token that it has verified in the last minute");
    let mut scene = Scene::new().await;
    let (token, start) = (fresh(&scene.bob), Instant::now());
    scene.asking.until("bob", &token, start, |answer| name(answer).is_some()).await;
    scene.line.cut().await;
    for _ in 0..2 * AT_ONCE {
        assert_eq!(scene.asking.about(&fresh(&scene.forger)).await.code, 503);
        let answer = scene.asking.about(&token).await;
        assert!(name(&answer).is_some(), "{answer:?}");
    }
    let got = told(&scene.asking.about(&token).await);
    table.add("connections refused", got, "503", "not needed");
}
