//! What is wrong in aws-auth is shown where people look: `kubectl describe -n kube-system configmap/aws-auth`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    cluster::{Cluster, MAP_ROLES, MAP_USERS, VERSIONS},
    support::Setup,
};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_describe_shows_what_is_wrong_once_however_many_arngates_there_are() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let admin = cluster.control_plane.admin_kubeconfig().to_owned();
    let kubectl = async |args: &[&str]| {
        let output = cluster.control_plane.kubectl(&admin, args).await.unwrap();
        assert!(output.success(), "{args:?}: {}", output.stderr);
        output.stdout
    };
    let described = async |text: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let shown = kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
            if shown.split("Events:").nth(1).is_some_and(|events| events.contains(text)) {
                return shown;
            }
            assert!(Instant::now() < deadline, "no event says {text}:\n{shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let broken = MAP_ROLES.replacen("rolearn: arn", "role: arn", 1);
    cluster.write_aws_auth(&[("mapRoles", &broken), ("mapUsers", MAP_USERS)]).await;
    println!("{}", described("mapRoles, entry 1, line 1, column 3: has no rolearn").await);

    let second = Setup::new(&cluster.emulator, "  backendMode: [EKSConfigMap]\n")
        .arg("--kubeconfig", admin.to_str().unwrap())
        .start();
    second.wait_until_ready().await;
    cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS)]).await;
    described("all that was invalid is mended; 3 mappings are in force").await;

    let events = kubectl(&["get", "events", "-n", "kube-system", "-o", "json"]).await;
    let events: Value = serde_json::from_str(&events).unwrap();
    let reasons: Vec<&str> =
        events["items"].as_array().unwrap().iter().filter_map(|event| event["reason"].as_str()).collect();
    let count = |reason: &str| reasons.iter().filter(|other| **other == reason).count();
    assert_eq!((count("InvalidMapping"), count("MappingsMended")), (1, 1), "{reasons:?}");
    for server in [&cluster.server, &second] {
        assert!(server.metrics().await.contains("event_failures_total 0"), "{}", server.log_text());
    }

    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac/rbac.yaml");
    kubectl(&["apply", "-f", manifest.to_str().unwrap()]).await;
    let account = "--as=system:serviceaccount:kube-system:arngate";
    assert_eq!(kubectl(&["auth", "can-i", "create", "events", "-n", "kube-system", account]).await, "yes\n");
}
