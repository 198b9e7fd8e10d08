//! The backend CRD: IAMIdentityMapping objects on a real API server.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arngate_lab::{
    control_plane::{ControlPlane, Webhook, WebhookVersion},
    sts::{Credentials, Emulator, Principals},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{self, ACCOUNT, CLUSTER_ID, Server, Setup, post, token};

/// A cluster whose webhook is arngate with the backend CRD, by the service account of `deploy/rbac`.
struct Cluster {
    server: Server,
    plane: ControlPlane,
    emulator: Emulator,
    principals: Principals,
    started: Timestamp,
    /// How many tokens there were: each is signed a second before the last, since two of one second are one.
    tokens: Cell<i64>,
}

/// A manifest in deploy/.
fn manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

pub(crate) async fn kubectl(plane: &ControlPlane, args: &[&str]) -> String {
    let output = plane.kubectl(plane.admin_kubeconfig(), args).await.unwrap();
    assert!(output.success(), "{args:?}: {}", output.stderr);
    output.stdout
}

pub(crate) async fn apply(plane: &ControlPlane, object: &Value) {
    let output =
        plane.kubectl_with_input(plane.admin_kubeconfig(), &["apply", "-f", "-"], &object.to_string()).await;
    let output = output.unwrap();
    assert!(output.success(), "{object}: {}", output.stderr);
}

/// A kubeconfig of the service account that `deploy/rbac` makes.
async fn own_kubeconfig(plane: &ControlPlane) -> String {
    let token = kubectl(plane, &["create", "token", "arngate", "-n", "kube-system"]).await;
    plane.kubeconfig_with_token(token.trim()).unwrap().to_str().unwrap().to_owned()
}

/// Installs the kind, and waits until the API server serves it.
pub(crate) async fn install_the_kind(plane: &ControlPlane) {
    kubectl(plane, &["apply", "-f", manifest("crd/iamidentitymapping.yaml").to_str().unwrap()]).await;
    let name = "crd/iamidentitymappings.iamauthenticator.k8s.aws";
    kubectl(plane, &["wait", "--for=condition=Established", name, "--timeout=20s"]).await;
}

pub(crate) fn mapping(name: &str, arn: &str, username: &str) -> Value {
    json!({
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1", "kind": "IAMIdentityMapping",
        "metadata": {"name": name}, "spec": {"arn": arn, "username": username, "groups": ["developers"]},
    })
}

fn arn(resource: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{resource}")
}

async fn status(plane: &ControlPlane, name: &str) -> Value {
    let object: Value =
        serde_json::from_str(&kubectl(plane, &["get", "iamidentitymapping", name, "-o", "json"]).await)
            .unwrap();
    object["status"].clone()
}

/// Asks until `wanted` holds; how long that took.
pub(crate) async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

/// As whom `server` lets `credentials` in, or nobody.
async fn username(server: &Server, credentials: &Credentials) -> Option<String> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token(credentials)},
    });
    let answer = post(&server.client(), &server.url, &review).await;
    answer.body["status"]["user"]["username"].as_str().map(str::to_owned)
}

impl Cluster {
    /// With the manifests of deploy/, but for the kind itself.
    async fn start(server: &str) -> Self {
        let (emulator, principals) = support::emulator().await;
        // arngate's own kubeconfig needs a token that only a running API server gives, so that one starts first.
        let mut plane = ControlPlane::builder().start().await.unwrap();
        for rights in ["rbac/rbac.yaml", "crd/rbac.yaml"] {
            kubectl(&plane, &["apply", "-f", manifest(rights).to_str().unwrap()]).await;
        }
        let kubeconfig = own_kubeconfig(&plane).await;
        let server = Setup::new(&emulator, server).arg("--kubeconfig", &kubeconfig).start();
        plane.set_webhook(Some(Webhook {
            kubeconfig: server.path("webhook.kubeconfig"),
            version: WebhookVersion::V1,
            cache_ttl: Duration::ZERO,
        }));
        plane.restart_apiserver().await.unwrap();
        Self { server, plane, emulator, principals, started: Timestamp::now(), tokens: 0.into() }
    }

    /// `kubectl auth whoami` by a token that nobody has seen before.
    async fn whoami(&self, credentials: &Credentials) -> Option<Value> {
        self.tokens.set(self.tokens.get() + 1);
        let signed_at = self.started - SignedDuration::from_secs(self.tokens.get());
        let token = support::token_for(credentials, CLUSTER_ID, signed_at);
        let kubeconfig = self.plane.kubeconfig_with_token(&token).unwrap();
        let output = self.plane.kubectl(&kubeconfig, &["auth", "whoami", "-o", "json"]).await.unwrap();
        let review: Option<Value> = serde_json::from_str(&output.stdout).ok();
        review.map(|review| review["status"]["userInfo"].clone())
    }

