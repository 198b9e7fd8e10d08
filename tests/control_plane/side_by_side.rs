//! aws-iam-authenticator 0.7.18 and arngate on the same files, fed the same tokens: who each says that they are.
//! Every difference is in the table, with its reason in docs/migrating.md.

use std::time::Duration;

use arngate_lab::{
    control_plane::ControlPlane,
    sts::{Credentials, Emulator},
};
use serde_json::{Value, json};

use crate::{
    crd::{apply, install_the_kind, kubectl, mapping, until},
    support::{self, ACCOUNT, CLUSTER_ID, Setup, token},
    theirs::Theirs,
};

/// The user in an answer, with nothing that only one of the two writes for "nothing".
fn user(body: &Value) -> Value {
    if body["status"]["authenticated"] != true {
        return Value::Null;
    }
    let mut user = body["status"]["user"].clone();
    let user = user.as_object_mut().unwrap();
    user.retain(|_, value| !value.is_null() && *value != json!([]) && *value != json!({}));
    Value::Object(user.clone())
}

const MAPPINGS: &str = "  scrubbedAccounts: ['999900001111']
  reservedPrefixConfig:
  - {backendMode: MountedFile, usernamePrefixReserveList: ['reserved:']}
  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Plain', username: plain, groups: [a, b]}
  - roleARN: arn:aws:iam::111122223333:role/Templates
    username: '{{AccountID}}:{{SessionName}}:{{SessionNameRaw}}:{{AccessKeyID}}:{{Other}}'
    groups: ['{{AccountID}}', 'x-{{SessionName}}']
  - {rolearn: 'arn:aws:iam::111122223333:role/Twice', username: first, groups: [first]}
  - {rolearn: 'arn:aws:iam::111122223333:role/Twice', username: last}
  - {rolearn: 'arn:aws:iam::111122223333:role/MixedCase', username: mixed}
  - {rolearn: 'arn:aws:iam::111122223333:role/with/path/Pathed', username: pathed}
  - {rolearn: 'arn:aws:iam::111122223333:role/Reserved', username: 'reserved:{{SessionName}}'}
  - {rolearn: 'arn:aws:iam::999900001111:role/Support', username: support, groups: [helpers]}
  - {rolearn: 'arn:aws:sts::111122223333:assumed-role/Session/alice', username: session}
  - {rolearn: 'arn:aws:iam::111122223333:role/Weak', username: weak, groups: 'dev, ops,x'}
  - sso: {permissionSetName: Admins, accountID: '111122223333'}
    username: 'sso:{{SessionName}}'
    groups: [admins]
  mapUsers:
  - {userarn: 'arn:aws:iam::111122223333:user/bob', username: bob, groups: [developers]}
  - {userarn: 'arn:aws:iam::111122223333:user/ops/carol', username: carol}
  - {userarn: 'arn:aws:iam::111122223333:root', username: root-of-one}
  - {userarn: 'arn:aws:sts::111122223333:federated-user/dora', username: dora}
  - {userarn: 'ARN:aws:iam::111122223333:User/Upper', username: upper}
  - {userarn: 'arn:aws:iam::111122223333:user/nameless', username: '{{SessionName}}', groups: [nameless]}
  mapAccounts: '222233334444,000000000012'
---
clusterID: another
";

/// The same for aws-auth; the file's sections that are no mappings do not apply there.
const MAP_ROLES: &str = "- {rolearn: 'arn:aws:iam::111122223333:role/Plain', username: plain, groups: [a, b]}
- {roleARN: 'arn:aws:iam::111122223333:role/Templates', userName: 't:{{SessionName}}', gRoUpS: ['{{AccountID}}']}
- {rolearn: 'arn:aws:iam::111122223333:role/Twice', username: first}
- {rolearn: 'arn:aws:iam::111122223333:role/Twice', username: last, groups: [last]}
- {rolearn: 'arn:aws:iam::111122223333:role/with/path/Pathed', username: pathed}
- {rolearn: 'arn:aws:sts::111122223333:assumed-role/Session/alice', username: session}
- {rolearn: 'arn:aws:sts::111122223333:assumed-role/Plain/alice', username: plain, groups: [administrators]}
- {rolearn: 'ARN:AWS:iam::111122223333:Role/UpperRole', username: upper-role}
---
- {rolearn: 'arn:aws:iam::111122223333:role/Behind', username: behind}
";
const MAP_USERS: &str =
    "- {userarn: 'arn:aws:iam::111122223333:user/bob', username: bob, groups: [developers]}
