//! `arngate explain` says of each principal what the server of the same file and flags says.

mod support;

use std::{fs, io::Write, path::Path, process::Stdio};

use arngate_lab::config_map_api::ConfigMapApi;
use serde_json::{Value, json};
use support::{ACCOUNT, Setup, arngate, emulator, text, token};

const SCRUBBED: &str = "444455556666";
const AWS_AUTH: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/Admin
      username: admin:{{SessionName}}
      groups: [system:masters, 'of:{{AccountID}}']
    - rolearn: arn:aws:iam::111122223333:role/Node
      username: system:node:{{EC2PrivateDNSName}}
      groups: [system:nodes]
";
const OBJECTS: &str = "apiVersion: v1
kind: List
items:
- apiVersion: iamauthenticator.k8s.aws/v1alpha1
  kind: IAMIdentityMapping
  metadata: {name: ops}
  spec: {arn: 'arn:aws:iam::111122223333:role/Ops', username: ops, groups: [ops]}
";

const DYNAMIC: &str = r#"{"mapRoles":
    [{"rolearn": "arn:aws:iam::111122223333:role/Admin", "username": "a:{{SessionNameRaw}}"}]}"#;
const SERVER: &str = "  backendMode: [MountedFile]
  dynamicfilepath: DYNAMIC
  dynamicBackendModePath: MODE
  adminPrincipals: ['arn:aws:iam::111122223333:role/Creator']
  scrubbedAccounts: ['444455556666']
  reservedPrefixConfig: [{backendMode: MountedFile, usernamePrefixReserveList: ['system:']}]
  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: 'second'}
  - {rolearn: 'arn:aws:iam::111122223333:role/Reserved', username: 'system:{{SessionName}}'}
  - {sso: {permissionSetName: View, accountID: '111122223333'}, username: viewer}
  - {rolearn: 'arn:aws:iam::444455556666:role/Hidden', username: hidden, groups: [g]}
  - {rolearn: 'arn:aws:iam::111122223333:role/Pinned', username: p, userid: AROAOTHER}
  - {rolearn: 'arn:aws:iam::111122223333:role/Node', username: 'n:{{EC2PrivateDNSName}}'}
  mapUsers: [{userarn: 'arn:aws:iam::111122223333:user/bob', username: bob, groups: [developers]}]
  mapAccounts: ['777788889999']
";

/// Runs the binary in `folder`; exit code, output, errors.
fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = arngate().current_dir(folder).args(args).output().unwrap();
    let (stdout, stderr) = text(&output);
    (output.status.code().unwrap(), stdout, stderr)
}

