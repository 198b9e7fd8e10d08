//! "Grant IAM users access to Kubernetes with a ConfigMap", the guide of Amazon EKS, command by command.
//! <https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html>
//!
//! eksctl's own commands and the nodes' names need what is not there yet.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    cluster::{Cluster, VERSIONS},
    edits::until,
    support::ACCOUNT,
};

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
    let cluster = Cluster::start(VERSIONS[0]).await;
    let plane = &cluster.control_plane;
    let kubeconfig = plane.admin_kubeconfig().to_owned();
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
    apply(&STOCK.replace("<ARN of instance role (not instance profile)>", role)).await;
    let described = kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
    assert!(described.contains(&format!("- rolearn: {role}")), "{described}");
    assert!(described.contains("Events:  <none>"), "the stock file has nothing wrong:\n{described}");

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

    // Edit the ConfigMap. The editor puts the example in the place of what stands below `data`.
    let example = plane.directory().join("data.yaml");
    std::fs::write(&example, DATA).unwrap();
    let editor =
        format!("sed -i -e '/^data:/,/^kind:/{{/^kind:/!d}}' -e '/^apiVersion:/r {}'", example.display());
    let edited = Command::new(plane.assets().kubectl())
        .args(["edit", "-n", "kube-system", "configmap/aws-auth"])
        .env("KUBECONFIG", &kubeconfig)
        .env("KUBE_EDITOR", editor)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));

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
        let kubeconfig = plane.kubeconfig_with_token(&cluster.fresh_token(credentials)).unwrap();
        let args = [&["auth", "can-i"], args].concat();
        let output = plane.kubectl(&kubeconfig, &args).await.unwrap();
        assert_eq!(output.stdout.trim() == "yes", allowed, "{args:?}: {}{}", output.stdout, output.stderr);
    }
    let described = kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
    assert!(described.contains("userarn: arn:aws:iam::444455556666:user/my-user"), "{described}");
}
