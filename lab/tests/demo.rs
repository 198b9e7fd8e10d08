//! The demo is the README's first command: it must say that all is as expected, and mean it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

#[test]
fn the_demo_shows_every_step_and_ends_well() {
    let output = Command::new(env!("CARGO_BIN_EXE_arngate-lab"))
        .arg("demo")
        .env_remove("HTTPS_PROXY")
        .output()
        .unwrap_or_else(|error| panic!("the demo does not start: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in ["\"username\": \"admin:alice-example.com\"", "\"username\": \"bob\"", "9 passed, 0 failed"]
    {
        assert!(stdout.contains(words), "{words} is missing:\n{stdout}");
    }
}

#[test]
fn up_stays_until_it_is_told_to_stop_and_prints_what_to_try() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_arngate-lab"))
        .arg("up")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("up does not start: {error}"));
    let mut text = String::new();
    let stdout = child.stdout.take().unwrap_or_else(|| panic!("stdout is piped"));
    let mut lines = BufReader::new(stdout).lines();
    for line in lines.by_ref().map_while(Result::ok) {
        text += &line;
        text.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    for words in ["arngate token -i demo", "arngate verify -i demo", "TokenReview", "aws-auth.yaml"] {
        assert!(text.contains(words), "{words} is missing:\n{text}");
    }
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let status = child.wait();
    assert!(status.is_ok_and(|status| status.code() == Some(0)));
}
