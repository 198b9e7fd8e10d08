//! aws-auth edited by command, on a real API server: what is not edited keeps every byte, and nobody's edit is lost.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use arngate::{
    edit::{Listed, list},
    mapping::Section,
};
use arngate_lab::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::support::{arngate, text};

/// As somebody has kept it for years.
const MAP_ROLES: &str = "# Platform team: ask in #platform before you edit.\n- rolearn: arn:aws:iam::111122223333:role/Node  \
                         # the nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - \
                         system:nodes\n\n- {\"username\": 'admin', rolearn: 'arn:aws:iam::111122223333:role/Admin', groups: \
                         [ system:masters ]}\n# - rolearn: arn:aws:iam::111122223333:role/Gone\n- groups: [viewers]\n  \
                         x-owner: {team: payments, ticket: 7}\n  username: \"viewer\"\n  rolearn: \
                         arn:aws:iam::111122223333:role/Viewer\n# the end\n";
const MAP_ACCOUNTS: &str = "[]\n";
const NEW: &str = "arn:aws:iam::111122223333:role/New";

struct Cluster {
    plane: ControlPlane,
    kubeconfig: PathBuf,
}

impl Cluster {
    async fn start() -> Self {
        let plane = ControlPlane::builder().start().await.unwrap();
        let kubeconfig = plane.admin_kubeconfig().to_owned();
        Self { plane, kubeconfig }
    }

    async fn kubectl(&self, args: &[&str], input: &str) -> String {
        let output = self.plane.kubectl_with_input(&self.kubeconfig, args, input).await.unwrap();
        assert!(output.success(), "{args:?}: {}", output.stderr);
        output.stdout
    }

