//! `arngate doctor` and `arngate explain` on a real control plane, by the rights of `deploy/rbac` and `deploy/crd`; and doctor in the
//! place of aws-iam-authenticator.

use std::{fs, net::TcpListener, path::Path};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, VERSIONS},
    crd::{apply, install_the_kind, kubectl, mapping},
    support::{self, ACCOUNT, CLUSTER_ID, arngate, text, token},
    theirs::Theirs,
};

/// Runs the binary off the runtime's thread; its exit code and the JSON that it prints.
fn run(args: &[&str]) -> (i32, Value) {
    let output = tokio::task::block_in_place(|| arngate().args(args).output().unwrap());
    let (stdout, stderr) = text(&output);
    let json = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{args:?}: {stdout}{stderr}"));
    (output.status.code().unwrap(), json)
}

/// What was found by the checks of this name, each with its status.
fn found(report: &Value, name: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name);
    let of = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    checks.map(|check| format!("{}: {}", of(check, "status"), of(check, "found"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_and_mappings_are_told_as_the_api_server_has_them() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let plane = &cluster.control_plane;
    install_the_kind(plane).await;
    for rights in ["deploy/rbac/rbac.yaml", "deploy/crd/rbac.yaml"] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(rights);
        kubectl(plane, &["apply", "-f", manifest.to_str().unwrap()]).await;
    }
    let service_account = kubectl(plane, &["create", "token", "arngate", "-n", "kube-system"]).await;
    let kubeconfig = plane.kubeconfig_with_token(service_account.trim()).unwrap();
    let (config, kubeconfig) = (cluster.server.path("config.yaml"), kubeconfig.to_str().unwrap().to_owned());
    let port = cluster.server.url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let (sts, ca) = (cluster.emulator.address().to_string(), cluster.server.path("sts-ca.pem"));
    let server = [
        "-c",
        config.to_str().unwrap(),
        "--backend-mode",
        "EKSConfigMap,CRD",
        "--kubeconfig",
        &kubeconfig,
        "--port",
        &port,
        "--sts-connect-to",
        &sts,
        "--sts-ca-bundle",
        ca.to_str().unwrap(),
    ];
    let doctor = || run(&[&["doctor", "-o", "json"], &server[..]].concat());

    let (code, report) = doctor();
    assert_eq!(code, 0, "{report:#}");
    assert!(found(&report, "api server")[0].starts_with("ok: answers, and is Kubernetes v1."), "{report:#}");
    assert_eq!(
        found(&report, "rights"),
        [
            "ok: may list configmaps aws-auth in kube-system, watch configmaps aws-auth in kube-system, create events in \
          kube-system, list iamidentitymappings, watch iamidentitymappings, patch iamidentitymappings/status"
        ]
    );
    let mappings = found(&report, "mappings");
    assert_eq!(mappings[0], "ok: EKSConfigMap (configmap/aws-auth in kube-system): 3 mapped");
    assert_eq!(mappings[1], "warn: CRD (the cluster's IAMIdentityMappings): 0 mapped");

    // Explained by those rights alone, which may list and not get.
    apply(plane, &mapping("carol", "arn:aws:iam::111122223333:user/carol", "carol")).await;
    for (arn, backend, entry, username) in [
        ("arn:aws:iam::111122223333:user/bob", "EKSConfigMap", "mapUsers entry 1 (line 1)", "bob"),
        ("arn:aws:iam::111122223333:user/carol", "CRD", "IAMIdentityMapping carol", "carol"),
    ] {
        let (code, told) = run(&[&["explain", "-o", "json", arn], &server[..]].concat());
        assert_eq!(
            (code, &told["backend"], &told["mapping"]),
            (0, &json!(backend), &json!(entry)),
            "{told:#}"
        );
        assert_eq!(told["user"]["username"], username);
    }

    // Events are a comfort, the ConfigMap and the objects are not.
    let events = json!([{"op": "remove", "path": "/rules/1"}]).to_string();
    kubectl(plane, &["patch", "role", "arngate", "-n", "kube-system", "--type=json", "-p", &events]).await;
    kubectl(plane, &["delete", "clusterrolebinding", "arngate"]).await;
    crate::crd::until("the rights are gone", std::time::Duration::from_secs(20), async || {
        found(&doctor().1, "rights").len() == 5
    })
    .await;
    let (code, report) = doctor();
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(
        found(&report, "rights")[1..],
        [
            "warn: may not create events in kube-system: what is wrong in aws-auth is not told by events",
            "fail: may not list iamidentitymappings",
            "fail: may not watch iamidentitymappings",
            "warn: may not patch iamidentitymappings/status: status.canonicalARN is not kept",
        ]
    );
    assert!(found(&report, "mappings")[1].starts_with("fail: CRD"), "{report:#}");
    // Nobody maps her but the objects, which cannot be seen: that is no answer.
    let carol = "arn:aws:iam::111122223333:user/carol";
    let (code, told) = run(&[&["explain", "-o", "json", carol], &server[..]].concat());
    assert_eq!((code, &told["reason"]), (1, &json!("backend_not_loaded")), "{told:#}");
    // Whoever the cluster lets in, it lets in still.
    let bob = cluster.principals.user(ACCOUNT, "bob");
    assert_eq!(cluster.server.review(&token(&bob)).await.user()["username"], "bob");
}

/// The port that kube-apiserver asks is aws-iam-authenticator's still, with its certificate of a CA.
#[tokio::test(flavor = "multi_thread")]
async fn aws_iam_authenticator_is_not_taken_for_arngate_and_its_certificate_is() {
    let (emulator, _) = support::emulator().await;
    let plane = arngate_lab::control_plane::ControlPlane::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "clusterID: {CLUSTER_ID}\nserver:\n  port: {port}\n  stateDir: {0}\n  generateKubeconfig: {0}/theirs.kubeconfig\n  \
         mapUsers: [{{userarn: 'arn:aws:iam::111122223333:user/bob', username: bob}}]\n",
        folder.path().display()
    );
    let admin = plane.admin_kubeconfig().to_owned();
    let _theirs = Theirs::start(&plane, &emulator, &config, folder.path(), &admin, port);
    let ca = folder.path().join("sts-ca.pem");
    emulator.write_ca(&ca).unwrap();
    fs::write(folder.path().join("config.yaml"), &config).unwrap();
    let (file, sts) = (folder.path().join("config.yaml"), emulator.address().to_string());
    let (code, report) = run(&[
        "doctor",
        "-o",
        "json",
        "-c",
        file.to_str().unwrap(),
        "--sts-connect-to",
        &sts,
        "--sts-ca-bundle",
        ca.to_str().unwrap(),
    ]);
    assert_eq!(code, 1, "{report:#}");
    assert!(found(&report, "certificate")[0].starts_with("ok: "), "{report:#}");
    assert!(found(&report, "kubeconfig")[0].starts_with("ok: "), "{report:#}");
    let port = found(&report, "port");
    assert!(port[0].starts_with("fail: ") && port[0].ends_with("and not as arngate"), "{report:#}");
}
