//! aws-iam-authenticator's commands and arngate's, side by side: what each prints, and files that both use.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use arngate_lab::{
    control_plane::Assets,
    sts::{Emulator, TrustPolicy},
};
use serde_json::Value;

use crate::support::{self, ACCOUNT, CLUSTER_ID, text, token, verify::Verify};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/bob";
const ROLE: &str = "arn:aws:iam::111122223333:role/Ops";

/// Off the runtime's thread, on which the emulator answers.
async fn run(mut command: Command, input: &'static str) -> Output {
    let run = move || {
        let mut child = command.spawn().unwrap();
        // It may end without reading it.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn program(path: &Path, emulator: &Emulator) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(emulator.client_env());
    command.env("AWS_REGION", support::REGION);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_prints_the_same_json_of_everybody() {
    let (emulator, principals) = support::emulator().await;
    let verify = Verify::new(&emulator);
    let theirs = Assets::locate().unwrap().go_authenticator();
    for (name, credentials) in [
        ("a role", principals.role(ACCOUNT, "Admin", "alice@example.com")),
        ("a user", principals.user(ACCOUNT, "ops/bob")),
        ("root", principals.root(ACCOUNT)),
        ("a federated user", principals.federated_user(ACCOUNT, "dora")),
    ] {
        let token = token(&credentials);
        let mut command = program(&theirs, &emulator);
        command.args(["verify", "-i", CLUSTER_ID, "-o", "json", "-t", &token]);
        let (stdout, stderr) = text(&run(command, "").await);
        let they: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        let we: Value = serde_json::from_slice(&verify.run(&token, &["-o", "json"]).await.stdout).unwrap();
        println!("| {name} | {they} | {we} |");
        assert_eq!(they, we, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_cache_of_one_is_the_others() {
    let (emulator, principals) = support::emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let codes = HashSet::from(["111111", "222222", "333333", "444444"].map(str::to_owned));
    emulator
        .trust()
        .set(ROLE, TrustPolicy { mfa: Some((DEVICE.to_owned(), codes)), ..TrustPolicy::default() });
    let go = Assets::locate().unwrap().go_authenticator();
    let rust = Path::new(env!("CARGO_BIN_EXE_arngate"));
    let verify = Verify::new(&emulator);
    for (first, second, codes) in
        [(rust, &*go, ["111111\n", "222222\n"]), (&*go, rust, ["333333\n", "444444\n"])]
    {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        let profiles = format!(
            "[profile ops]\nrole_arn = {ROLE}\nsource_profile = bob\nmfa_serial = {DEVICE}\n\
             [profile bob]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            bob.access_key_id, bob.secret_access_key
        );
        fs::write(home.path().join(".aws/config"), profiles).unwrap();
        let token = async |path: &Path, cluster, input| {
            let mut command = program(path, &emulator);
            command.env("HOME", home.path()).env("AWS_PROFILE", "ops");
            command.args(["token", "-i", cluster, "--token-only", "--cache"]);
            let output = run(command, input).await;
            assert!(output.status.success(), "{}: {}", path.display(), text(&output).1);
            text(&output).0
        };
        token(first, CLUSTER_ID, codes[0]).await;
        let calls = emulator.calls();
        let cached = token(second, CLUSTER_ID, "").await;
        assert_eq!(emulator.calls(), calls, "{} asks STS for a session anew", second.display());
        let verified = verify.run(cached.trim_end(), &["-o", "json"]).await;
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(verified["CanonicalARN"], ROLE);
        // What the second adds stands beside what is there.
        token(second, "another-cluster", codes[1]).await;
        let calls = emulator.calls();
        token(first, "another-cluster", "").await;
        token(first, CLUSTER_ID, "").await;
        assert_eq!(emulator.calls(), calls, "{} asks STS for a session anew", first.display());
        println!("{} and {} share their cache", first.display(), second.display());
    }
}
