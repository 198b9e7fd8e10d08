//! `deploy/admission.yaml`: kubectl itself refuses a broken edit of aws-auth.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use arngate_lab::control_plane::Output;
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    cluster::{Cluster, MAP_ROLES, MAP_USERS, VERSIONS},
    support::ACCOUNT,
};

fn manifest(roles: &str) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\ndata:\n  mapRoles: |\n{}  mapUsers: |\n{}",
        indented(roles),
        indented(MAP_USERS)
    )
}

async fn apply(cluster: &Cluster, text: &str) -> Output {
    let admin = cluster.control_plane.admin_kubeconfig();
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    cluster.control_plane.kubectl_with_input(admin, &args, text).await.unwrap()
}

/// kube-apiserver takes a webhook configuration in within a moment.
async fn install(cluster: &Cluster) {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/admission.yaml")).unwrap();
    let bundle = STANDARD.encode(fs::read(cluster.server.path("state/cert.pem")).unwrap());
    let text = text
        .replace("https://localhost:21362/validate/aws-auth", &cluster.server.at("/validate/aws-auth"))
        .replace("caBundle: CA_BUNDLE", &format!("caBundle: {bundle}"));
    let output = apply(cluster, &text).await;
    assert!(output.success(), "{}", output.stderr);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !cluster.server.metrics().await.contains(r#"admission_reviews_total{verdict="allowed"}"#) {
        assert!(Instant::now() < deadline, "the webhook is not asked");
        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS), ("n", "1")]).await;
        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS)]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_refuses_a_broken_edit_and_says_what_is_wrong() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let bob = cluster.principals.user(ACCOUNT, "bob");
    install(&cluster).await;
    let developer = "- rolearn: arn:aws:iam::111122223333:role/Developer";
    for (name, roles, told) in [
        (
            "a tab",
            MAP_ROLES.replace("  username: developer", "\tusername: developer"),
            "cannot be read as YAML (a tab in the indentation)",
        ),
        (
            "an unclosed bracket",
            MAP_ROLES.replacen("\n  - system:masters", " [system:masters", 1),
            "cannot be read as YAML",
        ),
        ("a map for a list", MAP_ROLES.replace("- rolearn", "  rolearn"), "mapRoles"),
        (
            "a lost hyphen",
            MAP_ROLES.replace(developer, &developer.replace("- ", "  ")),
            "two entries have become one",
        ),
        (
            "an instance profile",
            format!("{MAP_ROLES}- rolearn: arn:aws:iam::111122223333:instance-profile/N\n  username: n\n"),
            "an instance profile is not a principal",
        ),
    ] {
        let output = apply(&cluster, &manifest(&roles)).await;
        println!("{name}:\n{}", output.stderr);
        assert!(!output.success(), "{name} is not refused");
        assert!(output.stderr.contains(told), "{name}: {}", output.stderr);
    }
    assert_eq!(cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap()["username"], "bob");

    let without_masters = MAP_ROLES.replace("system:masters", "viewers");
    let output = apply(&cluster, &manifest(&without_masters)).await;
    assert!(output.success(), "{}", output.stderr);
    println!("the last administrator:\n{}", output.stderr);
    assert!(output.stderr.contains("Warning: the last mapping to system:masters goes"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arngate_that_is_away_keeps_nobody_from_editing() {
    let mut cluster = Cluster::start(VERSIONS[0]).await;
    install(&cluster).await;
    cluster.server.signal("TERM");
    assert!(tokio::task::block_in_place(|| cluster.server.wait()).success());
    let output = apply(&cluster, &manifest(MAP_ROLES)).await;
    assert!(output.success(), "{}", output.stderr);
}
