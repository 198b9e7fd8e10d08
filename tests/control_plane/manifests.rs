//! Every manifest of deploy/ is one that a real API server takes, and every pod in them is one that works: it is run
//! as a kubelet would, by its own command line, user, files and service account.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use arngate_lab::{
    control_plane::{ControlPlane, Webhook, WebhookVersion},
    sts::Credentials,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    crd::{apply, install_the_kind, kubectl, until},
    kubeadm::kubeconfig_of,
    pods::{Node, Running},
    support::{self, ACCOUNT, token_for},
};

/// The cluster ID of base/config.yaml.
pub(crate) const CLUSTER_ID: &str = "my-cluster.example.com";

/// A token for it.
pub(crate) fn token(credentials: &Credentials) -> String {
    token_for(credentials, CLUSTER_ID, jiff::Timestamp::now())
}

/// A file or folder below deploy/.
pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The same, as kubectl's argument.
pub(crate) fn folder(name: &str) -> String {
    deploy(name).display().to_string()
}

/// YAML that is no object of the API server's; each is looked at elsewhere.
const NOT_OBJECTS: [&str; 12] = [
    // tests/examples.rs reads it.
    "base/config.yaml",
    // `kubeadm_starts_kube_apiserver_with_the_webhook` has kubeadm read them.
    "kubeadm/cluster-configuration.yaml",
    "kubeadm/patches/kube-apiserver0+json.yaml",
    // `helm` has helm read them.
    "helm/arngate/Chart.yaml",
    "helm/arngate/values.yaml",
    // Of other API servers, and of none; they are held against the flags that kubeadm's are.
    "cluster-api/control-plane.yaml",
    "k3s/arngate.yaml",
    "kops/cluster.yaml",
    "talos/controlplane.yaml",
    // tests/monitoring.rs has Prometheus and promtool read them.
    "monitoring/rules.test.yaml",
    "monitoring/rules.yaml",
    "monitoring/scrape.yaml",
];

/// All YAML files below `folder`, by their path from deploy/.
fn yaml_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() || path.ends_with("helm/arngate/templates") {
            // The chart's are other folders' files and texts that YAML comes of: `helm` looks at those.
        } else if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path.strip_prefix(deploy("")).unwrap().to_str().unwrap().to_owned());
        }
    }
    files
}

/// The folders that are kustomizations, by their path from deploy/.
fn kustomizations() -> Vec<String> {
    let files = yaml_files(&deploy(""));
    files.iter().filter_map(|file| file.strip_suffix("/kustomization.yaml")).map(str::to_owned).collect()
}

/// The files that a kustomization takes in.
fn taken_in(folder: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(deploy(folder).join("kustomization.yaml")).unwrap();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    names.map(|name| format!("{folder}/{name}")).filter(|name| deploy(name).is_file()).collect()
}

/// Applies `manifest` without effect, as the API server would with it; the objects as it would have them.
pub(crate) async fn dry_run(plane: &ControlPlane, name: &str, manifest: &str) -> Vec<Value> {
    let args = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"];
    let output = plane.kubectl_with_input(plane.admin_kubeconfig(), &args, manifest).await.unwrap();
    assert!(output.success(), "{name}: {}", output.stderr);
    assert!(!output.stderr.contains("Warning"), "{name}: {}", output.stderr);
    let applied: Value = serde_json::from_str(&output.stdout).unwrap();
    match applied["items"].as_array() {
        Some(objects) => objects.clone(),
        None => vec![applied],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_manifest() {
    let plane = ControlPlane::builder().start().await.unwrap();
    let mut seen: BTreeSet<String> = NOT_OBJECTS.map(str::to_owned).into();
    for folder in kustomizations() {
        let rendered = kubectl(&plane, &["kustomize", &self::folder(&folder)]).await;
        let objects = dry_run(&plane, &folder, &rendered).await;
        let names: Vec<String> = objects
            .iter()
            .map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]))
            .collect();
        println!("{folder}: {}", names.join(", ").replace('"', ""));
        seen.extend(taken_in(&folder));
        seen.insert(format!("{folder}/kustomization.yaml"));
    }
    // A certificate of anybody's: the API server wants one.
    let authority = STANDARD.encode(fs::read(plane.ca_file()).unwrap());
    for file in ["static-pod/arngate.yaml", "admission.yaml"] {
        let text = fs::read_to_string(deploy(file)).unwrap().replace("CA_BUNDLE", &authority);
        dry_run(&plane, file, &text).await;
        seen.insert(file.to_owned());
    }
    let all: BTreeSet<String> = yaml_files(&deploy("")).into_iter().collect();
    assert_eq!(all, seen, "every YAML file is applied here, or looked at elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_example_of_mappings() {
    let plane = ControlPlane::builder().start().await.unwrap();
    install_the_kind(&plane).await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for name in ["aws-auth.yaml", "aws-auth-eks.yaml", "aws-auth-teams.yaml", "identity-mappings.yaml"] {
        let text = fs::read_to_string(config.join(name)).unwrap();
        // Without effect there is no namespace for what is to be in it.
        let text = text
            .replace("namespace: payments", "namespace: default")
            .replace("namespace: shipping", "namespace: default");
        let objects = dry_run(&plane, name, &text).await;
        println!("{name}: {} objects", objects.len());
    }
}

/// The pod template of a workload, or the pod itself.
pub(crate) fn pod_spec(object: &Value) -> &Value {
    let template = &object["spec"]["template"]["spec"];
    if template.is_null() { &object["spec"] } else { template }
}

