//! `token` where a role wants an MFA code: who is asked, at a real terminal and without one, and the credential
//! cache that spares people the second time.

mod support;

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use arngate_lab::sts::{Emulator, Principals, TrustPolicy};
use serde_json::Value;
use support::{ACCOUNT, CLUSTER_ID, emulator, verify::Verify};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/bob";
const ROLE: &str = "arn:aws:iam::111122223333:role/Ops";

/// Runs a program in a session of its own: `stdin`, with a new terminal as its standard input and error; `tty`,
/// with nothing as its standard input and a new terminal as its controlling one; `none`, without any. What it
/// writes to the terminal is read until it asks, and then answered.
const DRIVER: &str = r#"
import fcntl, json, os, signal, subprocess, sys, termios
signal.alarm(60)
where, answer, command = sys.argv[1], sys.argv[2], sys.argv[3:]
shown = ""
if where == "none":
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True)
    out, err, code = done.stdout, done.stderr, done.returncode
else:
    ours, theirs = os.openpty()
    control = lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    child = subprocess.Popen(command, stdin=theirs if where == "stdin" else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=theirs if where == "stdin" else subprocess.PIPE,
                             start_new_session=True, preexec_fn=control, pass_fds=[theirs], text=True)
    os.close(theirs)
    def read():
        try:
            return os.read(ours, 1024).decode()
        except OSError:
            return ""
    while "code: " not in shown:
        chunk = read()
        if not chunk:
            break
        shown += chunk
    if "code: " in shown:
        os.write(ours, (answer + "\n").encode())
    while chunk := read():
        shown += chunk
    out, err = child.communicate()
    code = child.returncode
print(json.dumps({"stdout": out, "stderr": err or "", "terminal": shown, "code": code}))
"#;

/// Bob's machine: a profile of his keys, and one of the role Ops, which wants a code.
struct Machine {
    emulator: Emulator,
    home: tempfile::TempDir,
}

/// What came of a run.
#[derive(Debug)]
struct Run {
    stdout: String,
    stderr: String,
    terminal: String,
    code: i64,
}

impl Machine {
    async fn new(codes: &[&str]) -> Self {
        let (emulator, principals) = emulator().await;
        let home = tempfile::tempdir().unwrap();
        write_profiles(&principals, &home);
        let codes: HashSet<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        emulator
            .trust()
            .set(ROLE, TrustPolicy { mfa: Some((DEVICE.to_owned(), codes)), ..TrustPolicy::default() });
        Self { emulator, home }
    }

    fn cache_file(&self) -> PathBuf {
        self.home.path().join(".kube/cache/aws-iam-authenticator/credentials.yaml")
    }

    /// `arngate token` of the profile ops, by [`DRIVER`].
    async fn token(&self, terminal: &str, answer: &str, args: &[&str]) -> Run {
        let mut command = Command::new("python3");
        command.args([
            "-c",
            DRIVER,
            terminal,
            answer,
            env!("CARGO_BIN_EXE_arngate"),
            "token",
            "--token-only",
        ]);
        self.environment(&mut command);
        command.args(args).env("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", CLUSTER_ID);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| run[name].as_str().unwrap().to_owned();
        Run {
            stdout: text("stdout"),
            stderr: text("stderr"),
            terminal: text("terminal"),
            code: run["code"].as_i64().unwrap(),
        }
    }

    fn environment(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(self.emulator.client_env());
        command.env("HOME", self.home.path()).env("AWS_PROFILE", "ops").env("AWS_REGION", "us-east-1");
    }

    async fn assert_is_ops(&self, run: &Run) {
        assert_eq!(run.code, 0, "{run:?}");
        let verified = Verify::new(&self.emulator).run(run.stdout.trim_end(), &["-o", "json"]).await;
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(verified["CanonicalARN"], ROLE);
    }
}

fn write_profiles(principals: &Principals, home: &tempfile::TempDir) {
    let bob = principals.user(ACCOUNT, "bob");
    fs::create_dir(home.path().join(".aws")).unwrap();
    let profiles = format!(
        "[profile ops]\nrole_arn = {ROLE}\nsource_profile = bob\nmfa_serial = {DEVICE}\n\
         [profile bob]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        bob.access_key_id, bob.secret_access_key
    );
    fs::write(home.path().join(".aws/config"), profiles).unwrap();
}

#[tokio::test]
async fn the_code_is_asked_for_at_the_terminal() {
    let machine = Machine::new(&["111111", "222222"]).await;
    for (terminal, code) in [("stdin", "111111"), ("tty", "222222")] {
        let run = machine.token(terminal, code, &[]).await;
        machine.assert_is_ops(&run).await;
        assert!(run.terminal.contains(&format!("MFA device {DEVICE}")), "{run:?}");
        assert!(run.terminal.contains("Assume Role MFA token code: "), "{run:?}");
        assert_eq!(run.stdout.lines().count(), 1, "the token alone: {run:?}");
    }
}