    fn logs(&self, text: &str) -> bool {
        self.server.log_text().contains(text)
    }
}

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

const FILE_AND_CRD: &str = "  backendMode: [MountedFile, CRD]
  mapUsers:
  - {userarn: 'arn:aws:iam::111122223333:user/carol', username: carol}
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_map_principals_and_changes_of_them_take_effect() {
    let cluster = Cluster::start("  backendMode: [CRD]\n").await;
    let Cluster { server, plane, principals, .. } = &cluster;
    install_the_kind(plane).await;
    let (admin, bob) = (principals.role(ACCOUNT, "Admin", "alice"), principals.user(ACCOUNT, "bob"));
    apply(plane, &mapping("admins", &arn("role/teams/platform/Admin"), "admin:{{SessionName}}")).await;
    apply(plane, &mapping("bob", &arn("user/bob"), "bob")).await;
    server.wait_until_ready().await;
    until("both are mapped", SECONDS(20), async || {
        username(server, &admin).await.is_some() && username(server, &bob).await.is_some()
    })
    .await;

    let who = cluster.whoami(&admin).await.unwrap();
    assert_eq!(who["username"], "admin:alice");
    assert!(who["groups"].as_array().unwrap().contains(&json!("developers")), "{who}");
    assert_eq!(who["extra"]["canonicalArn"], json!([arn("role/Admin")]), "{who}");
    assert_eq!(cluster.whoami(&bob).await.unwrap()["username"], "bob");
    let metrics = server.metrics().await;
    assert!(metrics.contains(r#"aws_iam_authenticator_mappings{backend="CRD"} 2"#), "{metrics}");
    assert!(server.audit().iter().any(|record| record["entry"] == "IAMIdentityMapping bob"));

    let mut times = Vec::new();
    for number in 0..5 {
        let name = format!("bob-{number}");
        apply(plane, &mapping("bob", &arn("user/bob"), &name)).await;
        let renamed = async || username(server, &bob).await.as_deref() == Some(name.as_str());
        times.push(until("an edit", SECONDS(10), renamed).await);
    }
    println!("from kubectl apply's end to an edit's effect: {times:.1?}");

    apply(plane, &mapping("bob", "arn:aws:iam::111122223333:usr/bob", "intruder")).await;
    until("the broken edit is told", SECONDS(10), async || cluster.logs("IAMIdentityMapping bob: spec.arn"))
        .await;
    assert_eq!(
        cluster.whoami(&bob).await.unwrap()["username"],
        "bob-4",
        "the broken edit takes nothing away"
    );
    assert_eq!(cluster.whoami(&admin).await.unwrap()["username"], "admin:alice");

    kubectl(plane, &["delete", "iamidentitymapping", "bob"]).await;
    let gone = async || username(server, &bob).await.is_none();
    let took = until("deletion", SECONDS(10), gone).await;
    println!("from kubectl delete's end to its effect: {took:.1?}");
    assert!(cluster.whoami(&bob).await.is_none());

    // The kind goes, its objects with it, and comes back.
    kubectl(plane, &["delete", "crd", "iamidentitymappings.iamauthenticator.k8s.aws"]).await;
    until("the kind's deletion", SECONDS(20), async || username(server, &admin).await.is_none()).await;
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    until("that the kind is gone", SECONDS(20), async || {
        cluster.logs("the cluster has no IAMIdentityMapping")
    })
    .await;
    install_the_kind(plane).await;
    apply(plane, &mapping("bob", &arn("user/bob"), "bob-again")).await;
    let back = async || username(server, &bob).await.as_deref() == Some("bob-again");
    let took = until("the kind's return", SECONDS(30), back).await;
    println!("from the kind's return to the mapping's effect: {took:.1?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_written_once_and_is_what_aws_iam_authenticator_writes() {
    let cluster = Cluster::start("  backendMode: [CRD]\n").await;
    let Cluster { server, plane, emulator, .. } = &cluster;
    install_the_kind(plane).await;
    // A second arngate on the same objects, as on another control-plane node.
    let admin = plane.admin_kubeconfig().to_str().unwrap().to_owned();
    let second = Setup::new(emulator, "  backendMode: [CRD]\n").arg("--kubeconfig", &admin).start();
    for server in [server, &second] {
        until("both watch", SECONDS(20), async || server.log_text().contains("IAMIdentityMappings loaded"))
            .await;
    }

    apply(plane, &mapping("admins", &arn("role/teams/platform/Admin"), "admin")).await;
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/Dev/alice");
    apply(plane, &mapping("devs", &session, "dev")).await;
    apply(plane, &mapping("group", &arn("group/Admins"), "nobody")).await;
    for (name, canonical) in [("admins", arn("role/teams/platform/admin")), ("devs", arn("role/dev"))] {
        let wanted = json!({"canonicalARN": canonical, "userID": ""});
        until("the status", SECONDS(20), async || status(plane, name).await == wanted).await;
    }
    assert_eq!(status(plane, "group").await, Value::Null, "what cannot be mapped gets none");

    let version = async || {
        let object = kubectl(plane, &["get", "iamidentitymapping", "admins", "-o", "json"]).await;
        let object: Value = serde_json::from_str(&object).unwrap();
        object["metadata"]["resourceVersion"].clone()
    };
    let before = version().await;
    apply(plane, &mapping("devs", &arn("user/Moved"), "dev")).await;
    until("the edit's status", SECONDS(20), async || {
        status(plane, "devs").await["canonicalARN"] == arn("user/moved")
    })
    .await;
    assert_eq!(version().await, before, "a status that is right is not written again");
    let written = |metrics: &str| -> usize {
        let line = metrics.lines().find(|line| line.contains("crd_status_writes_total{result=\"written\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let (first, other) = (server.metrics().await, second.metrics().await);
    let counted = [&first, &other].map(|metrics| {
        metrics.lines().filter(|line| line.contains("crd_status_writes_total{")).collect::<Vec<_>>()
    });
    println!("writes of two arngates: {counted:?}");
    let total = written(&first) + written(&other);
    assert_eq!(total, 3, "each status was written by one of the two");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_told_and_cost_no_more_than_they_must() {
    let cluster = Cluster::start(FILE_AND_CRD).await;
    let Cluster { server, plane, principals, .. } = &cluster;
    let (bob, carol) = (principals.user(ACCOUNT, "bob"), principals.user(ACCOUNT, "carol"));

    // Without the kind, the others are served.
    server.wait_until_ready().await;
    assert_eq!(cluster.whoami(&carol).await.unwrap()["username"], "carol");
    server.review(&token(&bob)).await.assert_passing_denial();
    assert!(cluster.logs("the cluster has no IAMIdentityMapping"));

    install_the_kind(plane).await;
    let without_status = r#"[{"op": "remove", "path": "/rules/1"}]"#;
    kubectl(plane, &["patch", "clusterrole", "arngate", "--type=json", "-p", without_status]).await;
    apply(plane, &mapping("bob", &arn("user/bob"), "bob")).await;
    let took = until("the kind is seen", SECONDS(30), async || username(server, &bob).await.is_some()).await;
    println!("from the kind's installation to a mapping's effect: {took:.1?}");
    until("the refused status is told", SECONDS(20), async || {
        cluster.logs("cannot write the status of an IAMIdentityMapping")
    })
    .await;
    assert_eq!(cluster.whoami(&bob).await.unwrap()["username"], "bob", "without a status");
    assert_eq!(status(plane, "bob").await, Value::Null);
    kubectl(plane, &["apply", "-f", manifest("crd/rbac.yaml").to_str().unwrap()]).await;
    until("the status", SECONDS(60), async || status(plane, "bob").await["canonicalARN"] == arn("user/bob"))
        .await;

    // One that may not list has no verdict on those whom the file does not map.
    kubectl(plane, &["delete", "clusterrolebinding", "arngate"]).await;
    let kubeconfig = own_kubeconfig(plane).await;
    let fresh = Setup::new(&cluster.emulator, FILE_AND_CRD).arg("--kubeconfig", &kubeconfig).start();
    until("the refusal is told", SECONDS(20), async || {
        fresh.log_text().contains("not allowed to list or watch IAMIdentityMappings")
    })
    .await;
    assert_eq!(fresh.review(&token(&carol)).await.user()["username"], "carol");
    fresh.review(&token(&bob)).await.assert_no_verdict(503);
    kubectl(plane, &["apply", "-f", manifest("crd/rbac.yaml").to_str().unwrap()]).await;
    fresh.wait_until_ready().await;
    assert_eq!(fresh.review(&token(&bob)).await.user()["username"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_starts_before_there_is_an_api_server() {
    let (emulator, principals) = support::emulator().await;
    let (bob, carol) = (principals.user(ACCOUNT, "bob"), principals.user(ACCOUNT, "carol"));
    let mut plane = ControlPlane::builder().prepare().unwrap();
    let kubeconfig = plane.admin_kubeconfig().to_str().unwrap().to_owned();
    let server = Setup::new(&emulator, FILE_AND_CRD).arg("--kubeconfig", &kubeconfig).start();
    assert_eq!(server.review(&token(&carol)).await.user()["username"], "carol");
    server.review(&token(&bob)).await.assert_no_verdict(503);
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("[-]CRD"));

    plane.start().await.unwrap();
    install_the_kind(&plane).await;
    apply(&plane, &mapping("bob", &arn("user/bob"), "bob")).await;
    until("the mapping", SECONDS(30), async || username(&server, &bob).await.is_some()).await;
    server.wait_until_ready().await;
}

/// The kind as clusters on aws-iam-authenticator have it.
fn todays_kind() -> Value {
    let text = json!({"type": "string"});
    let spec = json!({
        "type": "object", "required": ["arn", "username"],
        "properties": {"arn": text, "username": text, "groups": {"type": "array", "items": text}},
    });
    let status = json!({"type": "object", "properties": {"canonicalARN": text, "userID": text}});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "iamidentitymappings.iamauthenticator.k8s.aws"},
        "spec": {
            "group": "iamauthenticator.k8s.aws", "scope": "Cluster",
            "names": {
                "plural": "iamidentitymappings", "singular": "iamidentitymapping", "kind": "IAMIdentityMapping",
                "categories": ["all"],
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kind_takes_the_place_of_todays_and_objects_stay_as_they_are() {
    let plane = ControlPlane::builder().start().await.unwrap();
    apply(&plane, &todays_kind()).await;
    let name = "crd/iamidentitymappings.iamauthenticator.k8s.aws";
    kubectl(&plane, &["wait", "--for=condition=Established", name, "--timeout=20s"]).await;
    apply(&plane, &mapping("bob", &arn("user/bob"), "bob")).await;
    let mut odd = mapping("odd", "", "");
    odd["spec"] = json!({"arn": "", "username": "", "groups": []});
    apply(&plane, &odd).await;
    let mut without_spec = mapping("without-spec", "", "");
    without_spec.as_object_mut().unwrap().remove("spec");
    apply(&plane, &without_spec).await;

    for step in ["ours", "theirs"] {
        if step == "ours" {
            install_the_kind(&plane).await;
            let listed = async || kubectl(&plane, &["get", "iamidentitymappings"]).await;
            // The columns are the definition's: until then, an object whose change is taken may be today's.
            until("the new definition", SECONDS(20), async || listed().await.contains("USERNAME")).await;
        } else {
            apply(&plane, &todays_kind()).await;
        }
        let label = format!("step={step}");
        let labelled =
            kubectl(&plane, &["label", "--overwrite", "iamidentitymappings", "--all", &label]).await;
        assert_eq!(labelled.lines().count(), 3, "{labelled}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_a_page_of_the_list_are_all_in_force_at_once() {
    const COUNT: usize = 1100;
    let (emulator, principals) = support::emulator().await;
    let plane = ControlPlane::builder().start().await.unwrap();
    install_the_kind(&plane).await;
    let items: Vec<Value> = (0..COUNT)
        .map(|number| {
            mapping(&format!("user-{number}"), &arn(&format!("user/u{number}")), &format!("u{number}"))
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let admin = plane.admin_kubeconfig().to_owned();
    let created = plane.kubectl_with_input(&admin, &["create", "-f", "-"], &list.to_string()).await.unwrap();
    assert!(created.success(), "{}", created.stderr);

    let server =
        Setup::new(&emulator, "  backendMode: [CRD]\n").arg("--kubeconfig", admin.to_str().unwrap()).start();
    server.wait_until_ready().await;
    for number in [0, COUNT / 2, COUNT - 1] {
        let name = format!("u{number}");
        let user = principals.user(ACCOUNT, &name);
        assert_eq!(server.review(&token(&user)).await.user()["username"], name.as_str());
    }
    let lines = server.log_lines();
    let first = lines.iter().find(|line| line["message"] == "IAMIdentityMappings loaded").unwrap();
    assert_eq!(first["mappings"], COUNT, "never a part of them");
}
