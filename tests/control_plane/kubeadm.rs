//! deploy/kubeadm, with the real kubeadm.

use std::{fs, path::Path, process::Command};

use arngate::yaml::{self, Limits, Node, Value};
use arngate_lab::control_plane::{Assets, ControlPlane};

use crate::manifests::deploy;

/// What kube-apiserver must be started with, of the manifests' own webhook kubeconfig.
const FLAGS: [&str; 2] = [
    "--authentication-token-webhook-config-file=/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml",
    "--authentication-token-webhook-version=v1",
];
const VOLUME: &str = "/etc/kubernetes/aws-iam-authenticator";

const INIT: &str = "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.0.2.1, bindPort: 6443}
nodeRegistration: {name: node, criSocket: unix:///run/containerd/containerd.sock}
";

/// Runs kubeadm, which must succeed; what it says.
fn kubeadm(program: &Path, args: &[&str], dry_run: &Path) -> String {
    let output = Command::new(program).args(args).env("KUBEADM_INIT_DRYRUN_DIR", dry_run).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; make assets builds it", program.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// kube-apiserver's static pod, as kubeadm makes it by this configuration.
fn kube_apiserver(program: &Path, config: &str) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeadm.yaml");
    fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();
    kubeadm(program, &["config", "validate", "--config", file], folder.path());
    let args = ["init", "phase", "control-plane", "apiserver", "--dry-run", "--config", file];
    kubeadm(program, &args, folder.path());
    let manifest = fs::read_to_string(folder.path().join("kube-apiserver.yaml")).unwrap();
    yaml::parse(&manifest, Limits::default()).unwrap().unwrap()
}

fn list<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    let found = path.iter().try_fold(node, |node, key| node.get(key));
    match found.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items,
        other => panic!("no list at {path:?} but {other:?}"),
    }
}

fn assert_asks_arngate(pod: &Node) {
    let container = &list(pod, &["spec", "containers"])[0];
    let command: Vec<&str> = list(container, &["command"]).iter().filter_map(Node::as_str).collect();
    for flag in FLAGS {
        assert!(command.contains(&flag), "{flag} is not in {command:?}");
    }
    let mount = list(container, &["volumeMounts"])
        .iter()
        .find(|mount| mount.get("mountPath").and_then(Node::as_str) == Some(VOLUME))
        .expect("the kubeconfig's folder is mounted");
    let name = mount.get("name").and_then(Node::as_str);
    let volume = list(pod, &["spec", "volumes"])
        .iter()
        .find(|volume| volume.get("name").and_then(Node::as_str) == name)
        .and_then(|volume| volume.get("hostPath")?.get("path")?.as_str());
    assert_eq!(volume, Some(VOLUME), "where arngate's own pods have it on the node");
}

#[test]
fn kubeadm_starts_kube_apiserver_with_the_webhook() {
    let program = Assets::locate().unwrap().kubeadm();
    let configured = fs::read_to_string(deploy("kubeadm/cluster-configuration.yaml")).unwrap();
    let configured = format!("{INIT}---\n{configured}kubernetesVersion: v1.36.3\n");
    assert_asks_arngate(&kube_apiserver(&program, &configured));

    let patches = deploy("kubeadm/patches");
    let configuration = format!(
        "{INIT}patches: {{directory: {}}}\n---\napiVersion: kubeadm.k8s.io/v1beta4\n\
         kind: ClusterConfiguration\nkubernetesVersion: v1.36.3\n",
        patches.display()
    );
    assert_asks_arngate(&kube_apiserver(&program, &configuration));
}

/// What other installers are given is YAML, and says the same: the flags in the form that each has, and a file of the name
/// that kube-apiserver is told.
#[test]
fn other_installers_files_say_the_same() {
    for (file, flag) in [
        ("cluster-api/control-plane.yaml", "name: {0}\n            value: {1}"),
        ("k3s/arngate.yaml", "- {0}={1}"),
        ("talos/controlplane.yaml", "{0}: {1}"),
    ] {
        let text = fs::read_to_string(deploy(file)).unwrap();
        yaml::parse(&text, Limits::default()).unwrap().unwrap();
        let webhook = if file.starts_with("talos") { "/var/lib/arngate/webhook" } else { VOLUME };
        let kubeconfig = format!("{webhook}/kubeconfig.yaml");
        for (name, value) in [
            ("authentication-token-webhook-config-file", kubeconfig.as_str()),
            ("authentication-token-webhook-version", "v1"),
        ] {
            let wanted = flag.replace("{0}", name).replace("{1}", value);
            assert!(text.contains(&wanted), "{file} does not say {wanted}");
        }
    }
    let kops = fs::read_to_string(deploy("kops/cluster.yaml")).unwrap();
    yaml::parse(&kops, Limits::default()).unwrap().unwrap();
}

/// A kubeconfig of a client certificate, as deploy/README.md has people make it on a control-plane node.
pub(crate) fn kubeconfig_of(plane: &ControlPlane, user: &str) -> String {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    fs::copy(plane.ca_file(), path("ca.crt")).unwrap();
    fs::copy(plane.ca_key_file(), path("ca.key")).unwrap();
    let config = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: {}\n\
         controlPlaneEndpoint: {}\nkubernetesVersion: v1.36.3\n",
        files.path().display(),
        plane.url().trim_start_matches("https://"),
    );
    fs::write(path("kubeadm.yaml"), config).unwrap();
    let config = path("kubeadm.yaml");
    let client = format!("--client-name={user}");
    let args = ["kubeconfig", "user", &client, "--config", config.to_str().unwrap()];
    kubeadm(&plane.assets().kubeadm(), &args, files.path())
}
