use proptest::prelude::*;

use super::*;
use crate::{
    identity::{Identity, Partition},
    mapping::Match,
};

const ACCOUNT: &str = "111122223333";

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn load(pairs: &[(&str, &str)]) -> (Snapshot, Vec<Diagnostic>) {
    Snapshot::update(None, &data(pairs))
}

fn identity(resource: &str) -> Identity {
    let user_id = if resource.contains("assumed-role/") { "AROAEXAMPLE:s" } else { "AIDAEXAMPLE" };
    let account = resource.split("::").nth(1).unwrap().split(':').next().unwrap();
    let arn = format!("arn:aws:{resource}");
    Identity::new(Partition::Aws, &arn, account.parse().unwrap(), user_id, "ASIAEXAMPLE").unwrap()
}

fn role(name: &str) -> Identity {
    identity(&format!("sts::{ACCOUNT}:assumed-role/{name}/s"))
}

fn user(name: &str) -> Identity {
    identity(&format!("iam::{ACCOUNT}:user/{name}"))
}

/// Username and groups, joined by commas; `-` where nothing matches.
fn who(snapshot: &Snapshot, identity: &Identity) -> String {
    match snapshot.index().look_up(identity) {
        Some(Match::Entry(mapping)) => {
            let (username, groups) = mapping.render(identity, None).unwrap();
            std::iter::once(username).chain(groups).collect::<Vec<_>>().join(",")
        }
        Some(Match::Account(_)) => "account".to_owned(),
        None => "-".to_owned(),
    }
}

fn entry(role: &str, username: &str) -> String {
    format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/{role}\n  username: {username}\n  groups: [g]\n")
}

#[track_caller]
fn only(diagnostics: &[Diagnostic], severity: Severity, text: &str) {
    let [diagnostic] = diagnostics else { panic!("not one: {diagnostics:#?}") };
    assert_eq!(diagnostic.severity, severity, "{diagnostic}");
    assert!(diagnostic.to_string().contains(text), "{diagnostic}\ndoes not contain\n{text}");
}

#[test]
fn the_guides_own_files_have_nothing_to_tell() {
    let map_roles = "- groups:
  - system:bootstrappers
  - system:nodes
  rolearn: arn:aws:iam::111122223333:role/my-role
  username: system:node:{{EC2PrivateDNSName}}
- groups:
  - eks-console-dashboard-full-access-group
  rolearn: arn:aws:iam::111122223333:role/my-console-viewer-role
  username: my-console-viewer-role
";
    let map_users = "- groups:
  - system:masters
  userarn: arn:aws:iam::111122223333:user/admin
  username: admin
- groups:
  - eks-console-dashboard-restricted-access-group
  userarn: arn:aws:iam::444455556666:user/my-user
  username: my-user
";
    let (snapshot, diagnostics) = load(&[("mapRoles", map_roles), ("mapUsers", map_users)]);
    assert_eq!(diagnostics, []);
    assert_eq!(snapshot.index().len(), 4);
    let viewer = "my-console-viewer-role,eks-console-dashboard-full-access-group";
    assert_eq!(who(&snapshot, &role("my-console-viewer-role")), viewer);
    assert_eq!(who(&snapshot, &user("admin")), "admin,system:masters");
    assert_eq!(
        who(&snapshot, &identity("iam::444455556666:user/my-user")),
        "my-user,eks-console-dashboard-restricted-access-group"
    );
}

#[test]
fn what_counts_as_empty_today_is_empty() {
    for text in ["", "  \n", "\"\"", "''", "``", "[]", "~", "# none\n"] {
        let (snapshot, diagnostics) = load(&[("mapRoles", text), ("mapUsers", text), ("mapAccounts", text)]);
        assert!(snapshot.index().is_empty() && diagnostics.is_empty(), "{text:?}: {diagnostics:?}");
    }
}

