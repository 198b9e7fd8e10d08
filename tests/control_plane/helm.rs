//! deploy/helm/arngate, with the real helm: what it makes is what the kustomize overlays make, the API server takes it,
//! its pods work, and it can be installed, upgraded, rolled back and taken away.

use std::process::{Command, Output};

use arngate_lab::control_plane::{Assets, ControlPlane};
use serde_json::{Value, json};

use crate::{
    crd::{kubectl, until},
    manifests::{CLUSTER_ID, dry_run, folder, of_kind, plane_with_bob, pod_spec, token},
    pods::Node,
    support::{self, ACCOUNT, text},
};

/// The least that has to be said.
const NAMED: &str = "config.clusterID=my-cluster.example.com";

fn helm(args: &[&str]) -> Output {
    let program = Assets::locate().unwrap().helm();
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(&program)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .output();
    output.unwrap_or_else(|error| panic!("{}: {error}; make assets builds it", program.display()))
}

/// What the chart makes of these values.
fn template(values: &[&str]) -> Result<String, String> {
    let chart = folder("helm/arngate");
    let values = values.iter().flat_map(|value| ["--set", value]);
    let args: Vec<&str> = ["template", "arngate", &chart, "-n", "kube-system", "--kube-version", "1.36.3"]
        .into_iter()
        .chain(values)
        .collect();
    let output = helm(&args);
    let (stdout, stderr) = text(&output);
    if output.status.success() { Ok(stdout) } else { Err(stderr) }
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    let output = helm(&["lint", "--strict", &folder("helm/arngate"), "--set", NAMED]);
    assert!(output.status.success(), "{:?}", text(&output));
}

#[test]
fn values_that_mean_nothing_are_refused() {
    template(&[NAMED]).unwrap();
    for (values, told) in [
        (&[][..], "clusterID"),
        (&["mode=daemonset"], "mode"),
        (&["image.repositry=x"], "repositry"),
        (&["image.digest=sha256:abc"], "digest"),
        (&["config.server.backendMode={ConfigMaps}"], "backendMode"),
        (&["config.server.stateDir=/x"], "stateDir"),
        (&["admissionWebhook.enabled=true"], "caBundle"),
        (&["development.replicas=0"], "replicas"),
        (&["controlPlane.stateDir=relative"], "stateDir"),
        (&["prometheusRule.runbookBase=https://example.com"], "runbookBase"),
    ] {
        let values = if values.is_empty() { vec!["image.tag=x"] } else { [&[NAMED], values].concat() };
        let error = template(&values).expect_err("a value that means nothing");
        assert!(error.contains(told), "{values:?}: {error}");
    }
}

/// What an object says, without what it knows its pods by, and what the API server has drawn for it.
fn without_pods(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    for of_pods in ["template", "selector", "podSelector", "clusterIP", "clusterIPs"] {
        spec.as_object_mut().unwrap().remove(of_pods);
    }
    spec
}