    /// Makes aws-auth anew with this data.
    async fn write(&self, data: &Value) {
        self.kubectl(&["delete", "-n", "kube-system", "configmap/aws-auth", "--ignore-not-found"], "").await;
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {
                "name": "aws-auth", "namespace": "kube-system", "labels": {"team": "platform"},
                "annotations": {"note": "kept"},
            },
        });
        self.kubectl(&["create", "-f", "-"], &object.to_string()).await;
    }

    /// aws-auth as kubectl shows it.
    async fn read(&self) -> Value {
        let text = self.kubectl(&["get", "-n", "kube-system", "configmap/aws-auth", "-o", "json"], "").await;
        serde_json::from_str(&text).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = arngate();
        command.args(args).args(["--kubeconfig", self.kubeconfig.to_str().unwrap()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs arngate until it asks: it has read aws-auth by then. What it writes to stderr after that.
    fn asking(&self, args: &[&str]) -> (Child, ChildStderr) {
        let mut child = self.command(args).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !String::from_utf8_lossy(&seen).contains("[y/N]: ") {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        (child, stderr)
    }

    /// Runs arngate, with this on its standard input.
    async fn run_with(&self, args: &[&str], input: &str) -> Output {
        output(self.command(args).spawn().unwrap(), input.to_owned()).await
    }

    /// Runs arngate, which has to succeed; what it writes to stderr.
    async fn run(&self, args: &[&str]) -> String {
        let output = self.run_with(args, "").await;
        assert!(output.status.success(), "{args:?}: {}", text(&output).1);
        text(&output).1
    }

    /// Runs arngate, which has to fail, and leave all as it is; what it says.
    async fn refused(&self, args: &[&str]) -> String {
        let before = self.read().await;
        let output = self.run_with(args, "").await;
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output).1);
        assert_eq!(self.read().await, before, "{args:?}");
        text(&output).1
    }
}

async fn output(mut child: Child, input: String) -> Output {
    tokio::task::spawn_blocking(move || {
        // It may end without reading it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

fn start() -> Value {
    json!({"mapRoles": MAP_ROLES, "mapAccounts": MAP_ACCOUNTS, "notes": "of nobody's business\n"})
}

const ADD_ROLE: [&str; 9] =
    ["add", "role", "--prompt=false", "--rolearn", NEW, "--username", "new", "--groups", "a,b"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_edited_keeps_every_byte() {
    let cluster = Cluster::start().await;
    cluster.write(&start()).await;
    let added = format!("- rolearn: {NEW}\n  username: new\n  groups:\n  - a\n  - b\n");

    let stderr = cluster.run(&ADD_ROLE).await;
    assert!(
        stderr.contains("--- a/mapRoles\n+++ b/mapRoles\n@@ ")
            && stderr.contains(&format!("+- rolearn: {NEW}\n"))
    );
    assert!(!stderr.contains('\x1b'), "no colours where there is no terminal: {stderr}");
    let object = cluster.read().await;
    assert_eq!(object["data"]["mapRoles"], format!("{MAP_ROLES}{added}"));
    assert_eq!(object["data"]["notes"], start()["notes"]);
    assert_eq!(object["data"]["mapAccounts"], MAP_ACCOUNTS);
    assert_eq!(object["metadata"]["labels"]["team"], "platform");
    assert_eq!(object["metadata"]["annotations"]["note"], "kept");
    println!(
        "{stderr}{}",
        cluster.kubectl(&["get", "-n", "kube-system", "cm/aws-auth", "-o", "yaml"], "").await
    );

    let user = "arn:aws:iam::111122223333:user/bob";
    cluster
        .run(&["add", "user", "--prompt=false", "--userarn", user, "--username", "bob", "--groups", "dev"])
        .await;
    let sso = "permissionSetName=Admins,accountID=000000000012";
    cluster.run(&["add", "role", "--prompt=false", "--sso", sso, "--username", "sso", "--groups", "g"]).await;
    let object = cluster.read().await;
    let roles = object["data"]["mapRoles"].as_str().unwrap();
    assert!(
        roles.starts_with(&format!("{MAP_ROLES}{added}- sso:\n    permissionSetName: Admins\n")),
        "{roles}"
    );
    assert_eq!(
        object["data"]["mapUsers"],
        format!("- userarn: {user}\n  username: bob\n  groups:\n    - dev\n")
    );

    // Back to the byte, and forth again.
    cluster.run(&["undo", "--prompt=false"]).await;
    assert_eq!(cluster.read().await["data"]["mapRoles"], format!("{MAP_ROLES}{added}"));
    cluster.run(&["undo", "--prompt=false"]).await;
    assert_eq!(cluster.read().await["data"]["mapRoles"], roles);
    cluster.run(&["delete", "iamidentitymapping", "--arn", NEW]).await;
    let hand = json!({"data": {"mapRoles": format!("{MAP_ROLES}# by hand\n")}}).to_string();
    cluster.kubectl(&["patch", "-n", "kube-system", "cm/aws-auth", "-p", &hand], "").await;
    let told = cluster.refused(&["undo", "--prompt=false"]).await;
    assert!(told.contains("has been edited since"), "{told}");
    cluster.run(&["undo", "--prompt=false", "--force"]).await;
    assert_eq!(cluster.read().await["data"]["mapRoles"], roles);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_unless_it_is_meant() {
    let cluster = Cluster::start().await;
    cluster.write(&start()).await;
    let before = cluster.read().await;
    let asking = ["add", "role", "--rolearn", NEW, "--username", "new", "--groups", "a"];
    for (args, input, code, told) in [
        (&[&ADD_ROLE[..], &["--dry-run"]].concat()[..], "", 0, "dry run"),
        (&asking, "n\n", 0, "cancelled"),
        (&asking, "\n", 0, "cancelled"),
        (&asking, "", 1, "--prompt=false"),
    ] {
        let output = cluster.run_with(args, input).await;
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(format!("{stdout}{stderr}").contains(told), "{told}: {stdout}{stderr}");
        assert!(stderr.contains(&format!("+- rolearn: {NEW}\n")), "the diff is shown: {stderr}");
        assert_eq!(cluster.read().await, before);
    }
    for (args, told) in [
        (
            &["--rolearn", "arn:aws:iam::111122223333:role/admin"][..],
            "maps arn:aws:iam::111122223333:role/admin already, in entry 2",
        ),
        (&["--rolearn", "arn:aws:iam::111122223333:group/g"], "would not take effect"),
        (&["--sso", "permissionSetName=A"], "accountID"),
    ] {
        let args =
            [&["add", "role", "--prompt=false", "--username", "u", "--groups", "g"][..], args].concat();
        let stderr = cluster.refused(&args).await;
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    let output = cluster.run_with(&asking, "YES\n").await;
    assert!(output.status.success() && cluster.read().await != before, "{}", text(&output).1);

    cluster.write(&json!({"mapRoles": "- rolearn: a\n\tusername: b\n", "mapUsers": "a: b"})).await;
    let told = cluster.refused(&ADD_ROLE).await;
    assert!(told.contains("mapRoles cannot be read as YAML (line 2, column 1: a tab"), "{told}");
    let user =
        ["add", "user", "--prompt=false", "--userarn", "arn:aws:iam::111122223333:user/u", "--username", "u"];
    let told = cluster.refused(&[&user[..], &["--groups", "g"]].concat()).await;
    assert!(told.contains("mapUsers is a mapping, not a list"), "{told}");

    // The server keeps who is in a list whose key is misspelt: a list of the right name would take them out.
    cluster.write(&json!({"map_roles": MAP_ROLES})).await;
    let create = ["create", "iamidentitymapping", "--arn", NEW, "--username", "new"];
    let delete = ["delete", "iamidentitymapping", "--arn", NEW];
    for args in [&ADD_ROLE[..], &create, &delete, &["get", "iamidentitymapping"]] {
        let told = cluster.refused(args).await;
        assert!(told.contains("there is no mapRoles, but map_roles"), "{told}");
    }
}

/// All annotations of an object may have 256 KiB together.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_finds_no_room_to_be_kept_is_made_and_that_is_told() {
    let cluster = Cluster::start().await;
    let long = format!("{MAP_ROLES}{}", "# a comment\n".repeat(9_000));
    cluster.write(&json!({"mapRoles": long})).await;
    let notes = ["one", "two"].map(|key| format!("{key}={}", "x".repeat(100_000)));
    let mut annotate = vec!["annotate", "-n", "kube-system", "configmap/aws-auth"];
    annotate.extend(notes.iter().map(String::as_str));
    cluster.kubectl(&annotate, "").await;
    let output = cluster.run_with(&ADD_ROLE, "").await;
    let (stdout, stderr) = text(&output);
    assert!(output.status.success() && stderr.contains("too long to be kept"), "{stderr}");
    assert!(stdout.contains("`arngate undo` cannot take it back"), "{stdout}");
    assert!(cluster.read().await["data"]["mapRoles"].as_str().unwrap().contains(NEW));
    assert!(cluster.refused(&["undo", "--prompt=false"]).await.contains("keeps no edit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_between_reading_and_writing_is_not_lost() {
    let cluster = Cluster::start().await;
    cluster.write(&start()).await;
    let add = ["add", "role", "--rolearn", NEW, "--username", "new", "--groups", "a"];
    let (child, mut stderr) = cluster.asking(&add);
    let theirs = format!("# theirs\n{MAP_ROLES}- rolearn: arn:aws:iam::111122223333:role/Theirs\n");
    let patch = json!({"data": {"mapRoles": theirs}}).to_string();
    cluster.kubectl(&["patch", "-n", "kube-system", "configmap/aws-auth", "-p", &patch], "").await;
    let outcome = output(child, "y\ny\n".to_owned()).await;
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(outcome.status.success(), "{rest}");
    assert!(rest.contains("somebody else has written configmap/aws-auth meanwhile"), "{rest}");
    assert!(rest.contains("[y/N]"), "it is another change: {rest}");
    let roles = cluster.read().await["data"]["mapRoles"].as_str().unwrap().to_owned();
    assert!(roles.starts_with(&theirs) && roles.contains(NEW), "{roles}");

    // What was agreed to is undone; an edit that came after the yes stays, though --force is given.
    let (child, mut stderr) = cluster.asking(&["undo", "--force"]);
    let patch = json!({"data": {"mapRoles": format!("{roles}# theirs as well\n")}}).to_string();
    cluster.kubectl(&["patch", "-n", "kube-system", "configmap/aws-auth", "-p", &patch], "").await;
    let outcome = output(child, "y\nn\n".to_owned()).await;
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(text(&outcome).0.contains("cancelled") && rest.contains("-# theirs as well\n"), "{rest}");
    let roles = cluster.read().await["data"]["mapRoles"].as_str().unwrap().to_owned();
    assert!(roles.ends_with("# theirs as well\n"), "{roles}");

    // Where the change is still the same, the yes holds.
    let user =
        ["add", "user", "--userarn", "arn:aws:iam::111122223333:user/u", "--username", "u", "--groups", "g"];
    let (child, mut stderr) = cluster.asking(&user);
    let patch = json!({"data": {"notes": "another one's"}}).to_string();
    cluster.kubectl(&["patch", "-n", "kube-system", "configmap/aws-auth", "-p", &patch], "").await;
    let outcome = output(child, "y\n".to_owned()).await;
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(outcome.status.success() && rest.contains("meanwhile") && !rest.contains("[y/N]"), "{rest}");
    cluster.run(&["delete", "iamidentitymapping", "--arn", "arn:aws:iam::111122223333:user/u"]).await;

    // Many at once, on a list that each of them makes longer.
    let children: Vec<_> = (0..6)
        .map(|number| {
            let arn = format!("arn:aws:iam::111122223333:user/u{number}");
            let mut command =
                cluster.command(&["create", "iamidentitymapping", "--username", "u", "--arn", &arn]);
            tokio::spawn(output_of(command.spawn().unwrap()))
        })
        .collect();
    let mut conflicts = 0;
    for child in children {
        let output = child.await.unwrap();
        assert!(output.status.success(), "{}", text(&output).1);
        conflicts += text(&output).1.matches("meanwhile").count();
    }
    let users = list(Section::Users, cluster.read().await["data"]["mapUsers"].as_str().unwrap()).unwrap();
    println!("6 writers at once, {conflicts} conflicts, {} entries", users.len());
    assert_eq!(users.len(), 6);
}

async fn output_of(child: Child) -> Output {
    output(child, String::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn eksctls_verbs_do_what_eksctl_does() {
    let cluster = Cluster::start().await;
    let (role, user) = ("arn:aws:iam::111122223333:role/Viewer", "arn:aws:iam::111122223333:user/bob");
    // There is no aws-auth: it is made.
    let stderr =
        cluster.run(&["create", "iamidentitymapping", "--arn", user, "--group", "a", "--group", "b"]).await;
    assert!(stderr.contains("it will be made") && stderr.contains("--- /dev/null"), "{stderr}");
    assert_eq!(
        cluster.read().await["data"],
        json!({"mapUsers": format!("- userarn: {user}\n  groups:\n    - a\n    - b\n")})
    );

    cluster.write(&start()).await;
    let shadowing = ["create", "iamidentitymapping", "--arn", role, "--username", "v", "--group", "g"];
    let told = cluster.refused(&[&shadowing[..], &["--no-duplicate-arns"]].concat()).await;
    assert!(told.contains("already, in entry 3"), "{told}");
    let told = cluster.run(&shadowing).await;
    assert!(told.contains("the new entry takes its place"), "{told}");
    let table = text(&cluster.run_with(&["get", "iamidentitymapping", "--arn", role], "").await).0;
    println!("{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
    let told = cluster.run(&["delete", "iamidentitymapping", "--arn", role]).await;
    assert!(told.contains("1 more of the entries"), "{told}");
    let roles = cluster.read().await["data"]["mapRoles"].as_str().unwrap().to_owned();
    assert!(roles.contains("Gone\n# the end\n- rolearn: ") && !roles.contains("payments"), "{roles}");
    cluster.run(&["delete", "iamidentitymapping", "--arn", role, "--all"]).await;
    assert!(cluster.refused(&["delete", "iamidentitymapping", "--arn", role]).await.contains("no entry of"));
    assert!(cluster.refused(&["get", "iamidentitymapping", "--arn", role]).await.contains("no entry of"));

    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &format!("- arn: {user}\n  username: bob\n- account: '000000000012'\n"));
    cluster.run(&["create", "iamidentitymapping", "-f", &file]).await;
    let stdout = text(&cluster.run_with(&["get", "iamidentitymapping", "-o", "json"], "").await).0;
    let entries: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 4, "{entries}");
    assert_eq!(entries[3], json!({"account": "000000000012"}));
    let file = write(
        folder.path(),
        &format!("- arn: {NEW}\n  username: n\n- arn: {user}\n  username: b\n  noDuplicateARNs: true\n"),
    );
    assert!(
        cluster.refused(&["create", "iamidentitymapping", "-f", &file]).await.contains("already"),
        "all or none"
    );
    cluster.run(&["delete", "iamidentitymapping", "--account", "000000000012"]).await;
    assert_eq!(cluster.read().await["data"]["mapAccounts"], "");
}

fn write(folder: &Path, mappings: &str) -> String {
    let path = folder.join("cluster.yaml");
    fs::write(
        &path,
        format!("apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\niamIdentityMappings:\n{mappings}"),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_program_and_arngate_add_the_same_entries() {
    let cluster = Cluster::start().await;
    let go = cluster.plane.assets().go_authenticator();
    let user =
        ["user", "--userarn", "arn:aws:iam::111122223333:user/bob", "--username", "bob", "--groups", "a,b"];
    let role = ["role", "--rolearn", NEW, "--username", "new:{{SessionName}}", "--groups", "a"];
    let sso = [
        "role",
        "--sso",
        "permissionSetName=Admins,accountID=000000000012",
        "--username",
        "s",
        "--groups",
        "a",
    ];
    let twice =
        ["role", "--rolearn", "arn:aws:iam::111122223333:role/admin", "--username", "x", "--groups", "a"];
    // Theirs ends in a nil pointer where it is given --sso (its cmd/aws-iam-authenticator/add.go, line 107).
    for (args, codes) in [(&user, [0, 0]), (&role, [0, 0]), (&sso, [2, 0]), (&twice, [1, 1])] {
        let mut results = Vec::new();
        for (program, code) in [&*go, Path::new(env!("CARGO_BIN_EXE_arngate"))].into_iter().zip(codes) {
            cluster.write(&json!({"mapRoles": MAP_ROLES, "mapUsers": ""})).await;
            let mut command = Command::new(program);
            command.arg("add").args(args).args(["--prompt=false", "--kubeconfig"]).arg(&cluster.kubeconfig);
            command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = output_of(command.spawn().unwrap()).await;
            assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
            let data = cluster.read().await["data"].clone();
            let text = |section: Section| data[section.key()].as_str().unwrap_or_default().to_owned();
            let entries: Vec<Listed> =
                Section::ALL.iter().flat_map(|section| list(*section, &text(*section)).unwrap()).collect();
            results.push((entries, text(Section::Roles).starts_with(MAP_ROLES)));
        }
        let [(theirs, _), (ours, ours_keeps)] = results.as_slice() else { panic!() };
        assert_eq!(theirs == ours, codes[0] == codes[1], "{args:?}: theirs {theirs:?}, ours {ours:?}");
        assert!(ours_keeps);
        println!(
            "| add {} | {} entries | {} entries | keeps the rest: {} and {} |",
            args.join(" "),
            theirs.len(),
            ours.len(),
            results[0].1,
            results[1].1
        );
    }
    // Where there is no aws-auth, theirs fails.
    cluster.kubectl(&["delete", "-n", "kube-system", "configmap/aws-auth"], "").await;
    let mut command = Command::new(&go);
    command
        .arg("add")
        .args(role)
        .args(["--prompt=false", "--kubeconfig"])
        .arg(&cluster.kubeconfig)
        .env_clear();
    assert_eq!(
        tokio::task::spawn_blocking(move || command.output().unwrap().status.code()).await.unwrap(),
        Some(1)
    );
    cluster.run(&ADD_ROLE).await;
    assert!(
        cluster.read().await["data"]["mapRoles"].as_str().unwrap().starts_with(&format!("- rolearn: {NEW}"))
    );
}
