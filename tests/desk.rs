//! lint and diff, as somebody at a desk runs them; `explain.rs` has explain.

mod support;

use std::{fs, io::Write, path::Path, process::Stdio};

use arngate_lab::config_map_api::ConfigMapApi;
use serde_json::Value;
use support::{arngate, text};

const GOOD: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: aws-auth
  namespace: kube-system
data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/Admin
      username: admin:{{SessionName}}
      groups: [system:masters]
    - rolearn: arn:aws:iam::111122223333:role/Node
      username: system:node:{{EC2PrivateDNSName}}
      groups: [system:bootstrappers, system:nodes]
";

/// Runs the binary in `folder`; exit code, output, errors.
fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = arngate().current_dir(folder).args(args).output().unwrap();
    let (stdout, stderr) = text(&output);
    (output.status.code().unwrap(), stdout, stderr)
}

#[test]
fn nothing_in_aws_auth_moves_the_cursor_of_who_looks_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = "\"a\\e[1A\\e[2K\\n\"";
    fs::write(folder.path().join("old.yaml"), GOOD).unwrap();
    let edited =
        GOOD.replace("admin:{{SessionName}}", hidden).replace("system:nodes]", &format!("{hidden}]"));
    fs::write(folder.path().join("new.yaml"), edited).unwrap();
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    for (args, lines) in [
        (vec!["diff", "old.yaml", "new.yaml"], 2),
        (vec!["explain", "--aws-auth", "new.yaml", &role("Admin")], 11),
        (vec!["explain", "--aws-auth", "new.yaml", &role("Node")], 5),
    ] {
        let (_, stdout, stderr) = run(folder.path(), &args);
        assert!(stdout.chars().all(|c| c == '\n' || !c.is_control()), "{stdout:?}");
        assert!(stdout.contains("a\\u{1b}[1A\\u{1b}[2K\\n"), "{stdout}{stderr}");
        assert_eq!(stdout.lines().count(), lines, "{stdout}");
    }
}

/// What people break, with what lint says of it: the line in the file, and words.
#[test]
fn lint_says_what_is_wrong_at_its_line_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, edit, told) in [
        ("good.yaml", GOOD.to_owned(), "0 errors, 0 warnings; 2 mappings\n"),
        (
            "tab.yaml",
            GOOD.replace("      username: admin", "    \tusername: admin"),
            "tab.yaml:9:5: error: mapRoles: cannot be read as YAML (a tab in the indentation)",
        ),
        (
            "bracket.yaml",
            GOOD.replace("[system:masters]", "[system:masters"),
            "error: mapRoles: cannot be read as YAML",
        ),
        (
            "bar.yaml",
            GOOD.replace("mapRoles: |", "mapRoles:"),
            "bar.yaml:7:3: error: mapRoles: is a list, and a ConfigMap holds texts alone: the API server refuses the whole object; write `mapRoles: |`",
        ),
        (
            "hyphen.yaml",
            GOOD.replace(
                "    - rolearn: arn:aws:iam::111122223333:role/Node",
                "      rolearn: arn:aws:iam::111122223333:role/Node",
            ),
            "hyphen.yaml:11:7: error: mapRoles, entry 1: the field rolearn is there twice (line 8 too): two entries have become one",
        ),
        (
            "namespace.yaml",
            GOOD.replace("namespace: kube-system", "namespace: default"),
            "namespace.yaml:5:14: error: metadata: namespace is default, and aws-auth is read in kube-system alone; write \
             namespace: kube-system\n1 error, ",
        ),
        (
            "placeholder.yaml",
            GOOD.replace(
                "arn:aws:iam::111122223333:role/Node",
                "<ARN of instance role (not instance profile)>",
            ),
            "placeholder.yaml:11:16: error: mapRoles, entry 2: rolearn \"<ARN of instance role (not instance profile)>\" is no ARN that can be mapped",
        ),
    ] {
        fs::write(folder.path().join(name), edit).unwrap();
        let (code, stdout, stderr) = run(folder.path(), &["lint", name]);
        assert_eq!(code, if name == "good.yaml" { 0 } else { 3 }, "{name}: {stdout}{stderr}");
        assert!(stdout.contains(told), "{name}:\n{stdout}\ndoes not contain\n{told}");
        println!("{stdout}");
    }
    fs::write(folder.path().join("dedented.yaml"), GOOD.replace("    - rolearn", "- rolearn")).unwrap();
    let (code, stdout, _) = run(folder.path(), &["lint", "dedented.yaml"]);
    assert_eq!(code, 3);
    assert!(stdout.contains("the file is no YAML, and kubectl refuses it"), "{stdout}");
}

