//! The proxy variables are for STS; an API server on this machine is reached without.

use crate::{
    cluster::{Cluster, VERSIONS},
    support::{ACCOUNT, Setup, token},
};

#[tokio::test(flavor = "multi_thread")]
async fn sts_by_the_proxy_and_the_api_server_without() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let bob = cluster.principals.user(ACCOUNT, "bob");
    let setup = Setup::without_sts("  backendMode: [EKSConfigMap]\n");
    let ca = setup.path("ca.pem");
    cluster.emulator.write_ca(&ca).unwrap();
    let server = setup
        .env("HTTPS_PROXY", &format!("http://{}", cluster.emulator.proxy_address()))
        .env("SSL_CERT_FILE", ca.to_str().unwrap())
        .arg("--kubeconfig", cluster.control_plane.admin_kubeconfig().to_str().unwrap())
        .start();
    server.wait_until_ready().await;
    assert_eq!(server.review(&token(&bob)).await.user()["username"], "bob");
}