#[test]
fn names_of_fields_and_iam_names_count_without_case_and_paths_do_not_count() {
    let text =
        format!("- roleARN: arn:aws:iam::{ACCOUNT}:role/Team/A/Admin\n  userName: a\n  gRoUpS: [x, y]\n");
    let (snapshot, diagnostics) = load(&[("mapRoles", &text)]);
    assert_eq!(diagnostics, []);
    assert_eq!(who(&snapshot, &role("ADMIN")), "a,x,y");
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_do_not_matter() {
    let windows = entry("A", "a").replace('\n', "\r\n") + &entry("B", "b").replace('\n', "\r\n");
    for text in [windows.clone(), format!("\u{feff}{windows}")] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &text)]);
        assert_eq!(diagnostics, [], "{text:?}");
        assert_eq!((who(&snapshot, &role("A")), who(&snapshot, &role("B"))), ("a,g".into(), "b,g".into()));
    }
}

#[test]
fn accounts_keep_their_leading_zeros() {
    let (snapshot, diagnostics) = load(&[("mapAccounts", "- 000000000012\n- \"111122223333\"\n")]);
    assert_eq!(diagnostics, []);
    for account in ["000000000012", ACCOUNT] {
        assert_eq!(who(&snapshot, &identity(&format!("iam::{account}:root"))), "account");
    }
}

#[test]
fn roles_come_before_users_and_entries_before_accounts() {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let (snapshot, diagnostics) = load(&[
        ("mapRoles", &format!("- {{rolearn: '{arn}', username: as-role}}")),
        ("mapUsers", &format!("- {{userarn: '{arn}', username: as-user}}")),
        ("mapAccounts", &format!("['{ACCOUNT}']")),
    ]);
    only(&diagnostics, Severity::Warning, "it belongs in mapUsers");
    assert_eq!(who(&snapshot, &user("bob")), "as-role");
    assert_eq!(who(&snapshot, &user("carol")), "account");
}

#[test]
fn the_last_of_two_counts_and_that_is_told() {
    let (snapshot, diagnostics) = load(&[("mapRoles", &(entry("path/A", "first") + &entry("a", "second")))]);
    only(
        &diagnostics,
        Severity::Warning,
        "mapRoles, entry 2, line 4, column 3: maps what entry 1 (line 1) maps too",
    );
    assert_eq!(who(&snapshot, &role("A")), "second,g");
}

#[test]
fn permission_sets_match_in_every_partition() {
    for partition in Partition::ALL {
        let text = format!(
            "- sso: {{permissionSetName: Admin, accountID: '{ACCOUNT}', partition: {partition}}}\n  username: a\n"
        );
        let (snapshot, diagnostics) = load(&[("mapRoles", &text)]);
        assert_eq!(diagnostics, []);
        for other in Partition::ALL {
            let arn =
                format!("arn:{other}:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/s");
            let identity = Identity::new(other, &arn, ACCOUNT.parse().unwrap(), "AROAX:s", "ASIAX").unwrap();
            assert_eq!(who(&snapshot, &identity) == "a", other == partition, "{other} by {partition}");
        }
    }
}

#[test]
fn a_pinned_user_id_lets_nobody_else_in() {
    let pinned =
        |id: &str| format!("- {{rolearn: 'arn:aws:iam::{ACCOUNT}:role/A', username: a, userid: {id}}}");
    assert_eq!(who(&load(&[("mapRoles", &pinned("AROAEXAMPLE"))]).0, &role("A")), "a");
    assert_eq!(who(&load(&[("mapRoles", &pinned("AROAOTHER"))]).0, &role("A")), "-");
}

#[test]
fn a_missing_username_is_the_canonical_arn() {
    let (snapshot, diagnostics) =
        load(&[("mapRoles", &format!("- {{rolearn: 'arn:aws:iam::{ACCOUNT}:role/A', groups: [g]}}"))]);
    only(&diagnostics, Severity::Warning, "has no username");
    assert_eq!(who(&snapshot, &role("A")), format!("arn:aws:iam::{ACCOUNT}:role/A,g"));
}

#[test]
fn what_cannot_be_mapped_is_told_with_advice_and_skipped() {
    for (arn, text) in [
        ("arn:aws:iam::111122223333:group/Admins", "IAM group is not a principal"),
        ("arn:aws:iam::111122223333:instance-profile/Nodes", "instance profile is not a principal"),
        ("<ARN of instance role (not instance profile)>", "put the ARN in the place of <…>"),
        ("arn:aws:iam::11112222333:role/A", "twelve digits"),
        ("role/A", "not of the form"),
    ] {
        let (snapshot, diagnostics) =
            load(&[("mapRoles", &(format!("- rolearn: '{arn}'\n  username: a\n") + &entry("B", "b")))]);
        only(&diagnostics, Severity::Error, text);
        assert_eq!(who(&snapshot, &role("B")), "b,g", "the entry beside it stands");
    }
}

