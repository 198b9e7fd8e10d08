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

use arngate_lab::{control_plane::ControlPlane, sts::Credentials};
use serde_json::json;

use crate::{
    cluster::{Cluster, VERSIONS},
    edits::until,
    support::{ACCOUNT, REGION, arngate, text},
};

const NODE_ROLE: &str = "arn:aws:iam::111122223333:role/my-node-instance-role";
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
    let guide = Guide(cluster);
    guide.apply_the_stock_config_map().await;
    guide.watch_the_nodes().await;
    guide.see_roles_and_bindings().await;
    guide.edit_with_eksctls_commands().await;
    guide.edit_by_hand().await;
}

/// Its steps, on this cluster.
struct Guide(Cluster);

impl Guide {
    async fn apply_the_stock_config_map(&self) {
        self.kubectl(&["delete", "configmap", "-n", "kube-system", "aws-auth"]).await;
        let absent = self
            .plane()
            .kubectl(
                self.plane().admin_kubeconfig(),
                &["describe", "configmap", "-n", "kube-system", "aws-auth"],
            )
            .await
            .unwrap();
        assert!(absent.stderr.contains(r#"configmaps "aws-auth" not found"#), "{}", absent.stderr);
        std::fs::write(self.plane().directory().join("aws-auth-cm.yaml"), STOCK).unwrap();
        let mut sed = Command::new("sed");
        let replaced = format!("s|<ARN of instance role (not instance profile)>|{NODE_ROLE}|");
        sed.args(["-i.bak", "-e", &replaced, "aws-auth-cm.yaml"]);
        self.run(sed);
        self.kubectl(&["apply", "-f", self.plane().directory().join("aws-auth-cm.yaml").to_str().unwrap()])
            .await;
        let described = self.kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
        assert!(described.contains(&format!("- rolearn: {NODE_ROLE}")), "{described}");
        assert!(described.contains("Events:  <none>"), "the stock file has nothing wrong:\n{described}");
    }

    /// The kubelet makes its node, and says that it is ready.
    async fn watch_the_nodes(&self) {
        let node = self.0.principals.role(ACCOUNT, "my-node-instance-role", INSTANCE.0);
        until(&self.0, &node, true, Instant::now()).await;
        let of_node = self.plane().kubeconfig_with_token(&self.0.fresh_token(&node)).unwrap();
        let object = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": INSTANCE.1},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let create = ["create", "--validate=false", "-f", "-"];
        let made = self.plane().kubectl_with_input(&of_node, &create, &object.to_string()).await.unwrap();
        assert!(made.success(), "{}", made.stderr);
        assert_eq!(self.first_of_watch(), ["NAME STATUS", &format!("{} Ready", INSTANCE.1)]);
    }

    async fn see_roles_and_bindings(&self) {
        let plane = self.plane();
        let applied =
            plane.kubectl_with_input(plane.admin_kubeconfig(), &["apply", "-f", "-"], CONSOLE_GROUPS).await;
        assert!(applied.unwrap().success());
        for args in [
            &["get", "roles", "-A"][..],
            &["get", "clusterroles"],
            &["describe", "role", "eks-console-dashboard-restricted-access-role", "-n", "default"],
            &["describe", "clusterrole", "eks-console-dashboard-full-access-clusterrole"],
            &["get", "rolebindings", "-A"],
            &["get", "clusterrolebindings"],
            &[
                "describe",
                "rolebinding",
                "eks-console-dashboard-restricted-access-role-binding",
                "-n",
                "default",
            ],
            &["describe", "clusterrolebinding", "eks-console-dashboard-full-access-binding"],
        ] {
            assert!(self.kubectl(args).await.contains("eks-console-dashboard"), "{args:?}");
        }
    }

    async fn edit_with_eksctls_commands(&self) {
        let get = ["get", "iamidentitymapping"];
        let header = "ARN USERNAME GROUPS ACCOUNT";
        let of_nodes =
            format!("{NODE_ROLE} system:node:{{{{EC2PrivateDNSName}}}} system:bootstrappers,system:nodes");
        assert_eq!(columns(&self.eksctl(&get).0), [header, &of_nodes]);
        // Another cluster's name must not lead to this one's being edited.
        let of_eks =
            arngate().args(get).args(["--cluster", "my-cluster", "--region=us-east-1"]).output().unwrap();
        assert_eq!(of_eks.status.code(), Some(2));
        assert!(
            text(&of_eks).1.contains("the cluster is the one that kubectl would reach"),
            "{}",
            text(&of_eks).1
        );
        let (my_role, my_user) =
            ("arn:aws:iam::111122223333:role/my-role", "arn:aws:iam::111122223333:user/my-user");
        let (full, restricted) =
            ("eks-console-dashboard-full-access-group", "eks-console-dashboard-restricted-access-group");
        for (arn, username, group) in [(my_role, "admin", full), (my_user, "my-user", restricted)] {
            let create =
                ["create", "iamidentitymapping", "--arn", arn, "--username", username, "--group", group];
            let (_, told) = self.eksctl(&[&create[..], &["--no-duplicate-arns"]].concat());
            assert!(told.contains(&format!("arn: {arn}\n")), "{told}");
        }
        assert_eq!(
            columns(&self.eksctl(&get).0),
            [
                header,
                &of_nodes,
                &format!("{my_role} admin {full}"),
                &format!("{my_user} my-user {restricted}")
            ]
        );
        let role = self.0.principals.role(ACCOUNT, "my-role", "session");
        let user = self.0.principals.user(ACCOUNT, "my-user");
        until(&self.0, &user, true, Instant::now()).await;
        for (credentials, args, allowed) in [
            (&role, &["list", "nodes"][..], true),
            (&role, &["delete", "nodes"], false),
            (&user, &["list", "pods", "-n", "default"], true),
            (&user, &["list", "nodes"], false),
        ] {
            assert_eq!(self.can_i(credentials, args).await, allowed, "{args:?}");
        }
    }

    /// The editor puts the example in the place of what stands below `data`.
    async fn edit_by_hand(&self) {
        let example = self.plane().directory().join("data.yaml");
        std::fs::write(&example, DATA).unwrap();
        let editor =
            format!("sed -i -e '/^data:/,/^kind:/{{/^kind:/!d}}' -e '/^apiVersion:/r {}'", example.display());
        let mut edit = Command::new(self.plane().assets().kubectl());
        edit.args(["edit", "-n", "kube-system", "configmap/aws-auth"]).env("KUBE_EDITOR", editor);
        self.run(edit);

        let viewer = self.0.principals.role(ACCOUNT, "my-console-viewer-role", "session");
        let admin = self.0.principals.user(ACCOUNT, "admin");
        // From another account.
        let user = self.0.principals.user("444455556666", "my-user");
        until(&self.0, &user, true, Instant::now()).await;
        for (credentials, name) in
            [(&viewer, "my-console-viewer-role"), (&admin, "admin"), (&user, "my-user")]
        {
            let me = self.0.whoami(&self.0.fresh_token(credentials)).await.unwrap();
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
            assert_eq!(self.can_i(credentials, args).await, allowed, "{args:?}");
        }
        let described = self.kubectl(&["describe", "-n", "kube-system", "configmap/aws-auth"]).await;
        assert!(described.contains("userarn: arn:aws:iam::444455556666:user/my-user"), "{described}");
    }

    fn plane(&self) -> &ControlPlane {
        &self.0.control_plane
    }

    /// Runs a command that has to succeed; what it writes.
    fn run(&self, mut command: Command) -> (String, String) {
        let kubeconfig = self.plane().admin_kubeconfig();
        let command = command.env("KUBECONFIG", kubeconfig).current_dir(self.plane().directory());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output).1);
        text(&output)
    }

