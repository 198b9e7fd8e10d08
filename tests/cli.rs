//! `verify`, `init`, `config show`, `version` and the help, as scripts and people use them.

mod support;

use std::{io::Write, os::unix::fs::MetadataExt, process::Stdio};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::{ACCOUNT, CLUSTER_ID, arngate, emulator, text, token, token_for, verify::Verify};

#[tokio::test]
async fn verify_prints_the_identity_for_people() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let output = Verify::new(&emulator).run(&token(&role), &[]).await;
    let (stdout, _) = text(&output);
    assert!(output.status.success());
    for line in [
        "ARN            arn:aws:sts::111122223333:assumed-role/Admin/alice",
        "canonical ARN  arn:aws:iam::111122223333:role/Admin",
        "session name   alice",
        "STS endpoint   sts.us-east-1.amazonaws.com",
    ] {
        assert!(stdout.contains(line), "{line} is missing:\n{stdout}");
    }
}

#[tokio::test]
async fn verify_says_why_a_token_is_refused_and_never_quotes_it() {
    let (emulator, principals) = emulator().await;
    let verify = Verify::new(&emulator);
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let old = Timestamp::now() - SignedDuration::from_mins(16);
    for (token, code, reason, words) in [
        (
            token_for(&role, "another-cluster", Timestamp::now()),
            3,
            "refused_by_sts",
            "signed for another cluster ID",
        ),
        (token_for(&role, CLUSTER_ID, old), 3, "token_expired", "more than 15 minutes ago"),
        ("garbage-canary".to_owned(), 3, "token_not_ours", "does not begin with k8s-aws-v1."),
    ] {
        for args in [&[][..], &["-o", "json"]] {
            let output = verify.run(&token, args).await;
            let (stdout, stderr) = text(&output);
            assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
            assert!(format!("{stdout}{stderr}").contains(words), "{stdout}{stderr}");
            assert!(args.is_empty() || stdout.contains(reason), "{stdout}");
            for secret in [&token[12..], "canary", "X-Amz-"] {
                assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}{stderr}");
            }
        }
    }
    emulator.faults().set(arngate_lab::sts::Fault::Throttle);
    let output = verify.run(&token(&role), &[]).await;
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output).1.contains("no verdict"), "{}", text(&output).1);
}

#[tokio::test]
async fn verify_reads_the_token_from_standard_input() {
    let (emulator, principals) = emulator().await;
    let token = token(&principals.user(ACCOUNT, "bob"));
    let verify = Verify::new(&emulator);
    let mut command = verify.command("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", text(&output).1);
    assert!(text(&output).0.contains("user/bob"));
}

