//! Broken edits of aws-auth: the good users' access before, while it is broken, after a restart of arngate while the
//! API server does not answer, and after it is mended.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use arngate_lab::sts::Credentials;

use crate::{
    cluster::{Cluster, MAP_ROLES, MAP_USERS, VERSIONS},
    support::{ACCOUNT, token},
};

type Edit = (&'static str, Vec<(&'static str, String)>);

/// What people do to aws-auth. Each leaves the ARNs of the administrator's role and of bob in place.
fn edits() -> Vec<Edit> {
    let roles = |name, text: String| (name, vec![("mapRoles", text), ("mapUsers", MAP_USERS.to_owned())]);
    let users = |name, text: String| (name, vec![("mapRoles", MAP_ROLES.to_owned()), ("mapUsers", text)]);
    let added = |text: &str| format!("{MAP_ROLES}{text}");
    let developer = "- rolearn: arn:aws:iam::111122223333:role/Developer";
    let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb = format!("{bomb}- &a{level} [{before}]\n");
    }
    vec![
        roles("a tab", MAP_ROLES.replace("  username: developer", "\tusername: developer")),
        roles("an unclosed bracket", MAP_ROLES.replacen("\n  - system:masters", " [system:masters", 1)),
        roles("a map for a list", MAP_ROLES.replace("- rolearn", "  rolearn")),
        roles("a lost hyphen", MAP_ROLES.replace(developer, &developer.replace("- ", "  "))),
        roles(
            "an entry inside another",
            MAP_ROLES
                .replace(developer, &format!("  {developer}"))
                .replace("  username: developer", "    username: developer"),
        ),
        roles("rolearn misspelt", MAP_ROLES.replacen("rolearn", "role_arn", 1)),
        roles("a path", MAP_ROLES.replace("role/teams/platform/Admin", "role/another/path/Admin")),
        roles(
            "an instance profile's ARN beside",
            added("- rolearn: arn:aws:iam::111122223333:instance-profile/Nodes\n  username: n\n"),
        ),
        roles(
            "an IAM group's ARN beside",
            added("- rolearn: arn:aws:iam::111122223333:group/Admins\n  username: n\n"),
        ),
        roles(
            "the stock file's place for the ARN",
            added(
                "- rolearn: <ARN of instance role (not instance profile)>\n  username: system:node:{{EC2PrivateDNSName}}\n",
            ),
        ),
        roles("a bomb of anchors", bomb),
        roles("a mebibyte that is cut off", format!("{MAP_ROLES}# {}\n- rolearn: [", "x".repeat(900_000))),
        roles("two documents", format!("{MAP_ROLES}---\n{MAP_ROLES}")),
        users("userARN and Groups", MAP_USERS.replace("userarn", "userARN").replace("groups", "Groups")),
        users("one text for groups", MAP_USERS.replace("groups:\n  - developers", "groups: developers")),
        users("groups as a map", MAP_USERS.replace("  - developers", "    developers: true")),
        users("a username as a list", MAP_USERS.replace("username: bob", "username: [bob]")),
        users("a field twice", format!("{MAP_USERS}  username: root\n")),
        ("the key maproles", vec![("maproles", MAP_ROLES.to_owned()), ("mapUsers", MAP_USERS.to_owned())]),
        ("the key map_roles", vec![("map_roles", MAP_ROLES.to_owned()), ("mapUsers", MAP_USERS.to_owned())]),
        ("the key mapUser", vec![("mapRoles", MAP_ROLES.to_owned()), ("mapUser", MAP_USERS.to_owned())]),
    ]
}

/// Asks arngate itself, as an API server would that is told to come again, until there is a verdict.
async fn username(cluster: &Cluster, credentials: &Credentials) -> String {
    let token = token(credentials);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = cluster.server.review(&token).await;
        if answer.code == 200 || Instant::now() > deadline {
            return answer.body["status"]["user"]["username"].as_str().unwrap_or("-").to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn loads(cluster: &Cluster) -> usize {
    cluster.server.log_lines().iter().filter(|line| line["message"] == "aws-auth loaded").count()
}

async fn write(cluster: &Cluster, data: &[(&str, &str)]) {
    let before = loads(cluster);
    cluster.write_aws_auth(data).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while loads(cluster) == before {
        assert!(Instant::now() < deadline, "an edit is not seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends kube-apiserver a signal: STOP makes it as good as gone, with its port still open.
fn signal(cluster: &Cluster, name: &str) {
    let apiserver = cluster.control_plane.process_ids()[0].to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &apiserver]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_broken_edit_takes_access_before_during_and_after_nor_over_a_restart_without_the_api_server() {
    let mut cluster = Cluster::start(VERSIONS[1]).await;
    let admin = cluster.principals.role(ACCOUNT, "Admin", "alice");
    let bob = cluster.principals.user(ACCOUNT, "bob");
    let whoami = async |cluster: &Cluster| {
        let mut names = Vec::new();
        for credentials in [&admin, &bob] {
            let me = cluster.whoami(&cluster.fresh_token(credentials)).await;
            names.push(me.map_or_else(|words| words, |me| me["username"].as_str().unwrap().to_owned()));
        }
        names.join(" ")
    };
    let mut failed = Vec::new();
    println!(
        "{:<36} {:<18} {:<18} {:<26} {:<18}",
        "edit", "before", "during", "restart, API server away", "after"
    );
    for (name, data) in edits() {
        let before = whoami(&cluster).await;
        let data: Vec<(&str, &str)> = data.iter().map(|(key, text)| (*key, text.as_str())).collect();
        write(&cluster, &data).await;
        let during = whoami(&cluster).await;

        signal(&cluster, "STOP");
        tokio::task::block_in_place(|| cluster.server.restart());
        let alone = [username(&cluster, &admin).await, username(&cluster, &bob).await].join(" ");
        signal(&cluster, "CONT");

        cluster.server.wait_until_ready().await;
        write(&cluster, &[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS)]).await;
        let after = whoami(&cluster).await;
        println!("{name:<36} {before:<18} {during:<18} {alone:<26} {after:<18}");
        if [before, during, alone, after].iter().any(|names| names != "admin:alice bob") {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
