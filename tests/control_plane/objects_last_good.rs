//! What IAMIdentityMappings gave last outlives arngate: a restart while the API server is away loses nobody.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use arngate_lab::{control_plane::ControlPlane, sts::Credentials};
use serde_json::json;

use crate::{
    crd::{apply, install_the_kind, kubectl, mapping, until},
    support::{self, ACCOUNT, Server, Setup, token},
};

const FILE: &str = "state/iam-identity-mappings.snapshot";
const LIMIT: Duration = Duration::from_secs(20);

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

fn saved(server: &Server) -> String {
    fs::read_to_string(server.path(FILE)).unwrap_or_default()
}

/// As whom `server` lets somebody in: their username, `denied`, or `no verdict` where there is none for a while.
async fn username(server: &Server, credentials: &Credentials) -> String {
    let mut username = "no verdict".to_owned();
    for _ in 0..150 {
        let answer = server.review(&token(credentials)).await;
        if answer.code == 200 {
            username = answer.body["status"]["user"]["username"].as_str().unwrap_or("denied").to_owned();
            break;
        }
        answer.assert_no_verdict(503);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    username
}

/// Sends kube-apiserver a signal: STOP makes it as good as gone, with its port still open.
fn signal(plane: &ControlPlane, name: &str) {
    let apiserver = plane.process_ids()[0].to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &apiserver]).status().unwrap().success());
}

fn restart(server: &mut Server) {
    tokio::task::block_in_place(|| server.restart());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_an_api_server_loses_nobody_whom_an_object_maps() {
    let (emulator, principals) = support::emulator().await;
    let [bob, carol, mallory] = ["bob", "carol", "mallory"].map(|name| principals.user(ACCOUNT, name));
    let plane = ControlPlane::builder().start().await.unwrap();
    install_the_kind(&plane).await;
    for name in ["bob", "carol"] {
        apply(&plane, &mapping(name, &arn(name), name)).await;
    }
    let kubeconfig = plane.admin_kubeconfig().to_str().unwrap().to_owned();
    let setup = Setup::new(&emulator, "  backendMode: [CRD]\n").arg("--kubeconfig", &kubeconfig);
    let mut server = setup.start();
    server.wait_until_ready().await;
    until("both are kept", LIMIT, async || ["bob", "carol"].iter().all(|name| saved(&server).contains(name)))
        .await;
    let mode = fs::metadata(server.path(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    until("its age is shown", LIMIT, async || {
        server.metrics().await.contains(r#"snapshot_age_seconds{backend="CRD"}"#)
    })
    .await;

    signal(&plane, "STOP");
    restart(&mut server);
    assert_eq!(
        (username(&server, &bob).await, username(&server, &carol).await),
        ("bob".into(), "carol".into())
    );
    server.review(&token(&mallory)).await.assert_no_verdict(503);
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let text = ready.text().await.unwrap();
    assert!(
        text.contains("[-]CRD failed") && text.contains("serves the 2 that were last good at 20"),
        "{text}"
    );
    assert!(server.metrics().await.contains(r#"mappings_restored{backend="CRD"} 1"#));
    signal(&plane, "CONT");
    server.wait_until_ready().await;
    assert_eq!(username(&server, &mallory).await, "denied");
    assert!(server.metrics().await.contains(r#"mappings_restored{backend="CRD"} 0"#));

    // One is deleted, and another broken.
    kubectl(&plane, &["delete", "iamidentitymapping", "carol"]).await;
    let broken = json!({"spec": {"arn": "oops", "username": "intruder"}}).to_string();
    kubectl(&plane, &["patch", "iamidentitymapping", "bob", "--type=merge", "-p", &broken]).await;
    until("both edits are kept", LIMIT, async || {
        let saved = saved(&server);
        !saved.contains("carol") && saved.contains(r#""kept":true"#)
    })
    .await;
    restart(&mut server);
    server.wait_until_ready().await;
    let kept = "it keeps what it last gave";
    assert!(server.log_text().contains(kept), "{}", server.log_text());
    assert_eq!(
        (username(&server, &bob).await, username(&server, &carol).await),
        ("bob".into(), "denied".into())
    );
    signal(&plane, "STOP");
    restart(&mut server);
    assert_eq!(username(&server, &bob).await, "bob");
    assert_eq!(username(&server, &carol).await, "no verdict", "what was deleted does not come back");

    // A damaged file is told, and ignored.
    let good = saved(&server);
    fs::write(server.path(FILE), good.replace("\"bob\"", "\"root\"")).unwrap();
    restart(&mut server);
    assert_eq!(username(&server, &bob).await, "no verdict");
    let told = |line: &serde_json::Value| {
        line["level"] == "ERROR"
            && line["error"].as_str().is_some_and(|error| error.contains("damaged"))
            && line["message"]
                .as_str()
                .is_some_and(|message| message.contains("of IAMIdentityMappings cannot"))
    };
    assert!(server.log_lines().iter().any(told), "{}", server.log_text());
    fs::write(server.path(FILE), good).unwrap();
    restart(&mut server);
    assert_eq!(username(&server, &bob).await, "bob", "the whole file is good still");

    // With the kind go its objects.
    signal(&plane, "CONT");
    server.wait_until_ready().await;
    kubectl(&plane, &["delete", "crd", "iamidentitymappings.iamauthenticator.k8s.aws"]).await;
    until("nobody is kept", LIMIT, async || saved(&server).contains(r#""objects":[]"#)).await;
    assert_eq!(username(&server, &bob).await, "denied");
}