- {userarn: 'arn:aws:iam::111122223333:user/ops/carol', username: carol}
- {userarn: 'ARN:aws:iam::111122223333:User/Upper', username: upper}
- {userarn: 'arn:aws:iam::111122223333:user/nameless', username: '{{SessionName}}', groups: [nameless]}
";

/// Whether the two must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// They do, whoever it is.
    Same,
    /// Where theirs lets nobody in, ours may: the reason.
    OrOnlyOurs(&'static str),
    /// They do, but where theirs gives an empty username, ours gives this one.
    ButNamed(&'static str),
}

fn cases(emulator: &Emulator) -> Vec<(&'static str, Credentials, Want)> {
    let principals = emulator.principals();
    let role = |name, session| principals.role(ACCOUNT, name, session);
    vec![
        ("a role", role("Plain", "alice"), Want::Same),
        ("a role, in another case", role("PLAIN", "alice"), Want::Same),
        ("templates", role("Templates", "alice@example.com"), Want::Same),
        ("the last of two entries", role("Twice", "s"), Want::Same),
        ("a role written in mixed case", role("mixedcase", "s"), Want::Same),
        ("a role written with its path", role("Pathed", "s"), Want::OrOnlyOurs("STS never shows the path")),
        ("a reserved username", role("Reserved", "s"), Want::Same),
        ("a scrubbed account's role", principals.role("999900001111", "Support", "s"), Want::Same),
        ("a permission set", role("AWSReservedSSO_Admins_0123456789abcdef", "eve@example.com"), Want::Same),
        ("another permission set", role("AWSReservedSSO_Others_0123456789abcdef", "eve"), Want::Same),
        ("a user", principals.user(ACCOUNT, "bob"), Want::Same),
        ("a user with a path", principals.user(ACCOUNT, "ops/carol"), Want::Same),
        ("the same name without the path", principals.user(ACCOUNT, "carol"), Want::Same),
        ("root", principals.root(ACCOUNT), Want::Same),
        ("a federated user", principals.federated_user(ACCOUNT, "dora"), Want::Same),
        ("a user of a mapped account", principals.user("222233334444", "x/y"), Want::Same),
        ("a role of a mapped account", principals.role("000000000012", "R", "s"), Want::Same),
        ("a role of whose session there is a mapping", role("Session", "alice"), Want::Same),
        ("a user whose ARN's words are in another case", principals.user(ACCOUNT, "Upper"), Want::Same),
        ("a role whose ARN's words are in another case", role("UpperRole", "s"), Want::Same),
        ("groups as one text with commas", role("Weak", "s"), Want::Same),
        ("a role in a second document", role("Behind", "s"), Want::Same),
        (
            "a username of which nothing is left",
            principals.user(ACCOUNT, "nameless"),
            Want::ButNamed("arn:aws:iam::111122223333:user/nameless"),
        ),
        ("a stranger", principals.user(ACCOUNT, "mallory"), Want::Same),
    ]
}

/// `user`, whose username is empty, with the username `name`.
fn named(mut user: Value, name: &str) -> Value {
    assert!(user["username"].as_str().is_none_or(str::is_empty), "{user}");
    user["username"] = json!(name);
    user
}

/// Asks both about every case, prints the table, and counts those who are let in.
async fn compare(backend: &str, emulator: &Emulator, theirs: &Theirs, ours: &support::Server) -> usize {
    let (mut let_in, mut wrong) = (0, Vec::new());
    for (name, credentials, want) in cases(emulator) {
        let token = token(&credentials);
        let (they, we) = (user(&theirs.review(&token).await), user(&ours.review(&token).await.body));
        let short = |user: &Value| user["username"].as_str().unwrap_or("-").to_owned();
        println!("| {backend} | {name} | {} | {} |", short(&they), short(&we));
        let_in += usize::from(!we.is_null());
        let holds = match want {
            Want::Same => they == we,
            Want::OrOnlyOurs(_) => they == we || they.is_null(),
            Want::ButNamed(name) => they == we || named(they.clone(), name) == we,
        };
        if !holds {
            wrong.push(format!("{name} ({want:?}):\n  theirs {they}\n  ours   {we}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let_in
}

/// Theirs has no readiness: it is asked until it knows the first of its entries.
async fn until_they_have_loaded(theirs: &Theirs, emulator: &Emulator) {
    let plain = token(&emulator.principals().role(ACCOUNT, "Plain", "alice"));
    for _ in 0..100 {
        if !user(&theirs.review(&plain).await).is_null() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the Go program does not load its mappings");
}

/// A dynamic file in which every entry names a user ID; that of Twice is another principal's.
fn dynamic_file(emulator: &Emulator) -> Value {
    let principals = emulator.principals();
    let user_id = |credentials: &Credentials| {
        let user_id = principals.get(&credentials.access_key_id).unwrap().user_id.clone();
        user_id.split(':').next().unwrap().to_owned()
    };
    let role = |name: &str| {
        let user_id = user_id(&principals.role(ACCOUNT, name, "s"));
        json!({"rolearn": format!("arn:aws:iam::{ACCOUNT}:role/{name}"), "username": name, "userid": user_id})
    };
    let mut other = role("Twice");
    other["userid"] = json!("AROAANOTHERPRINCIPAL0");
    let mut pathed = role("Pathed");
    pathed["rolearn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/with/path/Pathed"));
    let bob = user_id(&principals.user(ACCOUNT, "bob"));
    json!({
        "LastUpdatedDateTime": "1700000000", "Version": "1",
        "mapRoles": [role("Plain"), role("Templates"), other, pathed],
        "mapUsers": [{
            "userarn": format!("arn:aws:iam::{ACCOUNT}:user/bob"), "username": "bob", "userid": bob, "groups": ["g"],
        }],
        "mapAccounts": ["000000000012"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_and_tokens_give_the_same_users() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (emulator, _) = support::emulator().await;
    let control_plane = ControlPlane::builder().start().await.unwrap();
    let admin = control_plane.admin_kubeconfig().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let config = |server: &str| format!("clusterID: {CLUSTER_ID}\nserver:\n{server}");

    let theirs = Theirs::start(&control_plane, &emulator, &config(MAPPINGS), folder.path(), &admin, 0);
    let ours = Setup::new(&emulator, MAPPINGS).start();
    assert_eq!(compare("MountedFile", &emulator, &theirs, &ours).await, 18);
    drop(theirs);

    for (strict, let_in) in [(false, 7), (true, 5)] {
        let file = folder.path().join("mappings.json");
        std::fs::write(&file, dynamic_file(&emulator).to_string()).unwrap();
        let server = format!(
            "  backendMode: [DynamicFile]\n  dynamicfilepath: {}\n  dynamicfileUserIDStrict: {strict}\n",
            file.display()
        );
        let theirs = Theirs::start(&control_plane, &emulator, &config(&server), folder.path(), &admin, 0);
        let ours = Setup::new(&emulator, &server).start();
        ours.wait_until_ready().await;
        until_they_have_loaded(&theirs, &emulator).await;
        let backend = if strict { "DynamicFile, strict" } else { "DynamicFile" };
        assert_eq!(compare(backend, &emulator, &theirs, &ours).await, let_in);
    }

    let manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": MAP_ROLES, "mapUsers": MAP_USERS, "mapAccounts": "- 000000000012\n"},
    });
    let applied =
        control_plane.kubectl_with_input(&admin, &["apply", "-f", "-"], &manifest.to_string()).await;
    assert!(applied.unwrap().success());
    let backend = "  backendMode: [EKSConfigMap]\n";
    let theirs = Theirs::start(&control_plane, &emulator, &config(backend), folder.path(), &admin, 0);
    let ours = Setup::new(&emulator, backend).arg("--kubeconfig", admin.to_str().unwrap()).start();
    ours.wait_until_ready().await;
    until_they_have_loaded(&theirs, &emulator).await;
    assert_eq!(compare("EKSConfigMap", &emulator, &theirs, &ours).await, 11);
}

/// As [`MAPPINGS`] has them. Two objects for one principal are not among them: theirs takes either.
fn objects() -> Vec<Value> {
    let arn = |resource: &str| format!("arn:aws:iam::{ACCOUNT}:{resource}");
    let mut none = mapping("no-groups", &arn("role/MixedCase"), "mixed");
    none["spec"].as_object_mut().unwrap().remove("groups");
    vec![
        mapping("plain", &arn("role/Plain"), "plain"),
        mapping(
            "templates",
            &arn("role/Templates"),
            "{{AccountID}}:{{SessionName}}:{{SessionNameRaw}}:{{AccessKeyID}}",
        ),
        mapping("pathed", &arn("role/with/path/Pathed"), "pathed"),
        mapping("reserved", &arn("role/Reserved"), "reserved:{{SessionName}}"),
        mapping("support", "arn:aws:iam::999900001111:role/Support", "support"),
        mapping("session", &format!("arn:aws:sts::{ACCOUNT}:assumed-role/Twice/somebody"), "session"),
        mapping("bob", &arn("user/bob"), "bob"),
        mapping("carol", &arn("user/ops/carol"), "carol"),
        mapping("root", &arn("root"), "root-of-one"),
        mapping("dora", &format!("arn:aws:sts::{ACCOUNT}:federated-user/dora"), "dora"),
        none,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_objects_give_the_same_users_while_both_keep_their_status() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (emulator, _) = support::emulator().await;
    let plane = ControlPlane::builder().start().await.unwrap();
    let admin = plane.admin_kubeconfig().to_owned();
    let folder = tempfile::tempdir().unwrap();
    install_the_kind(&plane).await;
    let backend = "  backendMode: [CRD]
  scrubbedAccounts: ['999900001111']
  reservedPrefixConfig:
  - {backendMode: CRD, usernamePrefixReserveList: ['reserved:']}
";
    let config = format!("clusterID: {CLUSTER_ID}\nserver:\n{backend}");
    let theirs = Theirs::start(&plane, &emulator, &config, folder.path(), &admin, 0);
    let ours = Setup::new(&emulator, backend).arg("--kubeconfig", admin.to_str().unwrap()).start();
    ours.wait_until_ready().await;
    for object in objects() {
        apply(&plane, &object).await;
    }
    // Each object's name, version and status.
    let listed = async || -> Vec<(String, Value, Value)> {
        let list = kubectl(&plane, &["get", "iamidentitymappings", "-o", "json"]).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        let object = |object: &Value| {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str().unwrap().to_owned();
            (name, metadata["resourceVersion"].clone(), object["status"].clone())
        };
        list["items"].as_array().unwrap().iter().map(object).collect()
    };
    let limit = Duration::from_secs(30);
    until("every status", limit, async || {
        listed().await.iter().all(|(_, _, status)| status["canonicalARN"].is_string())
    })
    .await;
    // Theirs knows an object once its status has come back by the watch.
    for (name, credentials, _) in cases(&emulator) {
        let token = token(&credentials);
        if name != "a role written with its path" && !user(&ours.review(&token).await.body).is_null() {
            until(name, limit, async || !user(&theirs.review(&token).await).is_null()).await;
        }
    }
    assert_eq!(compare("CRD", &emulator, &theirs, &ours).await, 11);

    let before = listed().await;
    let plain = token(&emulator.principals().role(ACCOUNT, "Plain", "alice"));
    let edited = mapping("plain", &format!("arn:aws:iam::{ACCOUNT}:role/Plain"), "edited");
    apply(&plane, &edited).await;
    until("the edit", limit, async || {
        let (they, we) = (theirs.review(&plain).await, ours.review(&plain).await.body);
        user(&they)["username"] == "edited" && user(&we)["username"] == "edited"
    })
    .await;
    let but_plain = |list: Vec<(String, Value, Value)>| -> Vec<_> {
        list.into_iter().filter(|(name, _, _)| name != "plain").collect()
    };
    assert_eq!(but_plain(listed().await), but_plain(before), "neither writes what the other has written");

    // Theirs finds the old ARN in the status, and gives it what the edit was to give another.
    apply(&plane, &mapping("bob", "oops", "intruder")).await;
    let bob = token(&emulator.principals().user(ACCOUNT, "bob"));
    until("the broken edit", limit, async || {
        user(&theirs.review(&bob).await)["username"] == "intruder" && ours.log_text().contains("spec.arn")
    })
    .await;
    assert_eq!(user(&ours.review(&bob).await.body)["username"], "bob");
}
