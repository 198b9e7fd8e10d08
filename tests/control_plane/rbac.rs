//! arngate's own rights: what deploy/rbac and deploy/crd give is enough, and each of them is needed.

use std::time::Duration;

use arngate_lab::{control_plane::ControlPlane, sts::Emulator};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, VERSIONS},
    crd::{apply, install_the_kind, kubectl, mapping, until},
    manifests::folder,
    support::{self, ACCOUNT, Server, Setup, token},
};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const ACCOUNT_OF_ARNGATE: &str = "--as=system:serviceaccount:kube-system:arngate";

/// A right: the role's kind, the resource and the verb.
type Right = (&'static str, &'static str, &'static str);

/// Every right that the manifests give, and what is to be seen where it is missing.
const RIGHTS: [(Right, Missing); 6] = [
    (("role", "configmaps", "list"), Missing::Mappings),
    (("role", "configmaps", "watch"), Missing::Metric("configmap_watch_failures_total")),
    (("role", "events", "create"), Missing::Metric("event_failures_total")),
    (("clusterrole", "iamidentitymappings", "list"), Missing::Mappings),
    (("clusterrole", "iamidentitymappings", "watch"), Missing::Metric("crd_watch_failures_total")),
    (
        ("clusterrole", "iamidentitymappings/status", "patch"),
        Missing::Metric(r#"crd_status_writes_total{result="failed"}"#),
    ),
];

#[derive(Debug, Clone, Copy)]
enum Missing {
    /// It is never ready, and has no verdict.
    Mappings,
    /// A figure that is 0 where all is well.
    Metric(&'static str),
}

/// `get` of a role, without what the server has added.
async fn rules(plane: &ControlPlane, kind: &str) -> Value {
    let role = kubectl(plane, &["get", kind, "arngate", "-n", "kube-system", "-o", "json"]).await;
    serde_json::from_str::<Value>(&role).unwrap()["rules"].clone()
}

async fn set_rules(plane: &ControlPlane, kind: &str, rules: &Value) {
    let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
    kubectl(plane, &["patch", kind, "arngate", "-n", "kube-system", "--type=json", "-p", &patch]).await;
}

/// The rights in `rules`, one a resource and verb.
fn rights(rules: &Value) -> Vec<(String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let of_rule = |rule: &Value| {
        let verbs = texts(&rule["verbs"]);
        texts(&rule["resources"]).into_iter().flat_map(move |resource| {
            verbs.clone().into_iter().map(move |verb| (resource.clone(), verb)).collect::<Vec<_>>()
        })
    };
    rules.as_array().unwrap().iter().flat_map(of_rule).collect()
}

/// `rules` without one verb on one resource; each rule of ours has one resource.
fn without(rules: &Value, resource: &str, verb: &str) -> Value {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().unwrap() {
        if rule["resources"] == json!([resource]) {
            rule["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
        }
    }
    // The API server takes no rule without verbs.
    rules.as_array_mut().unwrap().retain(|rule| rule["verbs"] != json!([]));
    rules
}

/// The figure of `metric`, 0 where nothing was counted.
async fn figure(server: &Server, metric: &str) -> u64 {
    let metrics = server.metrics().await;
    let name = format!("aws_iam_authenticator_{metric} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

/// An arngate with the service account's token, on a cluster with one entry that is invalid and one object whose status
/// nobody has written.
async fn start(plane: &ControlPlane, emulator: &Emulator) -> Server {
    kubectl(plane, &["delete", "iamidentitymapping,events", "--all", "-n", "kube-system"]).await;
    apply(plane, &mapping("carol", &format!("arn:aws:iam::{ACCOUNT}:user/carol"), "carol")).await;
    let token = kubectl(plane, &["create", "token", "arngate", "-n", "kube-system"]).await;
    let kubeconfig = plane.kubeconfig_with_token(token.trim()).unwrap();
    Setup::new(emulator, "  backendMode: [EKSConfigMap, CRD]\n")
        .arg("--kubeconfig", kubeconfig.to_str().unwrap())
        .start()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_rights_are_enough_and_each_is_needed() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let (plane, emulator) = (&cluster.control_plane, &cluster.emulator);
    let bob = cluster.principals.user(ACCOUNT, "bob");
    let carol = cluster.principals.user(ACCOUNT, "carol");
    install_the_kind(plane).await;
    for part in ["rbac", "crd"] {
        kubectl(plane, &["apply", "-k", &folder(part)]).await;
    }
    let bobs = format!("- userarn: arn:aws:iam::{ACCOUNT}:user/bob\n  username: bob\n- username: nobody\n");
    cluster.write_aws_auth(&[("mapUsers", &bobs)]).await;

    let whole = [("role", rules(plane, "role").await), ("clusterrole", rules(plane, "clusterrole").await)];
    let given: Vec<(&str, String, String)> = whole
        .iter()
        .flat_map(|(kind, rules)| rights(rules).into_iter().map(move |(of, verb)| (*kind, of, verb)))
        .collect();
    let named: Vec<_> =
        RIGHTS.iter().map(|((kind, of, verb), _)| (*kind, (*of).to_owned(), (*verb).to_owned())).collect();
    assert_eq!(given, named, "each right that the manifests give is tried here");

    // With all of them: both are let in, the entry is told of, the status is written, and nothing has failed.
    let server = start(plane, emulator).await;
    server.wait_until_ready().await;
    assert_eq!(server.review(&token(&bob)).await.user()["username"], "bob");
    assert_eq!(server.review(&token(&carol)).await.user()["username"], "carol");
    until("the event", SECONDS(20), async || {
        kubectl(plane, &["get", "events", "-n", "kube-system"]).await.contains("InvalidMapping")
    })
    .await;
    until("the status", SECONDS(20), async || {
        kubectl(plane, &["get", "iamidentitymapping", "carol", "-o", "json"]).await.contains("canonicalARN")
    })
    .await;
    for (_, missing) in RIGHTS {
        if let Missing::Metric(metric) = missing {
            assert_eq!(figure(&server, metric).await, 0, "{metric}: {}", server.log_text());
        }
    }
    drop(server);

    for ((kind, of, verb), missing) in RIGHTS {
        let (_, all) = whole.iter().find(|(of_kind, _)| *of_kind == kind).unwrap();
        set_rules(plane, kind, &without(all, of, verb)).await;
        let server = start(plane, emulator).await;
        let what = format!("without {verb} on {of}");
        let took = match missing {
            Missing::Metric(metric) => {
                until(&what, SECONDS(20), async || figure(&server, metric).await > 0).await
            }
            Missing::Mappings => {
                let told = until(&what, SECONDS(20), async || server.log_text().contains("forbidden")).await;
                let stranger = if kind == "role" { &bob } else { &carol };
                server.review(&token(stranger)).await.assert_no_verdict(503);
                told
            }
        };
        println!("{what}: {missing:?}, seen after {took:.1?}");
        set_rules(plane, kind, all).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_give_nothing_that_is_not_arngates() {
    let plane = ControlPlane::builder().start().await.unwrap();
    for part in ["rbac", "crd"] {
        kubectl(&plane, &["apply", "-k", &folder(part)]).await;
    }
    for (asked, wanted) in [
        (&["list", "configmaps/aws-auth", "-n", "kube-system"][..], "yes"),
        (&["list", "configmaps", "-n", "kube-system"], "no"),
        (&["list", "configmaps/aws-auth", "-n", "default"], "no"),
        (&["update", "configmaps/aws-auth", "-n", "kube-system"], "no"),
        (&["list", "secrets", "-n", "kube-system"], "no"),
        (&["create", "events", "-n", "default"], "no"),
        (&["delete", "events", "-n", "kube-system"], "no"),
        (&["update", "iamidentitymappings.iamauthenticator.k8s.aws"], "no"),
        (&["create", "tokenreviews.authentication.k8s.io"], "no"),
        (&["impersonate", "users"], "no"),
    ] {
        let args = [&["auth", "can-i", ACCOUNT_OF_ARNGATE], asked].concat();
        let output = plane.kubectl(plane.admin_kubeconfig(), &args).await.unwrap();
        assert_eq!(output.stdout.trim(), wanted, "{asked:?}: {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_binding_arngate_says_so_and_waits() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let plane = &cluster.control_plane;
    let bob = cluster.principals.user(ACCOUNT, "bob");
    kubectl(plane, &["apply", "-k", &folder("rbac")]).await;
    kubectl(plane, &["delete", "rolebinding", "arngate", "-n", "kube-system"]).await;
    let service_account = kubectl(plane, &["create", "token", "arngate", "-n", "kube-system"]).await;
    let kubeconfig = plane.kubeconfig_with_token(service_account.trim()).unwrap();
    let server = Setup::new(&cluster.emulator, "  backendMode: [EKSConfigMap]\n")
        .arg("--kubeconfig", kubeconfig.to_str().unwrap())
        .start();
    until("it says so", SECONDS(10), async || {
        server.log_text().contains("cannot list or watch configmap/aws-auth")
    })
    .await;
    assert!(server.log_text().contains("forbidden"), "{}", server.log_text());
    server.review(&support::token(&bob)).await.assert_no_verdict(503);

    kubectl(plane, &["apply", "-k", &folder("rbac")]).await;
    server.wait_until_ready().await;
    assert_eq!(server.review(&token(&bob)).await.user()["username"], "bob");
}