/// The JSON that explain prints, with its exit code.
fn explain(folder: &Path, args: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = run(folder, &[&["explain", "-o", "json"], args].concat());
    let json = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{args:?}: {stdout}{stderr}"));
    (code, json)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Everybody in turn, on a server with every backend that needs no cluster, and every rule.
#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_is_what_the_server_says() {
    let (emulator, principals) = emulator().await;
    let folder =
        folder(&[("dynamic.json", DYNAMIC), ("mode.json", r#"{"backendMode": "DynamicFile MountedFile"}"#)]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = SERVER.replace("DYNAMIC", &at("dynamic.json")).replace("MODE", &at("mode.json"));
    let server = Setup::new(&emulator, &config).arg("--feature-gates", "SSORoleMatch=false").start();
    server.wait_until_ready().await;
    let set = "AWSReservedSSO_View_0123456789abcdef";
    let mut reasons = Vec::new();
    for (caller, arn) in [
        (principals.role(ACCOUNT, "Creator", "alice"), "role/Creator"),
        (principals.role(ACCOUNT, "Admin", "a@x.org"), "role/Admin"),
        (principals.role(ACCOUNT, "Reserved", "alice"), "role/Reserved"),
        (principals.role(ACCOUNT, set, "alice"), &*format!("role/{set}")),
        (principals.role(ACCOUNT, "Pinned", "alice"), "role/Pinned"),
        (principals.role(ACCOUNT, "Node", "alice"), "role/Node"),
        (principals.user(ACCOUNT, "bob"), "user/bob"),
        (principals.user(ACCOUNT, "mallory"), "user/mallory"),
        (principals.user("777788889999", "carol"), "user/carol"),
        (principals.role(SCRUBBED, "Hidden", "alice"), "role/Hidden"),
    ] {
        let key = caller.access_key_id.clone();
        let user_id = principals.get(&key).unwrap().user_id.clone();
        let account = principals.get(&key).unwrap().account.clone();
        let arn = format!("arn:aws:iam::{account}:{arn}");
        let session = if arn.ends_with("role/Admin") { "a@x.org" } else { "alice" };
        let config = server.path("config.yaml");
        let args = [
            &*arn,
            "-c",
            config.to_str().unwrap(),
            "--feature-gates",
            "SSORoleMatch=false",
            "--session-name",
            session,
            "--user-id",
            &user_id,
            "--access-key-id",
            &key,
        ];
        let (code, told) = tokio::task::block_in_place(|| explain(folder.path(), &args));
        let answer = server.review(&token(&caller)).await;
        let audit = server.audit().pop().unwrap();
        let status = &answer.body["status"];
        assert_eq!(told["reason"], audit["reason"], "{arn}");
        assert_eq!(code, if status["authenticated"] == true { 0 } else { 3 }, "{arn}: {told:#}");
        assert_eq!(user_of(&told), status["user"], "{arn}: {told:#}");
        if !told["mapping"].is_null() {
            assert_eq!((&told["backend"], &told["mapping"]), (&audit["backend"], &audit["entry"]), "{arn}");
        }
        reasons.push(audit["reason"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        reasons,
        [
            "mapped",
            "mapped",
            "username_reserved",
            "not_mapped",
            "not_mapped",
            "not_rendered",
            "mapped",
            "not_mapped",
            "mapped",
            "mapped"
        ]
    );
}

/// The user that explain tells of, in the form of a TokenReview: there each extra field is a list, and none is left out.
fn user_of(told: &Value) -> Value {
    let mut user = told["user"].clone();
    let Some(fields) = user.as_object_mut() else { return Value::Null };
    if let Some(extra) = fields.get_mut("extra").and_then(Value::as_object_mut) {
        extra.values_mut().for_each(|value| *value = json!([value]));
    }
    user
}

#[test]
fn without_a_server_it_looks_at_what_it_is_given() {
    let folder = folder(&[("a.yaml", AWS_AUTH), ("o.yaml", OBJECTS), ("d.json", DYNAMIC)]);
    let (code, stdout, stderr) = run(
        folder.path(),
        &[
            "explain",
            "arn:aws:iam::111122223333:role/Admin",
            "--aws-auth",
            "a.yaml",
            "--session-name",
            "a@x.org",
        ],
    );
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "EKSConfigMap (a.yaml): mapRoles entry 1 (line 6) maps it
  username: admin:a-x.org (from admin:{{SessionName}})
  groups: system:masters, of:111122223333 (from of:{{AccountID}})
verdict: arn:aws:sts::111122223333:assumed-role/Admin/a@x.org is let in as admin:a-x.org
  uid: aws-iam-authenticator:111122223333:UNKNOWN
  extra: accessKeyId=UNKNOWN
  extra: arn=arn:aws:sts::111122223333:assumed-role/Admin/a@x.org
  extra: canonicalArn=arn:aws:iam::111122223333:role/Admin
  extra: principalId=UNKNOWN
  extra: sessionName=a@x.org
  extra: sigs.k8s.io/aws-iam-authenticator/principalId=UNKNOWN
"
    );
    let misspelt = AWS_AUTH.replace("{{SessionName}}", "{{SesionName}}");
    fs::write(folder.path().join("misspelt.yaml"), misspelt).unwrap();
    let args = ["explain", "--aws-auth", "misspelt.yaml", "arn:aws:iam::111122223333:role/Admin"];
    let (code, stdout, _) = run(folder.path(), &args);
    let told = "\n  {{SesionName}} is no template, and stays as it is; did you mean {{SessionName}}?\n";
    assert!(code == 0 && stdout.contains(told), "{stdout}");
    let all = ["--aws-auth", "a.yaml", "--iam-identity-mappings", "o.yaml", "--dynamic-file", "d.json"];
    let of = |arn: &str| explain(folder.path(), &[&[arn], &all[..]].concat());
    let (code, told) = of("arn:aws:iam::111122223333:role/Ops");
    assert_eq!(
        (code, &told["backend"], &told["mapping"]),
        (0, &"CRD".into(), &"IAMIdentityMapping ops".into())
    );
    assert_eq!(told["user"]["groups"], json!(["ops"]));
    // The first counts, and that others map it too is told.
    let (code, told) = of("arn:aws:iam::111122223333:role/Admin");
    assert_eq!((code, &told["backend"]), (0, &"EKSConfigMap".into()));
    assert_eq!(told["backends"][2]["match"]["username"], "a:SESSION");
    let (code, told) = of("arn:aws:iam::111122223333:role/Opps");
    assert_eq!((code, &told["verdict"], &told["reason"]), (3, &"denied".into(), &"not_mapped".into()));
    let near = &told["backends"][1]["nearMisses"][0];
    assert_eq!(near["mapping"], "IAMIdentityMapping ops");
    assert!(near["why"].as_str().unwrap().contains("the name differs"), "{near}");
}

#[test]
fn a_node_is_explained_with_its_instances_name_or_without() {
    let folder = folder(&[("a.yaml", AWS_AUTH)]);
    let node = "arn:aws:iam::111122223333:role/Node";
    let of = |more: &[&str]| explain(folder.path(), &[&[node, "--aws-auth", "a.yaml"], more].concat());
    let (code, told) = of(&[]);
    assert_eq!((code, &told["reason"]), (0, &"not_rendered".into()), "a mapping is theirs");
    assert!(told["notes"][0].as_str().unwrap().contains("--instance-name"), "{told:#}");
    let (code, _) = of(&["--session-name", "alice"]);
    assert_eq!(code, 3, "alice is no instance");
    let name = ["--session-name", "i-0123456789abcdef0", "--instance-name", "ip-10-0-0-1.ec2.internal"];
    let (code, told) = of(&name);
    assert_eq!((code, &told["user"]["username"]), (0, &"system:node:ip-10-0-0-1.ec2.internal".into()));
    // Nobody here has credentials for EC2: that is no verdict.
    let (code, told) = of(&["--session-name", "i-0123456789abcdef0"]);
    assert_eq!((code, &told["verdict"]), (1, &"unavailable".into()), "{told:#}");
}

#[test]
fn what_no_server_would_read_is_refused_not_answered() {
    let admin = "arn:aws:iam::111122223333:role/Admin";
    let folder = folder(&[
        ("a.yaml", AWS_AUTH),
        ("name.yaml", &AWS_AUTH.replace("name: aws-auth", "name: aws-auth-new")),
        ("namespace.yaml", &AWS_AUTH.replace("kube-system", "default")),
        ("o.yaml", OBJECTS),
        ("config.yaml", "clusterID: c\nserver: {backendMode: [MountedFile]}\n"),
        ("aws-cn.yaml", "clusterID: c\nserver: {partition: aws-cn, backendMode: [EKSConfigMap]}\n"),
    ]);
    for (args, told) in [
        (&["--aws-auth", "name.yaml"][..], "the ConfigMap here is \"aws-auth-new\" (line 1)"),
        (
            &["--aws-auth", "namespace.yaml"],
            "namespace.yaml:3: namespace is default, and aws-auth is read in kube-system",
        ),
        (&["--aws-auth", "-", "--iam-identity-mappings", "-"], "can be read but once"),
        (
            &["--aws-auth", "a.yaml", "-c", "config.yaml"],
            "a.yaml is for the backend EKSConfigMap, and this server's are MountedFile",
        ),
        (&["--iam-identity-mappings", "a.yaml"], "could not be read: a.yaml: holds no IAMIdentityMapping"),
        (&["--backend-mode", "DynamicFile"], "no file: set server.dynamicfilepath"),
    ] {
        let (code, stdout, stderr) = run(folder.path(), &[&["explain", admin], args].concat());
        assert!(code == 1 && format!("{stdout}{stderr}").contains(told), "{args:?}: {stdout}{stderr}");
    }
    let (code, told) = explain(folder.path(), &[admin, "--aws-auth", "a.yaml", "-c", "aws-cn.yaml"]);
    assert_eq!((code, &told["reason"]), (3, &"caller_other_partition".into()));
    let (code, _, stderr) = run(folder.path(), &["explain", "arn:aws:iam::111122223333:group/Admins"]);
    assert!(code == 2 && stderr.contains("IAM group is not a principal"), "{stderr}");
}

#[test]
fn a_mode_file_decides_which_backends_there_are_and_a_broken_one_nothing() {
    let config = "clusterID: c\nserver:\n  backendMode: [MountedFile]\n  dynamicBackendModePath: mode.json\n  \
                  dynamicfilepath: d.json\n";
    let folder = folder(&[("config.yaml", config), ("d.json", DYNAMIC)]);
    for (mode, backend, note) in [
        (None, "MountedFile", ""),
        (Some(r#"{"backendMode": "DynamicFile"}"#), "DynamicFile", "mode.json says which backends there are"),
        (Some("{"), "MountedFile", "a server keeps the backends that it has"),
    ] {
        if let Some(text) = mode {
            fs::write(folder.path().join("mode.json"), text).unwrap();
        }
        let (_, told) =
            explain(folder.path(), &["arn:aws:iam::111122223333:role/Admin", "-c", "config.yaml"]);
        assert_eq!(told["backends"][0]["name"], backend, "{told:#}");
        assert!(note.is_empty() || told["notes"][0].as_str().unwrap().contains(note), "{told:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_asked_as_the_server_asks_it_and_what_does_not_answer_is_no_verdict() {
    let api = ConfigMapApi::start().await.unwrap();
    let kubeconfig = api.kubeconfig();
    let nowhere = kubeconfig.replace(&api.url(), "http://127.0.0.1:1");
    let folder = folder(&[("kubeconfig", &kubeconfig), ("nowhere", &nowhere)]);
    let good = "- rolearn: arn:aws:iam::111122223333:role/Admin\n  username: admin\n";
    api.replace([("mapRoles".to_owned(), good.to_owned())].into());
    let of = |args: &[&str]| tokio::task::block_in_place(|| explain(folder.path(), args));
    let admin = "arn:aws:iam::111122223333:role/Admin";
    let (code, told) = of(&[admin, "--kubeconfig", "kubeconfig"]);
    assert_eq!((code, &told["user"]["username"]), (0, &"admin".into()), "{told:#}");
    let (code, told) = of(&[admin, "--kubeconfig", "nowhere"]);
    assert_eq!((code, &told["reason"]), (1, &"backend_not_loaded".into()), "{told:#}");
    assert!(told["backends"][0]["error"].as_str().unwrap().contains("cannot list configmap/aws-auth"));

    // A server's state directory: what it has kept of an entry that is broken now, or of a cluster that is away.
    let state =
        "clusterID: test-cluster\nserver:\n  backendMode: [EKSConfigMap]\n  port: 0\n  healthPort: 0\n";
    let server = Setup::without_sts("  backendMode: [EKSConfigMap]\n")
        .arg("--kubeconfig", folder.path().join("kubeconfig").to_str().unwrap())
        .start();
    server.wait_until_ready().await;
    let snapshot = server.path("state/aws-auth.snapshot");
    let written = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !snapshot.exists() && std::time::Instant::now() < written {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    api.replace([("mapRoles".to_owned(), good.replace("username", "\tusername"))].into());
    let config = format!("{state}  stateDir: {}\n", server.path("state").display());
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    for (kubeconfig, note) in [("kubeconfig", "1 mapping is kept"), ("nowhere", "what was last good at")] {
        let (_, told) = of(&[admin, "-c", "config.yaml", "--kubeconfig", kubeconfig]);
        assert_eq!(told["user"]["username"], "admin", "{told:#}");
        assert!(told["backends"][0]["notes"].to_string().contains(note), "{told:#}");
    }
    let (code, told) = of(&[admin, "--kubeconfig", "kubeconfig"]);
    assert_eq!(code, 3, "without the state directory: {told:#}");
    assert!(told["backends"][0]["findings"][0]["message"].as_str().unwrap().contains("a tab"), "{told:#}");
}

#[test]
fn it_reads_standard_input() {
    let mut child = arngate()
        .args(["explain", "arn:aws:iam::111122223333:role/Ops", "--iam-identity-mappings", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(OBJECTS.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output).0.starts_with("CRD (<stdin>): IAMIdentityMapping ops maps it\n"),
        "{}",
        text(&output).0
    );
}
