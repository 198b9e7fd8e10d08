//! The backend DynamicFile, and the file that says which backends there are.

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use arngate_lab::sts::Emulator;
use support::{ACCOUNT, Server, Setup, emulator, token};

const NOBODY: &str = "{}";

fn users(names: &[&str]) -> String {
    let user = |name: &&str| serde_json::json!({"userarn": format!("arn:aws:iam::{ACCOUNT}:user/{name}"), "username": name});
    let users: Vec<_> = names.iter().map(user).collect();
    serde_json::json!({"LastUpdatedDateTime": "1700000000", "Version": "1", "mapUsers": users}).to_string()
}

fn setup(emulator: &Emulator, folder: &Path, more: &str) -> Setup {
    let file = folder.join("file.json");
    let text = format!("  backendMode: [DynamicFile]\n  dynamicfilepath: {}\n{more}", file.display());
    Setup::new(emulator, &text)
}

/// Asks until the token is let in, or until it is not.
async fn until(server: &Server, token: &str, let_in: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = server.review(token).await;
        if answer.code == 200 && answer.body["status"]["authenticated"] == let_in {
            return;
        }
        assert!(Instant::now() < deadline, "wanted {let_in}: {answer:?}\n{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether one of the metrics' lines is this; the help texts hold numbers too.
fn has(metrics: &str, line: &str) -> bool {
    metrics.lines().any(|found| found.strip_prefix("aws_iam_authenticator_") == Some(line))
}

async fn until_metric(server: &Server, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !has(&server.metrics().await, line) {
        assert!(Instant::now() < deadline, "{line} does not come:\n{}", server.metrics().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_way_to_change_the_file_is_followed() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("file.json"), folder.path().join("new"));
    let server = setup(&emulator, folder.path(), "").start();
    until(&server, &bob, false).await;
    for _ in 0..2 {
        fs::write(&file, users(&["bob"])).unwrap();
        until(&server, &bob, true).await;
        fs::write(&new, NOBODY).unwrap();
        fs::rename(&new, &file).unwrap();
        until(&server, &bob, false).await;
        fs::write(&new, users(&["bob"])).unwrap();
        fs::rename(&new, &file).unwrap();
        until(&server, &bob, true).await;
        fs::remove_file(&file).unwrap();
        until(&server, &bob, false).await;
    }
    let metrics = server.metrics().await;
    assert!(
        metrics.contains("dynamic_file_only 1") && metrics.contains("dynamic_file_enabled 0"),
        "{metrics}"
    );
    assert!(metrics.contains(r#"dynamic_e2e_latency_seconds_count{type="dynamic_file"}"#), "{metrics}");
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_when_its_link_turns() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, content) in [("..1", users(&[])), ("..2", users(&["bob"]))] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("file.json"), content).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/file.json", at("file.json")).unwrap();
    let server = setup(&emulator, folder.path(), "").start();
    until(&server, &bob, false).await;
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    until(&server, &bob, true).await;
}

#[tokio::test]
async fn a_broken_file_takes_nobodys_access_and_is_counted() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.json");
    fs::write(&file, users(&["bob"])).unwrap();
    let server = setup(&emulator, folder.path(), "").start();
    until(&server, &bob, true).await;
    fs::write(folder.path().join("new"), r#"{"mapUsers": ["#).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    until_metric(&server, "dynamicfile_failures_total 1").await;
    server.review(&bob).await.user();
}

#[tokio::test]
async fn the_backends_are_switched_under_requests_without_a_failed_one() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let modes = folder.path().join("modes.json");
    fs::write(folder.path().join("file.json"), users(&["bob"])).unwrap();
    let more = format!("  dynamicBackendModePath: {}\n  mapAccounts: ['{ACCOUNT}']\n", modes.display());
    let server = setup(&emulator, folder.path(), &more).start();
    until(&server, &bob, true).await;
    for (text, line) in [
        (r#"{"backendMode": "MountedFile DynamicFile"}"#, "dynamic_file_enabled 1"),
        (r#"{"backendMode": "MountedFile"}"#, "dynamic_file_enabled 0"),
        (r#"{"backendMode": "Nothing"}"#, "dynamicfile_failures_total 1"),
        (r#"{"backendMode": "DynamicFile MountedFile"}"#, "dynamic_file_enabled 1"),
    ] {
        fs::write(folder.path().join("new"), text).unwrap();
        fs::rename(folder.path().join("new"), &modes).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !has(&server.metrics().await, line) {
            server.review(&bob).await.user();
            assert!(Instant::now() < deadline, "{text}:\n{}", server.log_text());
        }
        server.review(&bob).await.user();
    }
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap().text().await.unwrap();
    let lines: Vec<&str> = ready.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["[+]DynamicFile ok", "[+]MountedFile ok", "ok"], "{}", server.log_text());
    fs::remove_file(&modes).unwrap();
    until_metric(&server, "dynamic_file_only 1").await;
    server.review(&bob).await.user();
}

/// As an entry of aws-auth: what was last good counts, and where nothing was, what is written, as today.
#[tokio::test]
async fn a_misspelt_template_in_a_file_takes_nobodys_name_and_is_told() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("file.json"), folder.path().join("new"));
    let misspelt = users(&["bob"]).replace(r#""username":"bob""#, r#""username":"{{AcountID}}""#);
    fs::write(&file, &misspelt).unwrap();
    let mounted = format!(
        "  mapUsers:\n  - {{userarn: 'arn:aws:iam::{ACCOUNT}:user/dora', username: '{{{{SesionName}}}}'}}\n"
    );
    let backends = "  backendMode: [DynamicFile, MountedFile]\n";
    let setup = format!("  dynamicfilepath: {}\n{backends}{mounted}", file.display());
    let server = Setup::new(&emulator, &setup).start();
    until(&server, &bob, true).await;
    assert_eq!(server.review(&bob).await.user()["username"], "{{AcountID}}");
    let dora = token(&principals.user(ACCOUNT, "dora"));
    assert_eq!(server.review(&dora).await.user()["username"], "{{SesionName}}");
    for backend in ["DynamicFile", "MountedFile"] {
        until_metric(&server, &format!(r#"mapping_diagnostics{{backend="{backend}",severity="error"}} 1"#))
            .await;
    }
    for told in ["did you mean {{AccountID}}?", "did you mean {{SessionName}}?"] {
        assert!(server.log_text().contains(told), "{told}: {}", server.log_text());
    }

    for (content, kept) in [(users(&["bob"]), 0), (misspelt, 1)] {
        fs::write(&new, content).unwrap();
        fs::rename(&new, &file).unwrap();
        until_metric(&server, &format!(r#"mapping_entries_kept{{backend="DynamicFile"}} {kept}"#)).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.review(&bob).await.user()["username"] != "bob" {
            assert!(Instant::now() < deadline, "{}", server.log_text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
