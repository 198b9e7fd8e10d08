//! What is read, and what is told of it.

use super::*;

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
fn the_words_of_an_arn_count_without_case() {
    let users = format!(
        "- {{userarn: 'arn:aws:iam::{ACCOUNT}:User/Bob', username: b}}\n- {{userarn: 'ARN:AWS:iam::{ACCOUNT}:user/Carl', username: c}}\n"
    );
    let roles = format!("- {{rolearn: 'arn:aws:IAM::{ACCOUNT}:ROLE/A', username: a}}");
    let (before, diagnostics) = load(&[("mapUsers", &users), ("mapRoles", &roles)]);
    assert_eq!(diagnostics, []);
    let all = |snapshot: &Snapshot| {
        [who(snapshot, &user("Bob")), who(snapshot, &user("Carl")), who(snapshot, &role("a"))]
    };
    assert_eq!(all(&before), ["b", "c", "a"]);
    let broken = [("mapUsers", users.replace("username: ", "username: [x], x: ")), ("mapRoles", roles)];
    let broken = broken.each_ref().map(|(key, text)| (*key, text.as_str()));
    assert_eq!(all(&Snapshot::update(Some(&before), &data(&broken)).0), ["b", "c", "a"]);
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
fn a_missing_username_is_the_canonical_arn() {
    let (snapshot, diagnostics) =
        load(&[("mapRoles", &format!("- {{rolearn: 'arn:aws:iam::{ACCOUNT}:role/A', groups: [g]}}"))]);
    only(&diagnostics, Severity::Warning, "has no username");
    assert_eq!(who(&snapshot, &role("A")), format!("arn:aws:iam::{ACCOUNT}:role/A,g"));
}

#[test]
fn a_username_of_which_nothing_is_left_is_the_canonical_arn() {
    let users = format!(
        "- {{userarn: 'arn:aws:iam::{ACCOUNT}:user/bob', username: '{{{{SessionName}}}}', groups: [g]}}"
    );
    let (snapshot, diagnostics) = load(&[("mapUsers", &users)]);
    assert_eq!(diagnostics, []);
    assert_eq!(who(&snapshot, &user("bob")), format!("arn:aws:iam::{ACCOUNT}:user/bob,g"));
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
    for (entry, severity, text, want) in [
        (
            format!("{{rolearn: '{arn}', username: a, groups: g}}"),
            Severity::Warning,
            "groups is one text",
            "a,g",
        ),
        (
            format!("{{rolearn: '{arn}', username: 'n:{{{{EC2PrivateDnsName}}}}'}}"),
            Severity::Error,
            "did you mean {{EC2PrivateDNSName}}?",
            "n:{{EC2PrivateDnsName}}",
        ),
        (
            format!("{{rolearn: '{arn}', username: '{{{{Foo}}}}'}}"),
            Severity::Warning,
            "there are {{AccountID}}",
            "{{Foo}}",
        ),
        (
            format!("{{rolearn: '{arn}', username: a, groups: [g, ]}}").replace("g, ", "g, ~"),
            Severity::Warning,
            "without a name",
            "a,g",
        ),
        (
            format!("{{rolearn: '{arn}', username: a, group: x}}"),
            Severity::Error,
            "\"group\" means nothing here",
            "a",
        ),
        (format!("{{rolearn: '{arn}', username: a, username: a}}"), Severity::Warning, "there twice", "a"),
    ] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &format!("- {entry}\n"))]);
        only(&diagnostics, severity, text);
        assert_eq!(who(&snapshot, &role("A")), want);
    }
}

/// aws-iam-authenticator canonicalises the ARNs of its configuration file and of dynamic files.
#[test]
fn an_assumed_roles_arn_is_its_roles_in_the_configuration_file() {
    let text = format!("- {{rolearn: 'arn:aws:sts::{ACCOUNT}:assumed-role/A/x', username: a}}");
    let node = yaml::parse(&text, Limits::default()).unwrap();
    for by in [MatchBy::Arn, MatchBy::ArnAlone] {
        let (snapshot, diagnostics) = Snapshot::update_from_nodes(None, [node.as_ref(), None, None], by);
        only(&diagnostics, Severity::Warning, "write the role's");
        assert_eq!(who(&snapshot, &role("A")), "a");
    }
}

/// aws-iam-authenticator's reader of its configuration file is lenient, and files rely on it.
#[test]
fn the_configuration_files_lists_may_be_texts_with_commas_and_single_entries() {
    let node = |text: &str| yaml::parse(text, Limits::default()).unwrap();
    let from = |section: Section, text: &str| {
        let node = node(text);
        let lists = Section::ALL.map(|other| node.as_ref().filter(|_| other == section));
        let [roles, users, accounts] = lists;
        Snapshot::from_nodes(roles, users, accounts)
    };
    let arn = format!("rolearn: 'arn:aws:iam::{ACCOUNT}:role/A', username: a");
    for (section, text, told, identity, want) in [
        (
            Section::Roles,
            format!("[{{{arn}, Groups: 'dev,ops'}}]"),
            "split at its commas",
            role("A"),
            "a,dev,ops",
        ),
        (
            Section::Roles,
            format!("[{{{arn}, groups: 'dev, ops'}}]"),
            "split at its commas",
            role("A"),
            "a,dev, ops",
        ),
        (Section::Roles, format!("[{{{arn}, groups: dev}}]"), "taken as a list of one", role("A"), "a,dev"),
        (Section::Roles, format!("{{{arn}, groups: [g]}}"), "is one entry by itself", role("A"), "a,g"),
        (Section::Accounts, format!("'444455556666,{ACCOUNT}'"), "split at its commas", user("x"), "account"),
        (Section::Accounts, ACCOUNT.to_owned(), "split at its commas", user("x"), "account"),
    ] {
        let (snapshot, diagnostics) = from(section, &text);
        only(&diagnostics, Severity::Warning, told);
        assert_eq!(who(&snapshot, &identity), want, "{text}");
    }
    for text in ["''", "{}", "[]", "~"] {
        let (snapshot, diagnostics) = from(Section::Roles, text);
        assert!(snapshot.index().is_empty() && diagnostics.is_empty(), "{text}: {diagnostics:?}");
    }
    for (section, text) in [(Section::Roles, "x"), (Section::Accounts, "{a: b}")] {
        only(&from(section, text).1, Severity::Error, "not a list");
    }
}

#[test]
fn aws_auths_lists_may_not() {
    let one = format!("rolearn: 'arn:aws:iam::{ACCOUNT}:role/A'\nusername: a\n");
    only(&load(&[("mapRoles", &one)]).1, Severity::Error, "not a list");
    only(&load(&[("mapAccounts", &format!("'444455556666,{ACCOUNT}'"))]).1, Severity::Error, "not a list");
    let (snapshot, _) = load(&[("mapRoles", &entry("A", "a").replace("[g]", "'dev,ops'"))]);
    let Some(Match::Entry(mapping)) = snapshot.index().look_up(&role("A")) else { panic!("not mapped") };
    assert_eq!(mapping.render(&role("A"), None).unwrap().1, ["dev,ops"]);
}
