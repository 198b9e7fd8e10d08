//! An AWS service is let work in a namespace, as `eksctl create iamidentitymapping --service-name` does.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Output, Stdio},
    time::Instant,
};

use arngate_lab::sts::Credentials;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, VERSIONS},
    edits::until,
    support::{ACCOUNT, REGION, arngate, text},
};

const SERVICE: [&str; 8] = [
    "create",
    "iamidentitymapping",
    "--service-name",
    "emr-containers",
    "--namespace",
    "jobs",
    "--account",
    ACCOUNT,
];
const ROLE: &str = "arn:aws:iam::111122223333:role/AWSServiceRoleForAmazonEMRContainers";

/// Runs arngate with these arguments, further environment and standard input.
async fn run(cluster: &Cluster, args: &[&str], env: &[(String, String)], input: &'static str) -> Output {
    let mut command = arngate();
    command.args(args).arg("--kubeconfig").arg(cluster.control_plane.admin_kubeconfig());
    command.envs(env.iter().cloned()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut child = command.spawn().unwrap();
        // It may end without reading it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Runs arngate, which has to end so; what it writes, stdout first.
async fn told(cluster: &Cluster, args: &[&str], code: i32) -> String {
    let output = run(cluster, args, &[], "").await;
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stdout}{stderr}");
    format!("{stdout}{stderr}")
}

async fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> String {
    let plane = &cluster.control_plane;
    let output = plane.kubectl_with_input(plane.admin_kubeconfig(), args, input).await.unwrap();
    assert!(output.success(), "{args:?}: {}", output.stderr);
    output.stdout
}

/// All that an edit could touch: aws-auth, and each Role and RoleBinding of every namespace, as they are.
async fn state(cluster: &Cluster) -> Value {
    let roles = kubectl(cluster, &["get", "roles,rolebindings", "-A", "-o", "json"], "").await;
    let aws_auth = kubectl(cluster, &["get", "-n", "kube-system", "cm/aws-auth", "-o", "json"], "").await;
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    json!([of(&roles)["items"], of(&aws_auth)])
}

async fn object(cluster: &Cluster, kind: &str) -> Value {
    let text = kubectl(cluster, &["get", kind, "emr-containers", "-n", "jobs", "-o", "json"], "").await;
    serde_json::from_str(&text).unwrap()
}

async fn can_i(cluster: &Cluster, credentials: &Credentials, args: &[&str]) -> bool {
    let plane = &cluster.control_plane;
    let kubeconfig = plane.kubeconfig_with_token(&cluster.fresh_token(credentials)).unwrap();
    let output = plane.kubectl(&kubeconfig, &[&["auth", "can-i"], args].concat()).await.unwrap();
    output.stdout.trim() == "yes"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_do_in_its_namespace_what_its_role_allows_and_nothing_elsewhere() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let emr = cluster.principals.role(ACCOUNT, "AWSServiceRoleForAmazonEMRContainers", "session");
    let before = state(&cluster).await;

    // What is refused writes nothing, and neither does a dry run.
    let dry = [&SERVICE[..], &["--dry-run"]].concat();
    for args in [&SERVICE[..], &dry] {
        let stderr = told(&cluster, args, 1).await;
        assert!(
            stderr.contains("there is no namespace jobs; make it first: kubectl create namespace jobs"),
            "{stderr}"
        );
    }
    let unknown = SERVICE.map(|arg| if arg == "emr-containers" { "emr" } else { arg });
    let stderr = told(&cluster, &unknown, 2).await;
    assert!(stderr.contains(r#"unknown AWS service "emr"; known: emr-containers"#), "{stderr}");
    let stderr = told(&cluster, &SERVICE[..4], 2).await;
    assert!(stderr.contains("--namespace <NAME>"), "{stderr}");
    kubectl(&cluster, &["create", "namespace", "jobs"], "").await;
    let shown = told(&cluster, &dry, 0).await;
    for part in [
        "+++ b/role/emr-containers in jobs\n",
        "+++ b/rolebinding/emr-containers in jobs\n",
        &format!("+- rolearn: {ROLE}\n"),
        "dry run: nothing is written",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    println!("{shown}");
    let in_china = told(&cluster, &[&dry[..], &["--partition", "aws-cn"]].concat(), 0).await;
    assert!(
        in_china.contains(&format!("+- rolearn: {}\n", ROLE.replace("arn:aws:", "arn:aws-cn:"))),
        "{in_china}"
    );
    let bare = ["create", "iamidentitymapping", "--account", ACCOUNT, "--partition", "aws-cn"];
    assert!(told(&cluster, &bare, 1).await.contains("--partition is of a service's role"));
    let output = run(&cluster, &[&SERVICE[..], &["--prompt"]].concat(), &[], "n\n").await;
    assert!(
        output.status.success() && text(&output).0.contains("cancelled: nothing is written"),
        "{output:?}"
    );
    assert_eq!(state(&cluster).await, before);
    assert!(cluster.whoami(&cluster.fresh_token(&emr)).await.is_err());

    let written = told(&cluster, &SERVICE, 0).await;
    assert!(
        written.contains("written: role/emr-containers in jobs and rolebinding/emr-containers in jobs\n"),
        "{written}"
    );
    until(&cluster, &emr, true, Instant::now()).await;
    let me = cluster.whoami(&cluster.fresh_token(&emr)).await.unwrap();
    assert_eq!(
        (&me["username"], &me["groups"]),
        (&json!("emr-containers"), &json!(["system:authenticated"]))
    );
    for (args, allowed) in [
        (&["create", "pods", "-n", "jobs"][..], true),
        (&["get", "pods", "--subresource=log", "-n", "jobs"], true),
        (&["deletecollection", "configmaps", "-n", "jobs"], true),
        (&["create", "secrets", "-n", "jobs"], true),
        (&["get", "secrets", "-n", "jobs"], false),
        (&["create", "persistentvolumeclaims", "-n", "jobs"], true),
        (&["patch", "jobs.batch", "-n", "jobs"], true),
        (&["create", "rolebindings", "-n", "jobs"], true),
        (&["create", "daemonsets.apps", "-n", "jobs"], false),
        (&["create", "pods", "-n", "default"], false),
        (&["get", "configmaps", "-n", "kube-system"], false),
        (&["list", "nodes"], false),
    ] {
        assert_eq!(can_i(&cluster, &emr, args).await, allowed, "{args:?}");
    }
    let plane = &cluster.control_plane;
    let kubeconfig = plane.kubeconfig_with_token(&cluster.fresh_token(&emr)).unwrap();
    for (namespace, done) in [("jobs", true), ("default", false)] {
        let args = ["create", "configmap", "of-emr", "-n", namespace];
        assert_eq!(plane.kubectl(&kubeconfig, &args).await.unwrap().success(), done, "{namespace}");
    }
    let table = told(&cluster, &["get", "iamidentitymapping", "--arn", ROLE], 0).await;
    println!("{table}");
    assert!(table.contains(&format!("{ROLE}  emr-containers")), "{table}");

    // A second time there is nothing to do.
    let before = state(&cluster).await;
    let again = told(&cluster, &SERVICE, 0).await;
    assert_eq!(again.matches("nothing to do: ").count(), 2, "{again}");
    assert_eq!(state(&cluster).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_lacks_is_added_and_what_is_there_stays() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    kubectl(&cluster, &["create", "namespace", "jobs"], "").await;
    // Several at once write nothing twice.
    let once = || told(&cluster, &SERVICE, 0);
    tokio::join!(once(), once(), once(), once());
    let table = told(&cluster, &["get", "iamidentitymapping", "--arn", ROLE], 0).await;
    assert_eq!(table.matches(ROLE).count(), 1, "{table}");
    let resources = |role: &Value| {
        let rules = role["rules"].as_array().unwrap().iter();
        rules.map(|rule| rule["resources"].to_string()).collect::<Vec<_>>()
    };
    let made = resources(&object(&cluster, "role").await);
    assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), made.len(), "{made:?}");

    // As eksctl writes the Role: kubectl's commands stand among the verbs.
    let mut role = object(&cluster, "role").await;
    for rule in role["rules"].as_array_mut().unwrap() {
        rule["verbs"]
            .as_array_mut()
            .unwrap()
            .extend(["describe", "edit", "annotate", "label"].map(Value::from));
    }
    replace(&cluster, &role).await;
    let before = state(&cluster).await;
    let again = told(&cluster, &SERVICE, 0).await;
    assert_eq!(again.matches("nothing to do: ").count(), 2, "{again}");
    assert_eq!(state(&cluster).await, before);

    // One right taken away and one added, a label, and another subject.
    let rules = role["rules"].as_array_mut().unwrap();
    let of_pods = rules.iter().position(|rule| rule["resources"][0] == "pods").unwrap();
    let pods = rules.remove(of_pods);
    rules.push(json!({"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get"]}));
    let kept = rules.clone();
    role["metadata"]["labels"] = json!({"team": "data"});
    replace(&cluster, &role).await;
    let mut binding = object(&cluster, "rolebinding").await;
    binding["subjects"] = json!([{"kind": "Group", "name": "data", "apiGroup": "rbac.authorization.k8s.io"}]);
    replace(&cluster, &binding).await;
    let shown = told(&cluster, &SERVICE, 0).await;
    for part in ["--- a/role/emr-containers in jobs\n", "\n+  - pods/log\n", "\n+  name: emr-containers\n"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.lines().any(|line| line.starts_with('-') && !line.starts_with("---")), "{shown}");
    let role = object(&cluster, "role").await;
    let rules = role["rules"].as_array().unwrap();
    assert_eq!(rules[..kept.len()], kept);
    assert_eq!(rules[kept.len()]["resources"], pods["resources"]);
    assert_eq!(role["metadata"]["labels"]["team"], "data");
    let subjects = object(&cluster, "rolebinding").await["subjects"].clone();
    assert_eq!([&subjects[0]["name"], &subjects[1]["name"]], ["data", "emr-containers"]);

    // A binding of that name which binds another role stays, and so does everything else.
    kubectl(&cluster, &["delete", "rolebinding", "emr-containers", "-n", "jobs"], "").await;
    let args =
        ["create", "rolebinding", "emr-containers", "-n", "jobs", "--clusterrole=view", "--group=data"];
    kubectl(&cluster, &args, "").await;
    let before = state(&cluster).await;
    let stderr = told(&cluster, &SERVICE, 1).await;
    assert!(stderr.contains("binds clusterrole/view"), "{stderr}");
    assert!(stderr.contains("kubectl delete -n jobs rolebinding emr-containers"), "{stderr}");
    assert_eq!(state(&cluster).await, before);
}

/// Writes the object, whatever version is there.
async fn replace(cluster: &Cluster, object: &Value) {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    kubectl(cluster, &["replace", "-f", "-"], &object.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_names_services_and_the_credentials_tell_the_account() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    kubectl(&cluster, &["create", "namespace", "jobs"], "").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.yaml");
    let write = |mappings: &str| fs::write(&file, format!("iamIdentityMappings:\n{mappings}")).unwrap();
    let create = ["create", "iamidentitymapping", "-f", file.to_str().unwrap()];
    let before = state(&cluster).await;

    // All of them or none.
    let refused = "- serviceName: emr-containers\n  namespace: jobs\n  account: '000000000012'\n\
                   - arn: arn:aws:iam::111122223333:user/bob\n  username: other\n  noDuplicateARNs: true\n";
    write(refused);
    assert!(told(&cluster, &create, 1).await.contains("already, in entry 1, and --no-duplicate-arns"));
    write("- serviceName: emr\n  namespace: jobs\n");
    assert!(told(&cluster, &create, 1).await.contains("known: emr-containers"));
    // Without an account, and without credentials that tell it.
    write("- serviceName: emr-containers\n  namespace: jobs\n");
    assert!(told(&cluster, &create, 1).await.contains("give it with --account ID"));
    assert_eq!(state(&cluster).await, before);

    let mut env = cluster.emulator.client_env();
    env.extend(cluster.principals.user("444455556666", "deployer").env());
    env.push(("AWS_REGION".to_owned(), REGION.to_owned()));
    let output = run(&cluster, &create, &env, "").await;
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stderr.contains("the account is that of the AWS credentials, 444455556666"), "{stderr}");
    let emr = cluster.principals.role("444455556666", "AWSServiceRoleForAmazonEMRContainers", "session");
    until(&cluster, &emr, true, Instant::now()).await;
    assert!(can_i(&cluster, &emr, &["create", "pods", "-n", "jobs"]).await);
}
