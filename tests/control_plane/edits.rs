//! An edit of aws-auth takes effect, and the time that it takes is printed.

use std::time::{Duration, Instant};

use arngate_lab::sts::Credentials;
use serde_json::Value;

use crate::{
    cluster::{Cluster, MAP_ROLES, MAP_USERS, VERSIONS},
    support::{ACCOUNT, token},
};

const CAROL: &str =
    "- userarn: arn:aws:iam::111122223333:user/carol\n  username: carol\n  groups: [developers]\n";

/// Asks arngate until it lets `credentials` in, or does not any more; the time since `written`.
pub(crate) async fn until(
    cluster: &Cluster,
    credentials: &Credentials,
    let_in: bool,
    written: Instant,
) -> Duration {
    let token = token(credentials);
    let client = cluster.server.client();
    let review = serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    loop {
        let answer = crate::support::post(&client, &cluster.server.url, &review).await;
        if answer.body["status"]["authenticated"] == Value::Bool(let_in) {
            return written.elapsed();
        }
        assert!(written.elapsed() < Duration::from_secs(20), "no effect: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_takes_effect_within_a_second() {
    let cluster = Cluster::start(VERSIONS[1]).await;
    let carol = cluster.principals.user(ACCOUNT, "carol");
    assert!(cluster.whoami(&cluster.fresh_token(&carol)).await.is_err());
    let mut times = Vec::new();
    for _ in 0..5 {
        let with_carol = format!("{MAP_USERS}{CAROL}");
        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", &with_carol)]).await;
        times.push(until(&cluster, &carol, true, Instant::now()).await);
        assert_eq!(cluster.whoami(&cluster.fresh_token(&carol)).await.unwrap()["username"], "carol");

        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS)]).await;
        times.push(until(&cluster, &carol, false, Instant::now()).await);
        assert!(
            cluster.whoami(&cluster.fresh_token(&carol)).await.is_err(),
            "removed access is gone at once"
        );
    }
    println!("from the write's answer to its effect: {times:.1?}");
    assert!(times.iter().all(|time| *time < Duration::from_secs(1)), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_edit_takes_nobodys_access_and_is_told() {
    let cluster = Cluster::start(VERSIONS[1]).await;
    let admin = cluster.principals.role(ACCOUNT, "Admin", "alice");
    let bob = cluster.principals.user(ACCOUNT, "bob");
    for (name, roles, told) in [
        ("a tab", MAP_ROLES.replace("  username: developer", "\tusername: developer"), "tab"),
        (
            "an unclosed bracket",
            MAP_ROLES.replacen("\n  - system:masters", " [system:masters", 1),
            "cannot be read",
        ),
        ("a map where a list belongs", MAP_ROLES.replace("- rolearn", "  rolearn"), "mapRoles"),
        ("an entry without ARN", MAP_ROLES.replacen("rolearn: arn", "role: arn", 1), "has no rolearn"),
    ] {
        let before = cluster.server.log_lines().len();
        write_and_wait(&cluster, &roles).await;
        let lines = cluster.server.log_lines();
        assert!(
            lines[before..].iter().any(|line| line["diagnostic"].to_string().contains(told)),
            "{name}: {lines:#?}"
        );
        if name != "an entry without ARN" {
            assert_eq!(
                cluster.whoami(&cluster.fresh_token(&admin)).await.unwrap()["username"],
                "admin:alice",
                "{name}"
            );
        }
        assert_eq!(cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap()["username"], "bob", "{name}");
        write_and_wait(&cluster, MAP_ROLES).await;
        until(&cluster, &admin, true, Instant::now()).await;
    }
}

/// Writes aws-auth, and waits until arngate has taken that in.
async fn write_and_wait(cluster: &Cluster, roles: &str) {
    let loads =
        || cluster.server.log_lines().iter().filter(|line| line["message"] == "aws-auth loaded").count();
    let before = loads();
    cluster.write_aws_auth(&[("mapRoles", roles), ("mapUsers", MAP_USERS)]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while loads() == before {
        assert!(Instant::now() < deadline, "not seen: {roles}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_aws_auth_empties_the_index_and_making_it_anew_fills_it() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let bob = cluster.principals.user(ACCOUNT, "bob");
    assert!(cluster.whoami(&cluster.fresh_token(&bob)).await.is_ok());
    cluster.api().await.delete("aws-auth", &kube::api::DeleteParams::default()).await.unwrap();
    until(&cluster, &bob, false, Instant::now()).await;
    let ready = cluster.server.client().get(cluster.server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200, "that there is none is loaded too");
    cluster.write_aws_auth(&[("mapUsers", MAP_USERS)]).await;
    until(&cluster, &bob, true, Instant::now()).await;
}
