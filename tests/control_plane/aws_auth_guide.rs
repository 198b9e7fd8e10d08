//! "Grant IAM users access to Kubernetes with a ConfigMap", the guide of Amazon EKS, command by command.
//! <https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html>
//!
//! eksctl's commands are arngate's of the same name. The cluster is told by the kubeconfig there, and not by `--cluster`
//! and `--region`.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::json;

use crate::{
    cluster::{Cluster, VERSIONS},
    edits::until,
    support::{ACCOUNT, REGION, arngate, text},
};

/// An instance of the node group, and its private DNS name.
const INSTANCE: (&str, &str) = ("i-0000000000000001a", "ip-10-0-0-1.ec2.internal");

/// The stock ConfigMap, as the guide has it downloaded.
const STOCK: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: aws-auth
  namespace: kube-system
data:
  mapRoles: |
    - rolearn: <ARN of instance role (not instance profile)>
      username: system:node:{{EC2PrivateDNSName}}
      groups:
        - system:bootstrappers
        - system:nodes
";

/// The groups of the EKS console's own manifests: all of the cluster to see, and one namespace of it.
const CONSOLE_GROUPS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: eks-console-dashboard-full-access-clusterrole}
rules:
- {apiGroups: ['', apps, batch], resources: [nodes, namespaces, pods, deployments, jobs], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: eks-console-dashboard-full-access-binding}
subjects: [{kind: Group, name: eks-console-dashboard-full-access-group, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: ClusterRole, name: eks-console-dashboard-full-access-clusterrole, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: eks-console-dashboard-restricted-access-role, namespace: default}
rules:
- {apiGroups: ['', apps], resources: [pods, deployments], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: eks-console-dashboard-restricted-access-role-binding, namespace: default}
subjects: [{kind: Group, name: eks-console-dashboard-restricted-access-group, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: Role, name: eks-console-dashboard-restricted-access-role, apiGroup: rbac.authorization.k8s.io}
";

/// The guide's example, put in by an editor in the place of `data`.
const DATA: &str = "data:
  mapRoles: |
    - groups:
      - system:bootstrappers
      - system:nodes
      rolearn: arn:aws:iam::111122223333:role/my-role
      username: system:node:{{EC2PrivateDNSName}}
    - groups:
      - eks-console-dashboard-full-access-group
      rolearn: arn:aws:iam::111122223333:role/my-console-viewer-role
      username: my-console-viewer-role
  mapUsers: |
    - groups:
      - system:masters
      userarn: arn:aws:iam::111122223333:user/admin
      username: admin
    - groups:
      - eks-console-dashboard-restricted-access-group
      userarn: arn:aws:iam::444455556666:user/my-user
      username: my-user
";

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_commands_in_order() {
    let cluster = Cluster::start_with(VERSIONS[0], |emulator, setup| {
        emulator.instances().add(INSTANCE.0, INSTANCE.1);
        let authenticator = emulator.principals().role(ACCOUNT, "Authenticator", "arngate");
        let setup = setup.arg("--ec2-connect-to", &emulator.address().to_string()).env("AWS_REGION", REGION);
        authenticator.env().iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    })
    .await;
    let plane = &cluster.control_plane;
    let kubeconfig = plane.admin_kubeconfig().to_owned();
    let in_plane = |mut command: Command| {
        let command = command.env("KUBECONFIG", &kubeconfig).current_dir(plane.directory());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output).1);
        text(&output)
    };
    let kubectl = async |args: &[&str]| {
        let output = plane.kubectl(&kubeconfig, args).await.unwrap();
        assert!(output.success(), "{args:?}: {}", output.stderr);
        output.stdout
    };
    let apply = async |text: &str| {
        let output = plane.kubectl_with_input(&kubeconfig, &["apply", "-f", "-"], text).await.unwrap();
        assert!(output.success(), "{}", output.stderr);
    };

    // Apply the stock ConfigMap, where there is none.
    kubectl(&["delete", "configmap", "-n", "kube-system", "aws-auth"]).await;
    let absent = plane
        .kubectl(&kubeconfig, &["describe", "configmap", "-n", "kube-system", "aws-auth"])
        .await
        .unwrap();
    assert!(absent.stderr.contains(r#"configmaps "aws-auth" not found"#), "{}", absent.stderr);
    let role = "arn:aws:iam::111122223333:role/my-node-instance-role";
    std::fs::write(plane.directory().join("aws-auth-cm.yaml"), STOCK).unwrap();
    let mut sed = Command::new("sed");
    let replaced = format!("s|<ARN of instance role (not instance profile)>|{role}|");
    sed.args(["-i.bak", "-e", &replaced, "aws-auth-cm.yaml"]);
    in_plane(sed);
    kubectl(&["apply", "-f", plane.directory().join("aws-auth-cm.yaml").to_str().unwrap()]).await;
    let described = kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
    assert!(described.contains(&format!("- rolearn: {role}")), "{described}");
    assert!(described.contains("Events:  <none>"), "the stock file has nothing wrong:\n{described}");

    // Watch the status of the nodes. The kubelet makes its node, and says that it is ready.
    let node = cluster.principals.role(ACCOUNT, "my-node-instance-role", INSTANCE.0);
    until(&cluster, &node, true, Instant::now()).await;
    let of_node = plane.kubeconfig_with_token(&cluster.fresh_token(&node)).unwrap();
    let object = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": INSTANCE.1},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let create = ["create", "--validate=false", "-f", "-"];
    let made = plane.kubectl_with_input(&of_node, &create, &object.to_string()).await.unwrap();
    assert!(made.success(), "{}", made.stderr);
    assert_eq!(first_lines_of_watch(&cluster), ["NAME", INSTANCE.1]);

    // Make sure that there are roles and bindings.
    apply(CONSOLE_GROUPS).await;
    for args in [
        &["get", "roles", "-A"][..],
        &["get", "clusterroles"],
        &["describe", "role", "eks-console-dashboard-restricted-access-role", "-n", "default"],
        &["describe", "clusterrole", "eks-console-dashboard-full-access-clusterrole"],
        &["get", "rolebindings", "-A"],
        &["get", "clusterrolebindings"],
        &["describe", "rolebinding", "eks-console-dashboard-restricted-access-role-binding", "-n", "default"],
        &["describe", "clusterrolebinding", "eks-console-dashboard-full-access-binding"],
    ] {
        assert!(kubectl(args).await.contains("eks-console-dashboard"), "{args:?}");
    }

    // Edit the ConfigMap with eksctl's commands.
    let eksctl = |args: &[&str]| {
        let mut command = arngate();
        command.args(args);
        in_plane(command)
    };
    let get = ["get", "iamidentitymapping"];
    let header = "ARN USERNAME GROUPS ACCOUNT";
    let of_nodes = format!("{role} system:node:{{{{EC2PrivateDNSName}}}} system:bootstrappers,system:nodes");
    assert_eq!(columns(&eksctl(&get).0), [header, &of_nodes]);
    let (my_role, my_user) =
        ("arn:aws:iam::111122223333:role/my-role", "arn:aws:iam::111122223333:user/my-user");
    let (full, restricted) =
        ("eks-console-dashboard-full-access-group", "eks-console-dashboard-restricted-access-group");
    for (arn, username, group) in [(my_role, "admin", full), (my_user, "my-user", restricted)] {
        let create = ["create", "iamidentitymapping", "--arn", arn, "--username", username, "--group", group];
        let (_, told) = eksctl(&[&create[..], &["--no-duplicate-arns"]].concat());
        assert!(told.contains(&format!("arn: {arn}\n")), "{told}");
    }
    assert_eq!(
        columns(&eksctl(&get).0),
        [header, &of_nodes, &format!("{my_role} admin {full}"), &format!("{my_user} my-user {restricted}")]
    );
    let role = cluster.principals.role(ACCOUNT, "my-role", "session");
    let user = cluster.principals.user(ACCOUNT, "my-user");
    until(&cluster, &user, true, Instant::now()).await;
    let can_i = async |credentials, args: &[&str]| {
        let kubeconfig = plane.kubeconfig_with_token(&cluster.fresh_token(credentials)).unwrap();
        plane.kubectl(&kubeconfig, &[&["auth", "can-i"], args].concat()).await.unwrap().stdout.trim() == "yes"
    };
    for (credentials, args, allowed) in [
        (&role, &["list", "nodes"][..], true),
        (&role, &["delete", "nodes"], false),
        (&user, &["list", "pods", "-n", "default"], true),
        (&user, &["list", "nodes"], false),
    ] {
        assert_eq!(can_i(credentials, args).await, allowed, "{args:?}");
    }

    // Edit the ConfigMap by hand. The editor puts the example in the place of what stands below `data`.
    let example = plane.directory().join("data.yaml");
    std::fs::write(&example, DATA).unwrap();
    let editor =
        format!("sed -i -e '/^data:/,/^kind:/{{/^kind:/!d}}' -e '/^apiVersion:/r {}'", example.display());
    let mut edit = Command::new(plane.assets().kubectl());
    edit.args(["edit", "-n", "kube-system", "configmap/aws-auth"]).env("KUBE_EDITOR", editor);
    in_plane(edit);

    let viewer = cluster.principals.role(ACCOUNT, "my-console-viewer-role", "session");
    let admin = cluster.principals.user(ACCOUNT, "admin");
    // From another account.
    let user = cluster.principals.user("444455556666", "my-user");
    until(&cluster, &user, true, Instant::now()).await;
    for (credentials, name) in [(&viewer, "my-console-viewer-role"), (&admin, "admin"), (&user, "my-user")] {
        let me = cluster.whoami(&cluster.fresh_token(credentials)).await.unwrap();
        assert_eq!(me["username"], name);
    }
    for (credentials, args, allowed) in [
        (&viewer, &["list", "pods", "-A"][..], true),
        (&viewer, &["list", "nodes"], true),
        (&viewer, &["delete", "pods", "-n", "default"], false),
        (&user, &["list", "pods", "-n", "default"], true),
        (&user, &["list", "pods", "-n", "kube-system"], false),
        (&user, &["list", "nodes"], false),
        (&admin, &["delete", "nodes"], true),
    ] {
        assert_eq!(can_i(credentials, args).await, allowed, "{args:?}");
    }
    let described = kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
    assert!(described.contains("userarn: arn:aws:iam::444455556666:user/my-user"), "{described}");
}

/// The lines of a table, with one blank between its columns.
fn columns(table: &str) -> Vec<String> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `kubectl get nodes --watch` until it has shown a node; the first word of each line.
fn first_lines_of_watch(cluster: &Cluster) -> Vec<String> {
    let plane = &cluster.control_plane;
    let mut watch = Command::new(plane.assets().kubectl())
        .args(["get", "nodes", "--watch"])
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().take(2);
    let words = lines.map(|line| line.unwrap().split_whitespace().next().unwrap().to_owned()).collect();
    // As Ctrl+C does.
    watch.kill().unwrap();
    watch.wait().unwrap();
    words
}