pub(crate) fn of_kind<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// An API server whose aws-auth maps the user bob.
pub(crate) async fn plane_with_bob() -> ControlPlane {
    let plane = ControlPlane::builder().start().await.unwrap();
    let aws_auth = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapUsers": format!("- userarn: arn:aws:iam::{ACCOUNT}:user/bob\n  username: bob\n")},
    });
    apply(&plane, &aws_auth).await;
    plane
}

/// The objects of a kustomization, as the API server would have them; then gives arngate its rights.
async fn objects_and_rights(plane: &ControlPlane, kustomization: &str, rights: &str) -> Vec<Value> {
    let rendered = kubectl(plane, &["kustomize", &folder(kustomization)]).await;
    let objects = dry_run(plane, kustomization, &rendered).await;
    kubectl(plane, &["apply", "-k", &folder(rights)]).await;
    objects
}

/// Has kube-apiserver ask `running` by the webhook kubeconfig that it has written on its node, and be told who bob is.
async fn assert_kube_apiserver_is_answered(plane: &mut ControlPlane, running: &Running, bob: &str) {
    let kubeconfig = running.node().path("/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml");
    plane.set_webhook(Some(Webhook { kubeconfig, version: WebhookVersion::V1, cache_ttl: Duration::ZERO }));
    plane.restart_apiserver().await.unwrap();
    let kubeconfig = plane.kubeconfig_with_token(bob).unwrap();
    until("kube-apiserver knows bob", Duration::from_secs(20), async || {
        let output = plane.kubectl(&kubeconfig, &["auth", "whoami"]).await.unwrap();
        output.success() && output.stdout.contains("bob")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_sets_pod_works_as_it_is_written() {
    let (emulator, principals) = support::emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut plane = plane_with_bob().await;
    let objects = objects_and_rights(&plane, "overlays/control-plane", "rbac").await;
    let mut node = Node::new(&emulator);
    // A node where aws-iam-authenticator ran as root: what it left is there.
    node.write("/var/aws-iam-authenticator/aws-auth.snapshot", "");
    node.add_service_account(&plane).await;
    let running = node.start(pod_spec(of_kind(&objects, "DaemonSet")), &objects).await;
    running.assert_probes_succeed().await;
    running.assert_files_are_its_own(&["/var/aws-iam-authenticator/aws-auth.snapshot"]);
    assert_eq!(running.review(&token(&bob)).await.user()["username"], "bob");
    assert_kube_apiserver_is_answered(&mut plane, &running, &token(&bob)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_static_pod_works_as_it_is_written() {
    let (emulator, principals) = support::emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut plane = plane_with_bob().await;
    kubectl(&plane, &["apply", "-k", &folder("static-pod")]).await;
    let manifest = fs::read_to_string(deploy("static-pod/arngate.yaml")).unwrap();
    let pod = &dry_run(&plane, "static-pod/arngate.yaml", &manifest).await[0];
    let node = Node::new(&emulator);
    // What README.md has people put on the node.
    let config = fs::read_to_string(deploy("base/config.yaml")).unwrap();
    node.write("/etc/aws-iam-authenticator/config.yaml", &config);
    node.write_for(10000, "/etc/kubernetes/arngate.kubeconfig", &kubeconfig_of(&plane, "arngate"));
    let running = node.start(pod_spec(pod), &[]).await;
    running.assert_probes_succeed().await;
    assert_eq!(running.review(&token(&bob)).await.user()["username"], "bob");
    assert_kube_apiserver_is_answered(&mut plane, &running, &token(&bob)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployments_pod_works_as_it_is_written() {
    let (emulator, principals) = support::emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut plane = plane_with_bob().await;
    let objects = objects_and_rights(&plane, "overlays/development", "rbac").await;
    let service = of_kind(&objects, "Service");
    let host = format!("{}.kube-system.svc", service["metadata"]["name"].as_str().unwrap());

    // What README.md has people run: a certificate for the Service, and a kubeconfig by its address.
    let desk = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_arngate"))
        .args(["init", "-i", CLUSTER_ID, "--hostname", &host])
        .current_dir(desk.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read_to_string(desk.path().join(name)).unwrap();
    let mut node = Node::new(&emulator);
    node.add_secret("arngate-certificate", &[("cert.pem", read("cert.pem")), ("key.pem", read("key.pem"))]);
    node.add_service_account(&plane).await;
    let running = node.start(pod_spec(of_kind(&objects, "Deployment")), &objects).await;
    running.assert_probes_succeed().await;

    let kubeconfig = desk.path().join("aws-iam-authenticator.kubeconfig");
    let set = plane
        .kubectl(
            &kubeconfig,
            &[
                "config",
                "set-cluster",
                "aws-iam-authenticator",
                &format!("--server={}", running.url().replace("localhost", "127.0.0.1")),
                &format!("--tls-server-name={host}"),
            ],
        )
        .await
        .unwrap();
    assert!(set.success(), "{}", set.stderr);
    plane.set_webhook(Some(Webhook { kubeconfig, version: WebhookVersion::V1, cache_ttl: Duration::ZERO }));
    plane.restart_apiserver().await.unwrap();
    let bobs = plane.kubeconfig_with_token(&token(&bob)).unwrap();
    until("kube-apiserver knows bob", Duration::from_secs(20), async || {
        plane.kubectl(&bobs, &["auth", "whoami"]).await.unwrap().stdout.contains("bob")
    })
    .await;
}
