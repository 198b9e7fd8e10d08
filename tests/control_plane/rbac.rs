//! arngate's own rights: `deploy/rbac.yaml` is enough, and without it arngate says so and waits.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, VERSIONS},
    support::{ACCOUNT, Setup, token},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_rights_are_enough_and_fewer_are_not() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let bob = cluster.principals.user(ACCOUNT, "bob");
    let admin = cluster.control_plane.admin_kubeconfig().to_owned();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac.yaml");
    let kubectl = async |args: &[&str]| {
        let output = cluster.control_plane.kubectl(&admin, args).await.unwrap();
        assert!(output.success(), "{args:?}: {}", output.stderr);
        output.stdout
    };
    kubectl(&["apply", "-f", manifest.to_str().unwrap()]).await;
    kubectl(&["delete", "rolebinding", "arngate", "-n", "kube-system"]).await;
    let service_account = kubectl(&["create", "token", "arngate", "-n", "kube-system"]).await;
    let kubeconfig = cluster.control_plane.kubeconfig_with_token(service_account.trim()).unwrap();
    let server = Setup::new(&cluster.emulator, "  backendMode: [EKSConfigMap]\n")
        .arg("--kubeconfig", kubeconfig.to_str().unwrap())
        .start();

    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.log_text().contains("cannot list or watch configmap/aws-auth") {
        assert!(Instant::now() < deadline, "{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.log_text().contains("forbidden"), "{}", server.log_text());
    server.review(&token(&bob)).await.assert_no_verdict(503);

    kubectl(&["apply", "-f", manifest.to_str().unwrap()]).await;
    server.wait_until_ready().await;
    assert_eq!(server.review(&token(&bob)).await.user()["username"], "bob");
}
