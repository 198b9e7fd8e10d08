use super::*;

fn findings(text: &str) -> Vec<String> {
    let manifest = Manifest::read(text).unwrap();
    manifest
        .findings
        .iter()
        .map(|finding| {
            let at = finding.position.map(|at| format!("{}:{}", at.line, at.column)).unwrap_or_default();
            format!("{at} {}: {}", finding.place, finding.message)
        })
        .collect()
}

const HEAD: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\ndata:\n";

#[test]
fn positions_are_those_in_the_file() {
    let text = format!(
        "# a comment\napiVersion: v1\nkind: Namespace\nmetadata: {{name: x}}\n---\n{HEAD}  mapRoles: |\n\n    # whose\n    - rolearn: arn:aws:iam::111122223333:role/A\n      username: a\n      groups: x\n    - role: y\n  mapUsers: |\n    - userarn: z\n"
    );
    let line = |needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let found = findings(&text);
    assert!(
        found[0].starts_with(&format!("{}:15 mapRoles, entry 1: groups is one text", line("groups: x"))),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with(&format!("{}:7 mapRoles, entry 2: the field \"role\"", line("- role: y"))),
        "{found:#?}"
    );
    assert!(
        found.last().unwrap().starts_with(&format!("{}:16 mapUsers, entry 1: userarn", line("userarn: z"))),
        "{found:#?}"
    );
    let tab = text.replace("      username: a", "    \tusername: a");
    assert!(
        findings(&tab)
            .iter()
            .any(|found| found.starts_with(&format!("{}:5 mapRoles: cannot be read", line("username: a")))),
        "{:#?}",
        findings(&tab)
    );
}

#[test]
fn aws_auth_of_another_namespace_is_nobodys() {
    let text = |namespace: &str| HEAD.replace("  namespace: kube-system\n", namespace) + "  mapRoles: ''\n";
    assert_eq!(
        findings(&format!("---\n{}", text("  namespace: default\n"))),
        ["6:14 metadata: namespace is default, and aws-auth is read in kube-system alone"]
    );
    for namespace in ["", "  namespace: kube-system\n"] {
        assert_eq!(findings(&text(namespace)), Vec::<String>::new());
    }
}

#[test]
fn a_missing_bar_is_explained_and_what_follows_is_looked_at() {
    let text = format!(
        "{HEAD}  mapRoles:\n    - rolearn: arn:aws:iam::111122223333:role/A\n      username: a\n    - username: b\n"
    );
    let found = findings(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(
        found[0],
        "7:3 mapRoles: is a list, and a ConfigMap holds texts alone: the API server refuses the whole object"
    );
    assert!(found[1].starts_with("10:7 mapRoles, entry 2: has no rolearn"), "{found:#?}");
    let manifest = Manifest::read(&text).unwrap();
    assert_eq!(manifest.findings[0].advice, "write `mapRoles: |`, with what follows indented as it is");
    assert_eq!(manifest.snapshot.index().len(), 1);
}

#[test]
fn lists_quoted_texts_and_bare_data_are_read() {
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}",
        HEAD.replace('\n', "\n  ").trim_end().to_owned()
            + "\n    mapRoles: \"- rolearn: x\\n- rolearn: y\"\n"
    );
    let found = findings(&list);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|found| found.starts_with("10:15 ")), "the value's own place: {found:#?}");
    for bare in ["mapRoles:\n- username: b\n", "mapRoles: |\n  - username: b\n"] {
        let found = findings(bare);
        assert!(found.iter().all(|found| found.starts_with("2:")) && !found.is_empty(), "{found:#?}");
    }
}