#[test]
fn what_is_odd_works_and_is_told() {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/A");
    for (entry, text, want) in [
        (format!("{{rolearn: '{arn}', username: a, groups: g}}"), "groups is one text", "a,g"),
        (
            format!("{{rolearn: 'arn:aws:sts::{ACCOUNT}:assumed-role/A/x', username: a}}"),
            "write the role's",
            "a",
        ),
        (
            format!("{{rolearn: '{arn}', username: 'n:{{{{EC2PrivateDnsName}}}}'}}"),
            "did you mean {{EC2PrivateDNSName}}?",
            "n:{{EC2PrivateDnsName}}",
        ),
        (format!("{{rolearn: '{arn}', username: '{{{{Foo}}}}'}}"), "there are {{AccountID}}", "{{Foo}}"),
        (
            format!("{{rolearn: '{arn}', username: a, groups: [g, ]}}").replace("g, ", "g, ~"),
            "without a name",
            "a,g",
        ),
        (format!("{{rolearn: '{arn}', username: a, group: x}}"), "\"group\" means nothing here", "a"),
        (format!("{{rolearn: '{arn}', username: x, username: a}}"), "there twice", "a"),
    ] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &format!("- {entry}\n"))]);
        only(&diagnostics, Severity::Warning, text);
        assert_eq!(who(&snapshot, &role("A")), want);
    }
}

#[test]
fn a_key_in_another_case_is_found() {
    let (snapshot, diagnostics) = load(&[("maproles", &entry("A", "a"))]);
    only(&diagnostics, Severity::Warning, "the key is written maproles");
    assert_eq!(who(&snapshot, &role("A")), "a,g");
    let (snapshot, diagnostics) = load(&[("maproles", &entry("A", "a")), ("mapRoles", &entry("B", "b"))]);
    only(&diagnostics, Severity::Warning, "stands beside mapRoles and is ignored");
    assert_eq!((who(&snapshot, &role("A")), who(&snapshot, &role("B"))), ("-".into(), "b,g".into()));
}

/// The edits that lock people out of clusters today, made while A and B have access.
#[test]
fn no_broken_edit_takes_access_away() {
    let good = entry("A", "a") + &entry("B", "b");
    let (before, _) = load(&[("mapRoles", &good)]);
    for (name, edit) in [
        ("a tab", good.replace("  username: b", "\tusername: b")),
        ("an unclosed bracket", good.replace("[g]\n- ", "[g\n- ")),
        ("a map where a list belongs", good.replacen("- ", "  ", 1)),
        ("one entry, no list", format!("rolearn: arn:aws:iam::{ACCOUNT}:role/A\nusername: a\n")),
        ("a text", "oops".to_owned()),
        ("a path", good.replace("role/A", "role/team/a/A")),
        ("an entry without its ARN", format!("{good}- username: c\n")),
        ("groups as a map", good.replace("username: b\n  groups: [g]", "username: b\n  groups: {g: true}")),
        ("a username as a list", good.replace("username: a", "username: [a]")),
        ("a number among the entries", format!("{good}- 7\n")),
        ("two documents", format!("{good}---\n{good}")),
    ] {
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &edit)]));
        assert_eq!(
            (who(&after, &role("A")), who(&after, &role("B"))),
            ("a,g".into(), "b,g".into()),
            "{name}:\n{edit}"
        );
        assert!(name == "a path" || !diagnostics.is_empty(), "{name} is told of");
    }
}

#[test]
fn what_is_clearly_gone_is_gone() {
    let good = entry("A", "a") + &entry("B", "b");
    let (before, _) = load(&[("mapRoles", &good), ("mapAccounts", &format!("['{ACCOUNT}']"))]);
    assert_eq!(who(&before, &user("x")), "account");
    for (name, edit) in [
        ("the entry", data(&[("mapRoles", &entry("B", "b"))])),
        ("the list", data(&[("mapRoles", "[]")])),
        ("the key", data(&[("mapUsers", "[]")])),
        ("everything", data(&[])),
    ] {
        let (after, diagnostics) = Snapshot::update(Some(&before), &edit);
        assert_eq!((who(&after, &role("A")), who(&after, &user("x"))), ("-".into(), "-".into()), "{name}");
        assert_eq!(diagnostics, []);
    }
}