#[test]
fn lint_writes_json_and_annotations_and_reads_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let warns = GOOD.replace("EC2PrivateDNSName", "InstanceName");
    fs::write(folder.path().join("a.yaml"), &warns).unwrap();
    let (code, stdout, _) = run(folder.path(), &["lint", "-o", "json", "a.yaml"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["warnings"], &report["mappings"]), (0, &1.into(), &2.into()));
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["severity"], &finding["place"]),
        (&12.into(), &"warning".into(), &"mapRoles, entry 2".into())
    );
    let advice = finding["advice"].as_str().unwrap();
    assert!(advice.starts_with("there are {{AccountID}}, "), "{advice}");

    let (code, stdout, _) = run(folder.path(), &["lint", "-o", "github", "--strict", "a.yaml"]);
    assert_eq!(code, 3);
    assert!(
        stdout.starts_with("::warning file=a.yaml,line=12,col=17,title=aws-auth::mapRoles, entry 2: "),
        "{stdout}"
    );

    let mut child =
        arngate().args(["lint", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output).0.as_str()),
        (Some(0), "0 errors, 0 warnings; 2 mappings\n")
    );
}

#[test]
fn several_files_are_linted_at_once_and_a_list_alone_is_taken_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.yaml", GOOD);
    write("b.yaml", "- rolearn: arn:aws:iam::111122223333:role/A\n- rolearn: x\n");
    let list = GOOD.replace('\n', "\n  ");
    write(
        "c.yaml",
        &format!("kind: Namespace\n---\napiVersion: v1\nkind: List\nitems:\n- {}\n", list.trim_end()),
    );
    let (code, stdout, _) = run(folder.path(), &["lint", "a.yaml", "b.yaml", "c.yaml"]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.starts_with("b.yaml:1:3: warning: mapRoles, entry 1: "), "{stdout}");
    assert!(stdout.contains("\nb.yaml:2:12: error: mapRoles, entry 2: rolearn \"x\" is no ARN"), "{stdout}");
    assert!(
        stdout.ends_with("\nb.yaml: taken for the value of mapRoles\n1 error, 1 warning; 5 mappings\n"),
        "{stdout}"
    );
    let (code, stdout, _) = run(folder.path(), &["lint", "-o", "json", "b.yaml"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["files"][0]["takenFor"]), (3, &"mapRoles".into()));
    // What one file holds is told, also where another cannot be read.
    let (code, stdout, stderr) = run(folder.path(), &["lint", "absent.yaml", "a.yaml"]);
    assert_eq!((code, stdout.as_str()), (1, "0 errors, 0 warnings; 2 mappings\n"));
    assert!(stderr.contains("cannot read absent.yaml"), "{stderr}");
    let (code, stdout, _) = run(folder.path(), &["lint", "-o", "github", "b.yaml"]);
    assert!(code == 3 && stdout.contains("\n::error file=b.yaml,line=2,col=12,title=aws-auth::"), "{stdout}");
}