#[tokio::test]
async fn a_code_in_standard_input_is_taken_without_asking() {
    let machine = Machine::new(&["333333"]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_arngate"));
    machine.environment(&mut command);
    command.args(["token", "-i", CLUSTER_ID, "--token-only"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"333333\n").unwrap();
        child.wait_with_output().unwrap()
    });
    let (stdout, stderr) = support::text(&output.await.unwrap());
    assert_eq!(stderr, "", "nobody is asked");
    machine.assert_is_ops(&Run { stdout, stderr, terminal: String::new(), code: 0 }).await;
}

#[tokio::test]
async fn without_a_terminal_nobody_is_asked_and_it_is_told_what_to_do() {
    let machine = Machine::new(&["444444"]).await;
    let run = machine.token("none", "", &[]).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    for words in ["profile ops", DEVICE, "there is no terminal", "--cache"] {
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
    assert_eq!(machine.emulator.calls(), 0, "STS is not asked for what it would refuse");
}

#[tokio::test]
async fn a_wrong_code_is_told_and_never_repeated() {
    let machine = Machine::new(&["555555"]).await;
    for (answer, told, calls) in
        [("12 45", "six digits", 0), ("", "six digits", 0), ("666666", "invalid MFA one time pass code", 1)]
    {
        let run = machine.token("stdin", answer, &[]).await;
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
        assert!(run.terminal.contains(told), "{answer}: {run:?}");
        assert_eq!(machine.emulator.calls(), calls, "{answer}");
    }
}

#[tokio::test]
async fn the_cache_spares_the_second_question_until_it_expires() {
    let machine = Machine::new(&["111111", "222222", "333333"]).await;
    machine.assert_is_ops(&machine.token("stdin", "111111", &["--cache"]).await).await;
    let file = machine.cache_file();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let calls = machine.emulator.calls();
    let run = machine.token("none", "", &["--cache"]).await;
    assert_eq!(machine.emulator.calls(), calls, "no call to STS");
    machine.assert_is_ops(&run).await;
    let run = machine.token("none", "", &[]).await;
    assert!(run.stderr.contains("no terminal"), "without --cache it is not looked at: {run:?}");
    let run = machine.token("none", "", &["--cache", "-i", "another-cluster"]).await;
    assert!(run.stderr.contains("no terminal"), "another cluster's credentials are its own: {run:?}");

    let text = fs::read_to_string(&file).unwrap();
    let expired: Vec<&str> = text
        .lines()
        .map(|line| if line.contains(" expires: ") { "        expires: 2020-01-01T00:00:00Z" } else { line })
        .collect();
    let expired = expired.join("\n");
    fs::write(&file, expired).unwrap();
    machine.assert_is_ops(&machine.token("stdin", "222222", &["--cache"]).await).await;

    fs::write(&file, "clusters: [canary").unwrap();
    let run = machine.token("stdin", "333333", &["--cache"]).await;
    machine.assert_is_ops(&run).await;
    assert!(run.terminal.contains("is damaged at line ") && !run.terminal.contains("canary"), "{run:?}");
    machine.assert_is_ops(&machine.token("none", "", &["--cache"]).await).await;
}

#[tokio::test]
async fn a_cache_that_others_may_read_is_not_used() {
    let machine = Machine::new(&["111111", "222222"]).await;
    machine.assert_is_ops(&machine.token("stdin", "111111", &["--cache"]).await).await;
    let file = machine.cache_file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let before = fs::read_to_string(&file).unwrap();
    let run = machine.token("stdin", "222222", &["--cache"]).await;
    machine.assert_is_ops(&run).await;
    assert!(run.terminal.contains("chmod 600"), "{run:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[tokio::test]
async fn credentials_of_the_environment_come_before_the_cache() {
    let machine = Machine::new(&["111111"]).await;
    machine.assert_is_ops(&machine.token("stdin", "111111", &["--cache"]).await).await;
    let carol = machine.emulator.principals().user(ACCOUNT, "carol");
    let mut command = Command::new(env!("CARGO_BIN_EXE_arngate"));
    machine.environment(&mut command);
    command.envs(carol.env()).args(["token", "-i", CLUSTER_ID, "--token-only", "--cache"]);
    let token = support::text(&command.output().unwrap()).0;
    let verified = Verify::new(&machine.emulator).run(token.trim_end(), &[]).await;
    assert!(support::text(&verified).0.contains("user/carol"), "{verified:?}");
}