#[test]
fn a_broken_list_does_not_hold_the_others_back() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let users = format!("- {{userarn: 'arn:aws:iam::{ACCOUNT}:user/bob', username: bob}}");
    let (after, diagnostics) =
        Snapshot::update(Some(&before), &data(&[("mapRoles", "["), ("mapUsers", &users)]));
    only(&diagnostics, Severity::Error, "the list stays as it last was");
    assert_eq!((who(&after, &role("A")), who(&after, &user("bob"))), ("a,g".into(), "bob".into()));
}

#[test]
fn a_valid_entry_wins_over_what_a_broken_one_would_keep() {
    let (before, _) = load(&[("mapRoles", &entry("A", "old"))]);
    let broken = format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/A\n  username: [x]\n");
    for edit in [entry("A", "new") + &broken, broken + &entry("A", "new")] {
        let (after, _) = Snapshot::update(Some(&before), &data(&[("mapRoles", &edit)]));
        assert_eq!(who(&after, &role("A")), "new,g");
    }
}

#[test]
fn what_was_kept_once_is_kept_again() {
    let (mut snapshot, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let broken = format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/A\n  username: [x]\n");
    for edit in [broken.as_str(), "[", broken.as_str()] {
        snapshot = Snapshot::update(Some(&snapshot), &data(&[("mapRoles", edit)])).0;
        assert_eq!(who(&snapshot, &role("A")), "a,g");
    }
    snapshot = Snapshot::update(Some(&snapshot), &data(&[("mapRoles", "[]")])).0;
    assert_eq!(who(&snapshot, &role("A")), "-");
}

/// How an entry may stand in an edit.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Untouched,
    Renamed,
    Broken,
    Removed,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate =
        prop_oneof![Just(Fate::Untouched), Just(Fate::Renamed), Just(Fate::Broken), Just(Fate::Removed)];
    prop::collection::vec(fate, 6)
}

proptest! {
    /// An edit that leaves an entry's ARN in place never removes its access, and one that removes a valid
    /// entry always does, over any row of edits.
    #[test]
    fn access_follows_the_arns(edits in prop::collection::vec((fates(), any::<bool>()), 1..8)) {
        let names = ["A", "B", "C", "D", "E", "F"];
        let all: String = names.iter().map(|name| entry(name, name)).collect();
        let (mut snapshot, _) = load(&[("mapRoles", &all)]);
        let mut has_access = [true; 6];
        for (fates, unreadable) in edits {
            let mut text = String::new();
            for ((name, fate), has_access) in names.iter().zip(&fates).zip(&mut has_access) {
                match fate {
                    Fate::Untouched => text += &entry(name, name),
                    Fate::Renamed => text += &entry(name, "other"),
                    Fate::Broken => {
                        text += &entry(name, "{a: b}");
                    }
                    Fate::Removed => {}
                }
                if !unreadable {
                    *has_access = match fate {
                        Fate::Untouched | Fate::Renamed => true,
                        // It keeps what it had, and gets nothing that it never had.
                        Fate::Broken => *has_access,
                        Fate::Removed => false,
                    };
                }
            }
            if unreadable {
                text += "- [\n";
            }
            snapshot = Snapshot::update(Some(&snapshot), &data(&[("mapRoles", &text)])).0;
            for (name, has_access) in names.iter().zip(has_access) {
                prop_assert_eq!(who(&snapshot, &role(name)) != "-", has_access, "{} in\n{}", name, text);
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = load(&[("mapRoles", &text), ("mapUsers", &text), ("mapAccounts", &text)]);
    }

    #[test]
    fn any_lines_of_an_entry_are_read_without_a_panic(
        lines in prop::collection::vec("(- |  )?(rolearn|username|groups|sso|userid|<<|&a|\\*a): ?(\\[|\\{|- |~|x|arn:aws:iam::1:role/x)?", 0..12)
    ) {
        let _ = load(&[("mapRoles", &lines.join("\n"))]);
    }
}
