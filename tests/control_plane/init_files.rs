//! What `init` makes, either program serves by, and a kube-apiserver that was started with it trusts both.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use arngate_lab::control_plane::{Assets, ControlPlane, Webhook, WebhookVersion};

use crate::{
    support::{self, ACCOUNT, CLUSTER_ID, Setup, token},
    theirs::Theirs,
};

const MAPPINGS: &str = "  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: 'admin:{{SessionName}}', groups: [system:masters]}
";

/// Runs `init` of `program` in `folder`, which holds the configuration.
fn init(program: &Path, folder: &Path) {
    let status = Command::new(program)
        .args(["init", "-i", CLUSTER_ID, "-c", "config.yaml"])
        .current_dir(folder)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{}", program.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_either_init_work_with_either_server() {
    let (emulator, principals) = support::emulator().await;
    let alice = principals.role(ACCOUNT, "Admin", "alice");
    let go = Assets::locate().unwrap().go_authenticator();
    for maker in [go.as_path(), Path::new(env!("CARGO_BIN_EXE_arngate"))] {
        let folder = tempfile::tempdir().unwrap();
        // Neither program can be told to write down which free port it would take; this one was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = format!("  port: {port}\n  kubeconfigPregenerated: true\n{MAPPINGS}");
        let config = format!("clusterID: {CLUSTER_ID}\nserver:\n{server}");
        std::fs::write(folder.path().join("config.yaml"), &config).unwrap();
        init(maker, folder.path());

        let mut plane = ControlPlane::builder().prepare().unwrap();
        plane.set_webhook(Some(Webhook {
            kubeconfig: folder.path().join("aws-iam-authenticator.kubeconfig"),
            version: WebhookVersion::V1beta1,
            cache_ttl: Duration::ZERO,
        }));
        plane.start().await.unwrap();
        let user = plane.kubeconfig_with_token(&token(&alice)).unwrap();
        let whoami = async || {
            let output = plane.kubectl(&user, &["auth", "whoami"]).await.unwrap();
            assert!(output.success() && output.stdout.contains("admin:alice"), "{}", output.stderr);
        };

        let admin = plane.admin_kubeconfig().to_owned();
        let theirs = Theirs::start(&plane, &emulator, &config, folder.path(), &admin, port);
        whoami().await;
        drop(theirs);
        let server = Setup::new(&emulator, &format!("  kubeconfigPregenerated: true\n{MAPPINGS}"))
            .arg("--state-dir", folder.path().to_str().unwrap())
            .arg("--port", &port.to_string())
            .start();
        whoami().await;
        assert_eq!(server.audit().last().unwrap()["username"], "admin:alice", "arngate was asked");
        drop(server);
        plane.stop().await;
    }
}
