//! Instances become nodes: each is the node of its own private DNS name, and may touch no other.

use std::time::Duration;

use arngate_lab::{
    control_plane::{ControlPlane, Output, Webhook},
    sts::Emulator,
};
use serde_json::{Value, json};

use crate::{
    cluster::VERSIONS,
    support::{self, ACCOUNT, CLUSTER_ID, Server, Setup, token},
    theirs::Theirs,
};

/// As the documentation of aws-iam-authenticator has it for nodes.
const NODES: &str = "  mapRoles:
  - rolearn: arn:aws:iam::111122223333:role/Node
    username: system:node:{{EC2PrivateDNSName}}
    groups: [system:bootstrappers, system:nodes]
";

const ONE: (&str, &str) = ("i-0000000000000001a", "ip-10-0-0-1.ec2.internal");
const TWO: (&str, &str) = ("i-0000002b", "ip-10-0-0-2.ec2.internal");

fn with_instances(emulator: &Emulator) {
    for (id, name) in [ONE, TWO] {
        emulator.instances().add(id, name);
    }
}

fn ours(emulator: &Emulator) -> Server {
    let authenticator = emulator.principals().role(ACCOUNT, "Authenticator", "ours");
    let setup = Setup::new(emulator, NODES)
        .arg("--ec2-connect-to", &emulator.address().to_string())
        .env("AWS_REGION", "us-east-1");
    authenticator.env().iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
}

fn node(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_registers_its_own_node_and_touches_no_other() {
    let (emulator, principals) = support::emulator().await;
    with_instances(&emulator);
    let server = ours(&emulator);
    let webhook = Webhook {
        kubeconfig: server.path("webhook.kubeconfig"),
        version: VERSIONS[0],
        cache_ttl: Duration::ZERO,
    };
    let mut plane = ControlPlane::builder().prepare().unwrap();
    plane.set_webhook(Some(webhook));
    plane.start().await.unwrap();

    let kubeconfig = |session: &str| {
        plane.kubeconfig_with_token(&token(&principals.role(ACCOUNT, "Node", session))).unwrap()
    };
    let (one, two) = (kubeconfig(ONE.0), kubeconfig(TWO.0));
    let refused = |output: Output| {
        assert!(
            !output.success() && output.stderr.contains("orbidden"),
            "{} {}",
            output.stdout,
            output.stderr
        );
        output.stderr
    };
    let whoami = plane.kubectl(&one, &["auth", "whoami", "-o", "json"]).await.unwrap();
    let whoami: Value = serde_json::from_str(&whoami.stdout).unwrap();
    let user = &whoami["status"]["userInfo"];
    assert_eq!(user["username"], format!("system:node:{}", ONE.1));
    assert_eq!(user["groups"], json!(["system:bootstrappers", "system:nodes", "system:authenticated"]));

    let create = ["create", "--validate=false", "-f", "-"];
    for (kubeconfig, name) in [(&one, ONE.1), (&two, TWO.1)] {
        let output = plane.kubectl_with_input(kubeconfig, &create, &node(name)).await.unwrap();
        assert!(output.success(), "{}", output.stderr);
    }
    let label = async |kubeconfig, name| {
        let patch = r#"{"metadata": {"labels": {"seen": "yes"}}}"#;
        plane.kubectl(kubeconfig, &["patch", "node", name, "-p", patch]).await.unwrap()
    };
    let own = label(&one, ONE.1).await;
    assert!(own.success(), "{}", own.stderr);
    let others = refused(label(&one, TWO.1).await);
    println!("{}", others.trim());
    refused(plane.kubectl(&one, &["delete", "node", TWO.1]).await.unwrap());
    // The authorizer lets a node make and change nodes; that they are its own, NodeRestriction sees to.
    let url = format!("/api/v1/nodes/{}", TWO.1);
    let replace = ["replace", "--raw", &url, "-f", "-"];
    for output in [
        plane.kubectl_with_input(&one, &create, &node("ip-10-0-0-3.ec2.internal")).await.unwrap(),
        plane.kubectl_with_input(&one, &replace, &node(TWO.1)).await.unwrap(),
    ] {
        let why = refused(output);
        assert!(why.contains(&format!("node \"{}\" is not allowed to modify node", ONE.1)), "{why}");
    }

    let admin = plane.admin_kubeconfig().to_owned();
    let nodes = plane.kubectl(&admin, &["get", "nodes", "-o", "name"]).await.unwrap();
    assert_eq!(nodes.stdout.lines().collect::<Vec<_>>(), [ONE.1, TWO.1].map(|name| format!("node/{name}")));
    // Whoever names a session of the role otherwise, or after an instance that there is not, is nobody.
    for session in ["alice", "i-0000000000000009a"] {
        let output = plane.kubectl(&kubeconfig(session), &["auth", "whoami"]).await.unwrap();
        assert!(!output.success(), "{}", output.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_program_gives_an_instance_the_same_name() {
    let (emulator, principals) = support::emulator().await;
    with_instances(&emulator);
    let plane = ControlPlane::builder().prepare().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!("clusterID: {CLUSTER_ID}\nserver:\n{NODES}");
    let admin = plane.admin_kubeconfig().to_owned();
    let theirs = Theirs::start(&plane, &emulator, &config, folder.path(), &admin, 0);
    let ours = ours(&emulator);
    let mut users = Vec::new();
    for session in [ONE.0, TWO.0, "i-0000000000000009a", "i-zzzzzzzz", "alice"] {
        let token = token(&principals.role(ACCOUNT, "Node", session));
        let user =
            |body: &Value| (body["status"]["authenticated"] == true).then(|| body["status"]["user"].clone());
        let (they, we) = (user(&theirs.review(&token).await), user(&ours.review(&token).await.body));
        let username = |user: &Option<Value>| user.as_ref().map(|user| user["username"].clone());
        println!("| {session} | {:?} | {:?} |", username(&they), username(&we));
        assert_eq!(they, we, "{session}");
        users.push(we.map(|user| user["username"].as_str().unwrap().to_owned()));
    }
    let name = |name: &str| Some(format!("system:node:{name}"));
    assert_eq!(users, [name(ONE.1), name(TWO.1), None, None, None]);
}
