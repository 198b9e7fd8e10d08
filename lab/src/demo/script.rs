//! What `arngate-lab demo` plays, and what must come of each step.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use arngate::token::Token;
use serde_json::Value;

use super::stage::{ACCOUNT, CLUSTER_ID, REGION, ROLE_ONLY, Stage, USER_TOO, map_roles, token};

/// Plays the demo; the exit code is 0 only if all was as expected.
///
/// # Errors
/// Where something could not even be tried.
pub async fn run() -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let mut report = Report::default();

    report.step("An STS emulator, an API that serves aws-auth, and arngate between them");
    let stage = Stage::set_up(folder.path(), 0).await?;
    stage.reviewer.wait_until_ready().await?;
    report.text("The configuration that arngate runs by:");
    report.indented(&stage.config);
    report.text(&format!("arngate answers kube-apiserver on {}", stage.url));
    report.text("aws-auth maps one role, written with its path as IAM shows it:");
    report.indented(ROLE_ONLY);

    report.step("A role's token becomes a Kubernetes user");
    let role = token(&stage.role, CLUSTER_ID)?;
    report.text(&format!(
        "alice@example.com has assumed the role Admin of account {ACCOUNT}, and signs a token for this cluster:"
    ));
    report.indented(&abridged(&role));
    let (code, answer) = stage.reviewer.review(role.expose()).await?;
    report.answer(code, &answer);
    report.check(
        "the username is rendered from the session",
        answer["status"]["user"]["username"] == "admin:alice-example.com",
    );
    report.check(
        "the groups are the mapping's",
        answer["status"]["user"]["groups"] == serde_json::json!(["system:masters"]),
    );

    report.step("A user whom aws-auth does not map yet is refused, for now");
    let user = token(&stage.user, CLUSTER_ID)?;
    let (code, answer) = stage.reviewer.review(user.expose()).await?;
    report.answer(code, &answer);
    report.check("bob is not let in", answer["status"]["authenticated"] == false);
    report.check(
        "the answer carries an error, so that kube-apiserver does not remember it",
        answer["status"]["error"].is_string(),
    );

    report.step("aws-auth is edited, and takes effect");
    report.text("mapUsers gets an entry:");
    report.indented(USER_TOO);
    let mut data = map_roles(ROLE_ONLY);
    data.insert("mapUsers".to_owned(), USER_TOO.to_owned());
    let edited = Instant::now();
    stage.aws_auth.replace(data);
    let (code, answer, took) = until_let_in(&stage, &user, edited).await?;
    report.text(&format!(
        "bob asks again, with the same token; he is in {:.1} ms after the edit",
        took.as_secs_f64() * 1000.0
    ));
    report.answer(code, &answer);
    report.check("bob is let in", answer["status"]["user"]["username"] == "bob");

    report.step("A stranger of the same account stays outside");
    let (code, answer) = stage.reviewer.review(token(&stage.stranger, CLUSTER_ID)?.expose()).await?;
    report.answer(code, &answer);
    report.check("mallory is not let in", answer["status"]["authenticated"] == false);

    report.step("A token for another cluster is worth nothing here");
    let (code, answer) = stage.reviewer.review(token(&stage.role, "another-cluster")?.expose()).await?;
    report.answer(code, &answer);
    report.check(
        "STS refuses the signature, and kube-apiserver may remember that: there is no error",
        answer["status"] == serde_json::json!({"authenticated": false}),
    );

    report.step("What is no token of ours never reaches STS");
    let before = stage.emulator.calls();
    let (code, answer) = stage.reviewer.review("eyJhbGciOiJSUzI1NiJ9.e30.c2ln").await?;
    report.answer(code, &answer);
    report.check("it is refused", answer["status"]["authenticated"] == false);
    report.check("STS was not asked", stage.emulator.calls() == before);

    report.text("");
    report.text(&format!(
        "STS ({REGION}) was asked {} times over {} connection(s).",
        stage.emulator.calls(),
        stage.emulator.connections()
    ));
    stage.stop().await?;
    Ok(report.end())
}

/// Asks until `token` is let in, at most 10 s.
async fn until_let_in(
    stage: &Stage,
    token: &Token,
    since: Instant,
) -> anyhow::Result<(u16, Value, Duration)> {
    loop {
        let (code, answer) = stage.reviewer.review(token.expose()).await?;
        let took = since.elapsed();
        if answer["status"]["authenticated"] == true || took > Duration::from_secs(10) {
            return Ok((code, answer, took));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The first characters: enough to see what it is, too few to use.
fn abridged(token: &Token) -> String {
    let text = token.expose();
    format!("{}… ({} bytes)", &text[..text.len().min(64)], text.len())
}

/// Prints the steps, and counts what was not as expected.
#[derive(Default)]
struct Report {
    steps: usize,
    passed: usize,
    failed: usize,
}

impl Report {
    fn step(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}. {title}", self.steps);
    }

    #[expect(clippy::unused_self, reason = "reads as part of the report")]
    fn text(&self, text: &str) {
        println!("   {text}");
    }

    #[expect(clippy::unused_self, reason = "reads as part of the report")]
    fn indented(&self, text: &str) {
        for line in text.lines() {
            println!("       {line}");
        }
    }

    fn answer(&self, code: u16, answer: &Value) {
        self.text(&format!("arngate answers HTTP {code}:"));
        let status = serde_json::to_string_pretty(&answer["status"]).unwrap_or_default();
        self.indented(&status);
    }

    fn check(&mut self, what: &str, holds: bool) {
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        println!("   {} {what}", if holds { "✓" } else { "✗ NOT AS EXPECTED:" });
    }

    fn end(&self) -> ExitCode {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 {
            println!(
                "Next: `arngate-lab up` leaves all this running for you to try; the README says how to put arngate in front of an API server."
            );
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
