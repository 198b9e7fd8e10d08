//! A real etcd and kube-apiserver, as the other tests use them.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arngate_lab::control_plane::{ControlPlane, ExecPlugin, Output, Webhook, WebhookVersion};

#[tokio::test(flavor = "multi_thread")]
async fn starts_answers_kubectl_and_keeps_its_content_over_a_restart() {
    let mut control_plane = ControlPlane::builder().prepare().expect("programs, ports and files");
    assert!(control_plane.admin_kubeconfig().is_file(), "the kubeconfig exists before the apiserver");
    let started = Instant::now();
    control_plane.start().await.expect("a control plane that is ready");
    println!("ready in {:?}", started.elapsed());

    let version = admin(&control_plane, &["version", "-o", "json"]).await;
    let version: serde_json::Value = serde_json::from_str(&version).expect("JSON");
    assert_eq!(version["serverVersion"]["major"], "1");
    // A user's own programs may be of another version than those we build.
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        assert_eq!(version["serverVersion"]["gitVersion"], "v1.36.3");
        assert_eq!(version["clientVersion"]["gitVersion"], "v1.36.3");
    }

    let groups = admin(&control_plane, &["auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}"]).await;
    assert!(groups.contains("system:masters"), "{groups}");
    admin(&control_plane, &["create", "namespace", "kept"]).await;

    let url = control_plane.url().to_owned();
    let [apiserver, etcd] = control_plane.process_ids()[..] else { panic!("two processes") };
    let started = Instant::now();
    control_plane.restart_apiserver().await.expect("an apiserver that is ready again");
    println!("restarted in {:?}", started.elapsed());

    assert_eq!(control_plane.url(), url);
    assert_eq!(control_plane.process_ids()[1], etcd);
    assert!(!runs(apiserver), "the old apiserver has ended");
    let namespaces = admin(&control_plane, &["get", "ns", "-o", "name"]).await;
    assert!(namespaces.contains("namespace/kept"), "{namespaces}");
    assert!(namespaces.contains("namespace/kube-system"), "{namespaces}");

    let directory = control_plane.directory().to_owned();
    let processes = control_plane.process_ids();
    control_plane.stop().await;
    assert!(!processes.into_iter().any(runs), "no process is left");
    assert!(!directory.exists(), "no file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_nothing_behind_when_a_test_panics() {
    let (tell, told) = std::sync::mpsc::channel();
    let test = tokio::spawn(async move {
        let control_plane = ControlPlane::builder().start().await.expect("a control plane that is ready");
        tell.send((control_plane.process_ids(), control_plane.directory().to_owned())).expect("a listener");
        // As a failed assertion does, but without its message in the output.
        std::panic::resume_unwind(Box::new("a failed assertion"));
    });
    assert!(test.await.is_err());
    let (processes, directory) = told.recv().expect("a control plane that was ready");
    assert_eq!(processes.len(), 2);
    assert!(!processes.into_iter().any(runs), "no process is left");
    assert!(!directory.exists(), "no file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_an_unknown_token_while_its_webhook_is_away() {
    let mut control_plane = ControlPlane::builder().prepare().expect("programs, ports and files");
    for version in [WebhookVersion::V1, WebhookVersion::V1beta1] {
        control_plane.set_webhook(Some(Webhook {
            kubeconfig: kubeconfig_of_nobody(control_plane.directory()),
            version,
            cache_ttl: Duration::ZERO,
        }));
        control_plane.restart_apiserver().await.expect("an apiserver that is ready");

        let kubeconfig = control_plane.kubeconfig_with_token("nobody's token").expect("a kubeconfig");
        refused(&kubectl(&control_plane, &kubeconfig, &["get", "ns"]).await);

        let credential = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",
            "status":{"token":"'"$TOKEN"'"}}"#;
        let plugin = ExecPlugin {
            command: "sh".into(),
            args: vec!["-c".to_owned(), format!("echo '{credential}'")],
            env: vec![("TOKEN".to_owned(), "nobody's other token".to_owned())],
            api_version: "client.authentication.k8s.io/v1".to_owned(),
        };
        let kubeconfig = control_plane.kubeconfig_with_exec(&plugin).expect("a kubeconfig");
        refused(&kubectl(&control_plane, &kubeconfig, &["get", "ns"]).await);
    }
    let log = std::fs::read_to_string(control_plane.apiserver_log()).expect("a log");
    assert!(log.contains("Failed to make webhook authenticator request"), "it has asked its webhook");
}

async fn admin(control_plane: &ControlPlane, args: &[&str]) -> String {
    let output = kubectl(control_plane, control_plane.admin_kubeconfig(), args).await;
    assert!(output.success(), "kubectl {args:?}: {}", output.stderr);
    output.stdout
}

async fn kubectl(control_plane: &ControlPlane, kubeconfig: &Path, args: &[&str]) -> Output {
    control_plane.kubectl(kubeconfig, args).await.expect("a run of kubectl")
}

fn refused(output: &Output) {
    assert!(!output.success());
    assert!(output.stderr.contains("You must be logged in"), "{}", output.stderr);
}

/// A webhook's kubeconfig where nobody listens.
fn kubeconfig_of_nobody(directory: &Path) -> PathBuf {
    let path = directory.join("webhook.kubeconfig");
    let content = r#"{
        "apiVersion": "v1", "kind": "Config", "current-context": "webhook",
        "clusters": [{"name": "webhook", "cluster": {"server": "https://127.0.0.1:1/authenticate"}}],
        "users": [{"name": "webhook"}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "webhook"}}]
    }"#;
    std::fs::write(&path, content).expect("a kubeconfig");
    path
}

/// Whether a process runs, under the ID it had. One that has ended but was not waited
/// for counts as running: its end is somebody's task.
fn runs(process: u32) -> bool {
    std::process::Command::new("sh")
        .args(["-c", "kill -0 \"$0\" 2>/dev/null", &process.to_string()])
        .status()
        .expect("a shell")
        .success()
}
