//! What aws-auth held last outlives arngate: a restart while the API server is away loses nobody.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use arngate_lab::{
    config_map_api::ConfigMapApi,
    sts::{Credentials, Emulator},
};
use serde_json::Value;
use support::{ACCOUNT, Server, Setup, emulator, token};

const USERS: &str =
    "- userarn: arn:aws:iam::111122223333:user/bob\n  username: bob\n  groups: [developers]\n";

fn data(users: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("mapUsers".to_owned(), users.to_owned())])
}

/// A server that has loaded aws-auth from `api`.
async fn started(emulator: &Emulator, api: &ConfigMapApi, flags: &[(&str, &str)]) -> Server {
    let setup = Setup::new(emulator, "  backendMode: [EKSConfigMap]\n");
    let kubeconfig = setup.path("kubeconfig");
    fs::write(&kubeconfig, api.kubeconfig()).unwrap();
    let mut setup = setup.arg("--kubeconfig", kubeconfig.to_str().unwrap());
    for (flag, value) in flags {
        setup = setup.arg(flag, value);
    }
    let server = setup.start();
    server.wait_until_ready().await;
    server
}

/// A user's username by their token, once there is a verdict. Before it is told to come again, as an API server is.
async fn username(server: &Server, credentials: &Credentials) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = server.review(&token(credentials)).await;
        if answer.code == 200 {
            return answer.body["status"]["user"]["username"].as_str().map(str::to_owned);
        }
        answer.assert_no_verdict(503);
        if Instant::now() > deadline {
            return Some("no verdict".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_for_snapshot(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.metrics().await.contains("aws_iam_authenticator_snapshot_age_seconds") {
        assert!(Instant::now() < deadline, "{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_an_api_server_loses_nobody_and_lets_nobody_else_in() {
    let (emulator, principals) = emulator().await;
    let (bob, mallory) = (principals.user(ACCOUNT, "bob"), principals.user(ACCOUNT, "mallory"));
    let api = ConfigMapApi::start().await.unwrap();
    api.replace(data(USERS));
    let mut server = started(&emulator, &api, &[]).await;
    wait_for_snapshot(&server).await;
    let mode = fs::metadata(server.path("state/aws-auth.snapshot")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    drop(api);
    tokio::task::block_in_place(|| server.restart());
    assert_eq!(username(&server, &bob).await.as_deref(), Some("bob"));
    server.review(&token(&mallory)).await.assert_no_verdict(503);
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let text = ready.text().await.unwrap();
    assert!(text.contains("serves the 1 that were last good at 20"), "{text}");
    let json = server.client().get(server.at("/readyz?format=json")).send().await.unwrap();
    let json: Value = serde_json::from_slice(&json.bytes().await.unwrap()).unwrap();
    assert_eq!((&json["ready"], &json["backends"][0]["standing"]), (&false.into(), &"restored".into()));
    assert!(server.metrics().await.contains(r#"mappings_restored{backend="EKSConfigMap"} 1"#));

    // The API server is back, and bob is not in aws-auth any more.
    let api = ConfigMapApi::start().await.unwrap();
    api.replace(data("[]"));
    fs::write(server.path("kubeconfig"), api.kubeconfig()).unwrap();
    tokio::task::block_in_place(|| server.restart());
    assert_eq!(username(&server, &bob).await, None, "what was removed does not come back");
    assert_eq!(server.audit().last().unwrap()["reason"], "not_mapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aws_auth_that_is_broken_at_the_start_keeps_what_was_good() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let api = ConfigMapApi::start().await.unwrap();
    api.replace(data(USERS));
    let mut server = started(&emulator, &api, &[]).await;
    wait_for_snapshot(&server).await;
    for broken in [
        "- [",
        "- userarn: x\n\tusername: bob\n",
        "- userarn: arn:aws:iam::111122223333:user/bob\n  username: [x]\n",
    ] {
        api.replace(data(broken));
        tokio::task::block_in_place(|| server.restart());
        server.wait_until_ready().await;
        assert_eq!(username(&server, &bob).await.as_deref(), Some("bob"), "{broken}");
    }
    let text = server.client().get(server.at("/readyz")).send().await.unwrap().text().await.unwrap();
    let line =
        "[+]EKSConfigMap ok: 1 mappings, 1 entries invalid, 1 mappings kept, 1 errors, 0 warnings\nok\n";
    assert_eq!(text, line);
    let metrics = server.metrics().await;
    for figure in [
        r#"mapping_entries_invalid{backend="EKSConfigMap"} 1"#,
        r#"mapping_entries_kept{backend="EKSConfigMap"} 1"#,
        r#"mapping_entries{backend="EKSConfigMap",kind="user"} 1"#,
    ] {
        assert!(metrics.contains(figure), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_told_and_maps_nobody() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let api = ConfigMapApi::start().await.unwrap();
    api.replace(data(USERS));
    let mut server = started(&emulator, &api, &[]).await;
    wait_for_snapshot(&server).await;
    drop(api);
    let path = server.path("state/aws-auth.snapshot");
    let good = fs::read_to_string(&path).unwrap();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for (text, permissions, told) in [
        (good.replace("\"bob\"", "\"root\""), 0o600, "damaged"),
        (good.replacen("snapshot 1", "snapshot 9", 1), 0o600, "version 9"),
        (good.clone(), 0o666, "its owner alone"),
        ("nonsense".to_owned(), 0o600, "no snapshot"),
    ] {
        fs::write(&path, text).unwrap();
        mode(permissions);
        let before = server.log_lines().len();
        tokio::task::block_in_place(|| server.restart());
        server.review(&token(&bob)).await.assert_no_verdict(503);
        let lines = server.log_lines();
        assert!(
            lines[before..].iter().any(|line| {
                line["level"] == "ERROR" && line["error"].as_str().is_some_and(|error| error.contains(told))
            }),
            "{told}: {lines:#?}"
        );
    }
    fs::write(&path, &good).unwrap();
    mode(0o600);
    tokio::task::block_in_place(|| server.restart());
    assert_eq!(username(&server, &bob).await.as_deref(), Some("bob"), "the whole file is good still");
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_kept_where_none_is_wanted_and_one_that_cannot_be_kept_breaks_nothing() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let api = ConfigMapApi::start().await.unwrap();
    api.replace(data(USERS));
    let mut server = started(&emulator, &api, &[("--snapshot-max-age", "0")]).await;
    // A folder in its place: not even root writes a file over it.
    assert!(!server.path("state/aws-auth.snapshot").exists());
    fs::create_dir(server.path("state/aws-auth.snapshot")).unwrap();
    tokio::task::block_in_place(|| server.restart());
    assert_eq!(username(&server, &bob).await.as_deref(), Some("bob"));
    assert!(!server.log_text().contains("snapshot"), "{}", server.log_text());
    drop(server);

    let server = started(&emulator, &api, &[]).await;
    wait_for_snapshot(&server).await;
    fs::remove_file(server.path("state/aws-auth.snapshot")).unwrap();
    fs::create_dir(server.path("state/aws-auth.snapshot")).unwrap();
    api.replace(data(&USERS.replace("username: bob", "username: bobby")));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.metrics().await.contains("snapshot_write_failures_total 1") {
        assert!(Instant::now() < deadline, "{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.log_text().contains("cannot keep the last good snapshot of aws-auth"));
    assert_eq!(username(&server, &bob).await.as_deref(), Some("bobby"));
}