/// A workload's pod, without what is the chart's own way.
fn comparable(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for volume in pod["volumes"].as_array_mut().unwrap() {
        if !volume["configMap"].is_null() {
            // The chart has a checksum in its place.
            volume["configMap"]["name"] = json!("arngate");
        }
    }
    if let Some(spread) = pod["topologySpreadConstraints"].as_array_mut() {
        for constraint in spread {
            constraint["labelSelector"] = Value::Null;
        }
    }
    // The overlay says by flags what the chart says in the file, and `the_charts_pods_work_as_they_are_written`.
    pod["containers"][0]["args"] = Value::Null;
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_makes_what_the_overlays_make() {
    let plane = ControlPlane::builder().start().await.unwrap();
    let authority = std::fs::read_to_string(plane.ca_file()).unwrap();
    let bundle = format!("admissionWebhook.caBundle={authority}");
    for (mode, overlay, workload) in [
        ("controlPlane", "overlays/control-plane", "DaemonSet"),
        ("development", "overlays/development", "Deployment"),
    ] {
        let mode_is = format!("mode={mode}");
        let more = "config.server.backendMode={EKSConfigMap,CRD}";
        let values = [NAMED, &mode_is, more, "admissionWebhook.enabled=true", &bundle];
        let charts = dry_run(&plane, mode, &template(&values).unwrap()).await;
        let rendered = kubectl(&plane, &["kustomize", &folder(overlay)]).await;
        let mut overlays = dry_run(&plane, overlay, &rendered).await;
        let rendered = kubectl(&plane, &["kustomize", &folder("crd")]).await;
        overlays.extend(dry_run(&plane, "crd", &rendered).await);
        let admission = std::fs::read_to_string(crate::manifests::deploy("admission.yaml")).unwrap();
        overlays.extend(dry_run(&plane, "admission", &admission.replace("CA_BUNDLE", "")).await);

        let kinds = |objects: &[Value]| {
            let mut kinds: Vec<String> = objects.iter().map(|object| object["kind"].to_string()).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&charts), kinds(&overlays), "{mode}");
        assert_eq!(
            comparable(pod_spec(of_kind(&charts, workload))),
            comparable(pod_spec(of_kind(&overlays, workload))),
            "{mode}"
        );
        let kinds = ["DaemonSet", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"];
        for kind in kinds.into_iter().filter(|kind| charts.iter().any(|object| object["kind"] == *kind)) {
            let (of_chart, of_overlay) = (of_kind(&charts, kind), of_kind(&overlays, kind));
            assert_eq!(without_pods(of_chart), without_pods(of_overlay), "{mode}: {kind}");
        }
        for (kind, field) in [
            ("Role", "rules"),
            ("ClusterRole", "rules"),
            ("RoleBinding", "subjects"),
            ("CustomResourceDefinition", "spec"),
        ] {
            assert_eq!(of_kind(&charts, kind)[field], of_kind(&overlays, kind)[field], "{mode}: {kind}");
        }
        let webhook =
            |objects: &[Value]| of_kind(objects, "ValidatingWebhookConfiguration")["webhooks"][0].clone();
        let (mut of_chart, mut of_file) = (webhook(&charts), webhook(&overlays));
        of_chart["clientConfig"] = Value::Null;
        of_file["clientConfig"] = Value::Null;
        assert_eq!(of_chart, of_file, "{mode}");
    }
    // Without the backend CRD nobody needs its kind, or its rights.
    let least = dry_run(&plane, "least", &template(&[NAMED]).unwrap()).await;
    assert!(
        least
            .iter()
            .all(|object| object["kind"] != "ClusterRole" && object["kind"] != "CustomResourceDefinition")
    );
}

#[test]
fn the_chart_has_the_alerts() {
    let rule =
        template(&[NAMED, "prometheusRule.enabled=true", "prometheusRule.runbookBase=https://example.com/"])
            .unwrap();
    let rules = std::fs::read_to_string(crate::manifests::deploy("monitoring/rules.yaml")).unwrap();
    assert_eq!(rule.matches("- alert: ").count(), rules.matches("- alert: ").count());
    assert_eq!(
        rule.matches("runbook_url: https://example.com/docs/alerts.md#").count(),
        rules.matches("runbook_url: docs/alerts.md#").count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_charts_pods_work_as_they_are_written() {
    let (emulator, principals) = support::emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let plane = plane_with_bob().await;
    // Elsewhere than by default, so that the chart must say so everywhere.
    let values = [NAMED, "controlPlane.stateDir=/srv/arngate", "controlPlane.webhookDir=/srv/webhook"];
    let objects = dry_run(&plane, "controlPlane", &template(&values).unwrap()).await;
    let development = dry_run(&plane, "development", &template(&[NAMED, "mode=development"]).unwrap()).await;
    kubectl(&plane, &["apply", "-k", &folder("rbac")]).await;
    let mut node = Node::new(&emulator).with_state("/srv/arngate");
    node.add_service_account(&plane).await;
    let running = node.start(pod_spec(of_kind(&objects, "DaemonSet")), &objects).await;
    running.assert_probes_succeed().await;
    assert_eq!(running.review(&token(&bob)).await.user()["username"], "bob");
    assert!(running.node().path("/srv/webhook/kubeconfig.yaml").is_file());

    let desk = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_arngate"))
        .args(["init", "-i", CLUSTER_ID, "--hostname", "arngate.kube-system.svc"])
        .current_dir(desk.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made).1);
    let read = |name: &str| std::fs::read_to_string(desk.path().join(name)).unwrap();
    let mut node = Node::new(&emulator);
    node.add_secret("arngate-certificate", &[("cert.pem", read("cert.pem")), ("key.pem", read("key.pem"))]);
    node.add_service_account(&plane).await;
    let running = node.start(pod_spec(of_kind(&development, "Deployment")), &development).await;
    running.assert_probes_succeed().await;
    assert_eq!(running.review(&token(&bob)).await.user()["username"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_upgraded_rolled_back_and_taken_away() {
    let plane = ControlPlane::builder().start().await.unwrap();
    let kubeconfig = plane.admin_kubeconfig().display().to_string();
    let chart = folder("helm/arngate");
    let release = |args: &[&str]| {
        let output = helm(&[args, &["--kubeconfig", &kubeconfig, "-n", "kube-system"]].concat());
        assert!(output.status.success(), "{args:?}: {:?}", text(&output));
        text(&output).0
    };
    let with_crd = "config.server.backendMode={CRD}";
    let told = release(&["install", "arngate", &chart, "--set", NAMED, "--set", with_crd]);
    assert!(told.contains("--authentication-token-webhook-config-file="), "{told}");
    let checksum = async || {
        let path = "jsonpath={.spec.template.metadata.annotations.checksum/config}";
        kubectl(&plane, &["get", "daemonset", "arngate", "-n", "kube-system", "-o", path]).await
    };
    let first = checksum().await;
    kubectl(
        &plane,
        &["wait", "--for=condition=Established", "crd/iamidentitymappings.iamauthenticator.k8s.aws"],
    )
    .await;

    let other = "config.clusterID=another.example.com";
    release(&["upgrade", "arngate", &chart, "--set", other, "--set", with_crd]);
    assert_ne!(checksum().await, first, "another configuration restarts the pods");
    release(&["rollback", "arngate", "1"]);
    assert_eq!(checksum().await, first);

    release(&["uninstall", "arngate"]);
    until("it is gone", std::time::Duration::from_secs(20), async || {
        kubectl(&plane, &["get", "role,configmap,serviceaccount", "-n", "kube-system"])
            .await
            .matches("arngate")
            .count()
            == 0
    })
    .await;
    let kept = kubectl(&plane, &["get", "crd", "-o", "name"]).await;
    assert!(kept.contains("iamidentitymappings"), "with the kind all objects would go: {kept}");
}