#[test]
fn what_is_missing_is_named_with_the_way_to_give_it() {
    for (args, code, words) in [
        (&["token"][..], 1, "-i ID"),
        (&["token", "-i", "c", "--region", "us east"], 1, "is no region"),
        (&["verify", "-i", "c"], 2, "--token"),
        (&["verify", "-t", "x"], 1, "-i ID"),
        (&["server"], 1, "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"),
        (&["server", "-c", "no-such-file.yaml"], 1, "cannot read no-such-file.yaml"),
        (&["server", "-i", "c", "--backend-mode", "Nothing"], 2, "MountedFile"),
        (&["server", "-i", "c", "--partition", "awz"], 2, "aws-us-gov"),
        (&["server", "-i", "c", "--sts-connect-to", "x"], 2, "HOST:PORT"),
        (&["serve"], 2, "server"),
    ] {
        let output = arngate().args(args).output().unwrap();
        let (_, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[test]
fn version_and_help_teach() {
    let number = env!("CARGO_PKG_VERSION");
    for (args, want) in [
        (&["version"][..], format!("{{\"Version\":\"{number}\"}}\n")),
        (&["version", "-o", "yaml"], format!("Version: {number}\n")),
        (&["version", "-s"], format!("{number}\n")),
        (&["--version"], format!("arngate {number}\n")),
    ] {
        assert_eq!(text(&arngate().args(args).output().unwrap()).0, want);
    }
    let help = text(&arngate().arg("--help").output().unwrap()).0;
    for words in ["server", "token", "verify", "Examples:", "Exit codes:"] {
        assert!(help.contains(words), "{words} is missing:\n{help}");
    }
    for command in ["lint", "diff", "verify", "explain", "doctor"] {
        let help = text(&arngate().args([command, "--help"]).output().unwrap()).0;
        let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("Examples:\n  ") && one_line.contains("Exit code"), "{command}: {help}");
    }
}

/// Bash itself completes by the script; those of the other shells name what there is.
#[test]
fn shells_complete_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = |shell: &str| {
        let output = arngate().args(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output).1);
        let path = folder.path().join(shell);
        std::fs::write(&path, &output.stdout).unwrap();
        (path, text(&output).0)
    };
    let (bash, _) = script("bash");
    let completes = |words: &[&str]| {
        let last = words.len() - 1;
        let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!(
            "source {} && COMP_WORDS=({}) COMP_CWORD={last} && _arngate arngate '{}' '{}' && echo \"${{COMPREPLY[*]}}\"",
            bash.display(),
            quoted.join(" "),
            words[last],
            words[last - 1],
        );
        let output = std::process::Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output).1);
        text(&output).0.trim().to_owned()
    };
    assert_eq!(completes(&["arngate", "expl"]), "explain");
    assert_eq!(completes(&["arngate", "explain", "--iam"]), "--iam-identity-mappings");
    assert_eq!(completes(&["arngate", "get", "iam"]), "iamidentitymapping");
    assert_eq!(completes(&["arngate", "lint", "--output", "git"]), "github");
    for shell in ["zsh", "fish"] {
        let (_, script) = script(shell);
        for word in ["doctor", "explain", "iamidentitymapping", "iam-identity-mappings"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
    assert_eq!(arngate().args(["completions", "tcsh"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn every_command_has_a_man_page_with_its_examples_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("man1");
    let output = arngate().arg("man").arg(&directory).output().unwrap();
    assert!(output.status.success(), "{}", text(&output).1);
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let pages = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(text(&output).0, format!("{pages} pages are in {}\n", directory.display()));
    let top = page("arngate.1");
    for part in
        [".TH arngate 1", ".SH SYNOPSIS", "arngate\\-explain(1)", ".SH \"EXIT CODES\"", ".SH EXAMPLES\n.nf\n"]
    {
        assert!(top.contains(part), "{part}:\n{top}");
    }
    let explain = page("arngate-explain.1");
    assert!(explain.is_ascii() && explain.contains("Exit code 3"), "{explain}");
    let example = "\narngate explain arn:aws:iam::111122223333:role/Admin\narngate explain ";
    assert!(explain.replace("\\-", "-").contains(example), "{explain}");
    assert!(explain.contains("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"), "variables are told");
    assert!(page("arngate-get-iamidentitymapping.1").contains(".SH EXAMPLES"));
}

#[tokio::test]
async fn init_makes_the_files_that_a_server_then_uses() {
    for (gate, state, kubeconfig) in [
        ("ConfiguredInitDirectories=false", ".", "aws-iam-authenticator.kubeconfig"),
        ("ConfiguredInitDirectories=true", "state", "kubeconfig.yaml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("config.yaml"),
            "clusterID: c\nserver: {stateDir: state, generateKubeconfig: kubeconfig.yaml}\n",
        )
        .unwrap();
        let run = || {
            let args = ["init", "-c", "config.yaml", "--hostname", "auth.example", "--feature-gates", gate];
            let output = arngate().args(args).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", text(&output).1);
            text(&output).0
        };
        let words = run();
        assert!(words.contains("--authentication-token-webhook-config-file=kubeconfig.yaml"), "{words}");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (certificate, written) = (read(&format!("{state}/cert.pem")), read(kubeconfig));
        assert!(written.contains("server: https://auth.example:21362/authenticate"), "{written}");
        run();
        assert_eq!(read(&format!("{state}/cert.pem")), certificate, "a second run keeps them");
        assert_eq!(read(kubeconfig), written);
        assert_eq!(folder.path().join("state").exists(), state == "state");
    }
}

#[test]
fn config_show_prints_each_value_and_whence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "clusterID: c\nserver: {port: 1}\n").unwrap();
    let show = |args: &[&str]| {
        let output =
            arngate().args(["config", "show", "-c", file.to_str().unwrap()]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output).1);
        text(&output).0
    };
    let lines = show(&["--partition", "aws-cn"]);
    let of = |key: &str| lines.lines().find(|line| line.split(' ').next() == Some(key)).unwrap().to_owned();
    assert!(of("clusterID").ends_with("config.yaml:1") && of("server.port").contains(" 1 "), "{lines}");
    assert!(of("server.partition").ends_with("# flag --partition"), "{lines}");
    assert!(of("server.stateDir").ends_with("# default"), "{lines}");
    assert!(
        of("server.stsExtraHosts").contains(" - ") && of("--log-verbosity").contains(" info "),
        "{lines}"
    );
    let json: Value = serde_json::from_str(&show(&["-o", "json"])).unwrap();
    let source = serde_json::json!({"kind": "file", "path": file, "line": 1});
    assert_eq!(json[0], serde_json::json!({"key": "clusterID", "value": "c", "source": source}));
    let json: Value = serde_json::from_str(&show(&["-o", "json", "-i", "d", "-l", "json"])).unwrap();
    assert_eq!(json[0]["source"], serde_json::json!({"kind": "flag", "name": "--cluster-id"}));
}

#[test]
fn init_prepares_folders_for_a_server_that_is_not_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config = format!(
        "clusterID: c\nserver:\n  stateDir: {0}/state\n  generateKubeconfig: {0}/out/webhook.kubeconfig\n",
        folder.path().display()
    );
    std::fs::write(path("config.yaml"), config).unwrap();
    let me = std::fs::metadata(folder.path()).unwrap();
    // Only root may give files away; anybody may keep their own.
    let owner = if me.uid() == 0 { (10000, 20000) } else { (me.uid(), me.gid()) };
    let text_of = |(user, group): (u32, u32)| format!("{user}:{group}");
    let init = |owner: &str| {
        let config = path("config.yaml");
        let output =
            arngate().args(["init", "-c", config.to_str().unwrap(), "--folders-for", owner]).output();
        output.unwrap()
    };
    // What a server that was root has left, and a trap.
    std::fs::create_dir(path("state")).unwrap();
    std::fs::write(path("state/key.pem"), "").unwrap();
    std::fs::write(path("precious"), "").unwrap();
    std::os::unix::fs::symlink(path("precious"), path("state/cert.pem")).unwrap();
    std::fs::hard_link(path("precious"), path("state/aws-auth.snapshot")).unwrap();

    let output = init(&text_of(owner));
    assert!(output.status.success(), "{}", text(&output).1);
    let owner_of = |name: &str| {
        let there = std::fs::metadata(path(name)).unwrap();
        (there.uid(), there.gid())
    };
    for name in ["state", "out", "state/key.pem"] {
        assert_eq!(owner_of(name), owner, "{name}");
    }
    assert_eq!(
        owner_of("precious"),
        (me.uid(), me.gid()),
        "who may write the folder cannot have root give away more"
    );
    assert!(!path("out/webhook.kubeconfig").exists(), "no files are made");
    let again = init(&text_of(owner));
    assert_eq!((again.status.success(), text(&again).0.as_str()), (true, ""), "nothing is left to do");

    let output = init("arngate");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).1.contains("want two numbers, as in 10000:10000"), "{}", text(&output).1);
}