#[test]
fn lists_follow_what_was_in_force_as_texts_do() {
    let list = "mapRoles:\n- {rolearn: 'arn:aws:iam::111122223333:role/A', groups: [g]}\n- rolearn: \
                arn:aws:iam::111122223333:role/B\n";
    let read = |text: &str| Manifest::read(text).unwrap();
    let text =
        |list: &str| list.replace('\n', "\n  ").replace("mapRoles:", "mapRoles: |").trim_end().to_owned();
    let before = read(list).snapshot;
    let broken = list.replace("groups: [g]", "groups: {g: h}");
    let emptied = "mapRoles:\n  []\n";
    let gone = list.replace("role/B", "role/C");
    for (edited, changes) in [(list, 0), (&*broken, 0), (emptied, 2), (&*gone, 2)] {
        for form in [edited.to_owned(), text(edited)] {
            let after = read(&form).following(&before);
            assert_eq!(before.changes(&after).len(), changes, "{form}");
        }
    }
}

#[test]
fn one_of_the_lists_alone_is_taken_for_what_it_is() {
    let role = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n";
    let user = "- username: b\n  userARN: arn:aws:iam::111122223333:user/b\n";
    for (text, section) in [
        (role.to_owned(), Section::Roles),
        (format!("# ours\n---\n{role}"), Section::Roles),
        (
            "- {sso: {permissionSetName: S, accountID: '111122223333'}, username: s}\n".to_owned(),
            Section::Roles,
        ),
        (user.to_owned(), Section::Users),
        ("- 111122223333\n- '000000000012'\n".to_owned(), Section::Accounts),
    ] {
        let manifest = Manifest::read(&text).unwrap();
        assert_eq!(manifest.list_alone, Some(section), "{text}");
        assert!(manifest.findings.is_empty() && !manifest.snapshot.index().is_empty(), "{manifest:#?}");
    }
    let broken = format!("{role}- rolearn: x\n");
    assert!(
        findings(&broken)[0].starts_with("3:12 mapRoles, entry 2: rolearn \"x\""),
        "{:?}",
        findings(&broken)
    );
    for text in ["- a\n- b\n", "[]\n", "- {name: x}\n", "- [111122223333]\n"] {
        assert!(matches!(Manifest::read(text), Err(ManifestError::NoAwsAuth(_))), "{text}");
    }
}

#[test]
fn files_of_other_programs_and_systems_are_read() {
    let text = format!("{HEAD}  mapRoles: |\n    - rolearn: x\n");
    let place = "8:16 mapRoles, entry 1";
    for (text, place) in [
        (text.clone(), place),
        (format!("\u{feff}{text}"), place),
        (text.replace('\n', "\r\n"), place),
        (format!("%YAML 1.2\n---\n{text}"), "10:16 mapRoles, entry 1"),
        (format!("# a\n\n---\n---\n{text}...\n"), "12:16 mapRoles, entry 1"),
    ] {
        let found = findings(&text);
        assert!(found.len() == 1 && found[0].starts_with(place), "{text}: {found:?}");
    }
    let json = r#"{
    "apiVersion": "v1",
    "items": [{"metadata": {"name": "other"}},
        {"data": {"mapRoles": "- rolearn: x\n"}, "metadata": {"name": "aws-auth", "namespace": "kube-system"}}],
    "kind": "ConfigMapList"
}"#;
    assert_eq!(findings(json).len(), 1);
}

#[test]
fn what_holds_no_aws_auth_is_told() {
    let read = |text: &str| Manifest::read(text).unwrap_err().to_string();
    assert!(read("kind: ConfigMap\nmetadata: {name: other}\n").contains("holds no ConfigMap aws-auth"));
    assert!(read("").contains("holds no ConfigMap aws-auth"));
    let several =
        "kind: List\nitems:\n- {kind: ConfigMap, metadata: {name: aws-auth-v2}}\n---\nkind: ConfigMap\n";
    let told = read(several);
    assert!(told.ends_with("; the ConfigMap here is \"aws-auth-v2\" (line 3), \"\" (line 5)"), "{told}");
    assert_eq!(
        read(&format!("{HEAD}  mapRoles: ''\n---\n{HEAD}")),
        "holds the ConfigMap aws-auth twice, at line 1 and at line 9"
    );
    assert!(read(&format!("a: b\n---\n{HEAD}  x: [")).starts_with("line "));
}