    /// Runs arngate in the place of eksctl.
    fn eksctl(&self, args: &[&str]) -> (String, String) {
        let mut command = arngate();
        command.args(args);
        self.run(command)
    }

    async fn kubectl(&self, args: &[&str]) -> String {
        let output = self.plane().kubectl(self.plane().admin_kubeconfig(), args).await.unwrap();
        assert!(output.success(), "{args:?}: {}", output.stderr);
        output.stdout
    }

    async fn can_i(&self, credentials: &Credentials, args: &[&str]) -> bool {
        let kubeconfig = self.plane().kubeconfig_with_token(&self.0.fresh_token(credentials)).unwrap();
        let output = self.plane().kubectl(&kubeconfig, &[&["auth", "can-i"], args].concat()).await.unwrap();
        output.stdout.trim() == "yes"
    }

    /// `kubectl get nodes --watch` until it has shown a node; the first two words of each line.
    fn first_of_watch(&self) -> Vec<String> {
        let mut watch = Command::new(self.plane().assets().kubectl())
            .args(["get", "nodes", "--watch", "--request-timeout=30s"])
            .env("KUBECONFIG", self.plane().admin_kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines().take(2);
        let words = |line: String| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let shown = lines.map(|line| words(line.unwrap())).collect();
        // As Ctrl+C does.
        watch.kill().unwrap();
        watch.wait().unwrap();
        shown
    }
}

/// The lines of a table, with one blank between its columns.
fn columns(table: &str) -> Vec<String> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