#[test]
fn diff_refuses_what_no_server_reads_and_standard_input_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("b.yaml"), GOOD.replace("kube-system", "default")).unwrap();
    for (args, told) in [
        (
            ["diff", "a.yaml", "b.yaml"],
            "b.yaml:5: namespace is default, and aws-auth is read in kube-system alone",
        ),
        (["diff", "-", "-"], "standard input (-) can be read but once"),
        (["lint", "-", "-"], "standard input (-) can be read but once"),
    ] {
        let (code, stdout, stderr) = run(folder.path(), &args);
        assert!(code == 1 && stdout.is_empty() && stderr.contains(told), "{args:?}: {stdout}{stderr}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other.yaml"), "kind: Namespace\n").unwrap();
    for (args, told) in [
        (["lint", "absent.yaml"], "cannot read absent.yaml"),
        (["lint", "other.yaml"], "holds no ConfigMap aws-auth"),
    ] {
        let (code, _, stderr) = run(folder.path(), &args);
        assert_eq!(code, 1);
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn diff_says_who_gains_and_who_loses() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old.yaml"), GOOD).unwrap();
    let new = GOOD.replace("[system:masters]", "[viewers]").replace("role/Node", "role/NewNode");
    fs::write(folder.path().join("new.yaml"), new).unwrap();
    let (code, stdout, _) = run(folder.path(), &["diff", "old.yaml", "new.yaml"]);
    assert_eq!(code, 3);
    assert_eq!(
        stdout,
        "- arn:aws:iam::111122223333:role/node: system:node:{{EC2PrivateDNSName}} [system:bootstrappers, system:nodes]\n\
         ~ arn:aws:iam::111122223333:role/admin: admin:{{SessionName}} [-system:masters, +viewers]\n\
         + arn:aws:iam::111122223333:role/newnode: system:node:{{EC2PrivateDNSName}} [system:bootstrappers, system:nodes]\n"
    );
    assert_eq!(run(folder.path(), &["diff", "old.yaml", "old.yaml"]), (0, String::new(), String::new()));
    fs::write(folder.path().join("broken.yaml"), GOOD.replace("[system:masters]", "[system:masters"))
        .unwrap();
    let (code, stdout, stderr) = run(folder.path(), &["diff", "old.yaml", "broken.yaml"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "what is broken takes nobody's access");
    assert!(stderr.contains("broken.yaml: 1 error;"), "{stderr}");

    let (code, stdout, _) = run(folder.path(), &["diff", "-o", "json", "old.yaml", "new.yaml"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let changes: Vec<_> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["change"].as_str().unwrap())
        .collect();
    assert_eq!((code, changes), (3, vec!["loses", "changes", "gains"]));
    let admin = &report["changes"][1];
    assert_eq!(
        (&admin["subject"], &admin["before"]["groups"][0], &admin["after"]["groups"][0]),
        (&"arn:aws:iam::111122223333:role/admin".into(), &"system:masters".into(), &"viewers".into())
    );
    let (code, stdout, _) = run(folder.path(), &["diff", "-o", "json", "old.yaml", "old.yaml"]);
    assert_eq!((code, serde_json::from_str(&stdout).unwrap()), (0, serde_json::json!({"changes": []})));

    // Lists where a ConfigMap has texts: in aws-auth's data alone, and where somebody has forgotten the bar.
    let bare = "mapRoles:\n- rolearn: arn:aws:iam::111122223333:role/Admin\n  groups: [system:masters]\n";
    for (name, file) in [("bare.yaml", bare), ("bar.yaml", &GOOD.replace("mapRoles: |", "mapRoles:"))] {
        fs::write(folder.path().join(name), file).unwrap();
        let (code, stdout, stderr) = run(folder.path(), &["diff", name, name]);
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
        fs::write(folder.path().join("edited.yaml"), file.replace("system:masters", "viewers")).unwrap();
        let (code, stdout, _) = run(folder.path(), &["diff", name, "edited.yaml"]);
        assert!(code == 3 && stdout.starts_with("~ ") && stdout.lines().count() == 1, "{stdout}");
        assert!(stdout.ends_with(" [-system:masters, +viewers]\n"), "{stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_looks_at_a_clusters_aws_auth() {
    let api = ConfigMapApi::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kubeconfig"), api.kubeconfig()).unwrap();
    let lint = || {
        run(folder.path(), &["lint", "-n", "kube-system", "configmap/aws-auth", "--kubeconfig", "kubeconfig"])
    };
    let (code, _, stderr) = tokio::task::block_in_place(lint);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no configmap/aws-auth in kube-system"), "{stderr}");
    api.replace([("mapRoles".to_owned(), "- rolearn: x\n".to_owned())].into());
    let (code, stdout, _) = tokio::task::block_in_place(lint);
    assert_eq!(code, 3);
    assert!(
        stdout.starts_with("configmap/aws-auth:1:12: error: mapRoles, entry 1: rolearn \"x\" is no ARN"),
        "{stdout}"
    );
    fs::write(folder.path().join("new.yaml"), GOOD).unwrap();
    for args in [["configmap/aws-auth", "new.yaml"], ["new.yaml", "cm/aws-auth"]] {
        let diff = || run(folder.path(), &[&["diff", "--kubeconfig", "kubeconfig"], &args[..]].concat());
        let (code, stdout, stderr) = tokio::task::block_in_place(diff);
        assert!(code == 3 && stdout.lines().count() == 2, "{stdout}{stderr}");
    }
}
