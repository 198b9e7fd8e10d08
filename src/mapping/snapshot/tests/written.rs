//! What people really write, each with what becomes of the good entry beside it.

use super::*;

/// Loads `text` as mapRoles after a good one; the diagnostics.
#[track_caller]
fn edit(text: &str) -> (Snapshot, Vec<Diagnostic>) {
    let (before, diagnostics) = load(&[("mapRoles", &(entry("Good", "good") + &entry("Edited", "old")))]);
    assert_eq!(diagnostics, []);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", text)]));
    assert_eq!(who(&after, &role("Good")), "good,g", "{text}");
    (after, diagnostics)
}

/// The good entry, and one that a test writes.
fn beside(text: &str) -> String {
    format!("{}{text}", entry("Good", "good"))
}

fn edited() -> String {
    entry("Edited", "new")
}

#[test]
fn a_tab_in_the_indentation() {
    let (after, diagnostics) = edit(&beside(&edited().replace("  username", "\tusername")));
    only(
        &diagnostics,
        Severity::Error,
        "mapRoles, line 5, column 1: cannot be read as YAML (a tab in the indentation)",
    );
    assert_eq!(who(&after, &role("Edited")), "old,g");
}

#[test]
fn an_unclosed_bracket() {
    let (after, diagnostics) = edit(&(edited().replace("[g]", "[g") + &entry("Good", "good")));
    only(&diagnostics, Severity::Error, "check indentation, brackets, quotes and colons around here");
    assert!(matches!(diagnostics[0].place, Place::List { position: Some(_), .. }));
    assert_eq!(who(&after, &role("Edited")), "old,g");
}

#[test]
fn a_map_for_a_list() {
    let (after, diagnostics) =
        edit(&format!("rolearn: arn:aws:iam::{ACCOUNT}:role/Edited\nusername: new\ngroups: [g]\n"));
    only(
        &diagnostics,
        Severity::Error,
        "mapRoles, line 1, column 1: is a mapping, not a list; the list stays as it last was; begin each entry with a hyphen",
    );
    assert_eq!(who(&after, &role("Edited")), "old,g");
}

#[test]
fn one_text_for_groups() {
    let (after, diagnostics) = edit(&beside(&edited().replace("[g]", "system:masters")));
    only(&diagnostics, Severity::Warning, "mapRoles, entry 2, line 6, column 11: groups is one text");
    assert_eq!(who(&after, &role("Edited")), "new,system:masters");
}

#[test]
fn keys_in_another_case() {
    let (after, diagnostics) =
        edit(&beside(&edited().replace("rolearn", "roleARN").replace("username", "userName")));
    assert_eq!(diagnostics, []);
    assert_eq!(who(&after, &role("Edited")), "new,g");
}

#[test]
fn numbers_as_account_ids() {
    let text = "- 111122223333\n- 000000000012\n- 012345670123\n- 1234567890123\n- 12\n";
    let (snapshot, diagnostics) = load(&[("mapAccounts", text)]);
    assert_eq!(diagnostics.len(), 2, "{diagnostics:#?}");
    assert_eq!(
        diagnostics[0].to_string(),
        "mapAccounts, entry 4, line 4, column 3: not an account ID; the entry is skipped, and whom it maps keeps \
         what was last good; write its twelve digits in quotes, leading zeros included"
    );
    for account in [ACCOUNT, "000000000012", "012345670123"] {
        assert_eq!(who(&snapshot, &identity(&format!("iam::{account}:root"))), "account", "{account}");
    }
}

#[test]
fn duplicates() {
    let (after, diagnostics) = edit(&beside(&(edited() + &entry("edited", "newer"))));
    only(
        &diagnostics,
        Severity::Warning,
        "mapRoles, entry 3, line 7, column 3: maps what entry 2 (line 4) maps too",
    );
    assert_eq!(who(&after, &role("Edited")), "newer,g");
}

#[test]
fn role_paths() {
    let (after, diagnostics) = edit(&beside(&edited().replace("role/Edited", "role/team/devs/Edited")));
    assert_eq!(diagnostics, []);
    assert_eq!(who(&after, &role("Edited")), "new,g");
}

#[test]
fn group_and_instance_profile_arns() {
    for (kind, told) in [
        ("group/Edited", "an IAM group is not a principal: map its users' or a role's ARN instead"),
        ("instance-profile/Edited", "an instance profile is not a principal: map the ARN of the role in it"),
    ] {
        let (after, diagnostics) = edit(&beside(&edited().replace("role/Edited", kind)));
        only(&diagnostics, Severity::Error, told);
        assert_eq!(who(&after, &role("Edited")), "-", "another ARN stands there: {kind}");
    }
}

/// The stock aws-auth-cm.yaml, applied as it was downloaded.
#[test]
fn the_stock_files_place_for_the_arn_left_in() {
    let stock = "- rolearn: <ARN of instance role (not instance profile)>\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n    - system:bootstrappers\n    - system:nodes\n";
    let (after, diagnostics) = edit(&beside(stock));
    only(
        &diagnostics,
        Severity::Error,
        "mapRoles, entry 2, line 4, column 12: rolearn \"<ARN of instance role (not instance profile)>\" is no ARN",
    );
    assert_eq!(diagnostics[0].advice, "put the ARN in the place of <…>");
    assert_eq!(after.index().len(), 1);
}

/// Its session alone is meant, perhaps, and it matches nobody: the whole role does not become who it is.
#[test]
fn an_assumed_roles_arn() {
    let assumed = edited().replace(
        &format!("arn:aws:iam::{ACCOUNT}:role/Edited"),
        &format!("arn:aws:sts::{ACCOUNT}:assumed-role/Edited/alice"),
    );
    for (text, want) in [
        (assumed.clone(), "old,g"),
        (entry("Edited", "plain") + &assumed, "plain,g"),
        (edited() + &assumed, "new,g"),
    ] {
        let (after, diagnostics) = edit(&beside(&text));
        only(&diagnostics, Severity::Error, "rolearn is an assumed role's ARN, which matches nobody");
        assert!(diagnostics[0].advice.contains("write the role's ARN: arn:aws:iam::ACCOUNT:role/NAME"));
        assert_eq!(who(&after, &role("Edited")), want);
    }
    let (fresh, _) = load(&[("mapRoles", &assumed)]);
    assert_eq!(who(&fresh, &role("Edited")), "-");
}

#[test]
fn misspelt_and_unknown_templates() {
    for (written, severity, told, want) in [
        (
            "system:node:{{EC2PrivateDnsName}}",
            Severity::Error,
            "did you mean {{EC2PrivateDNSName}}?",
            "old,g",
        ),
        ("{{ SessionName }}", Severity::Error, "did you mean {{SessionName}}?", "old,g"),
        (
            "{{Foo}}",
            Severity::Warning,
            "{{Foo}} is no template, and stays as it is; there are {{AccountID}}",
            "{{Foo}},g",
        ),
    ] {
        let (after, diagnostics) =
            edit(&beside(&edited().replace("username: new", &format!("username: '{written}'"))));
        only(&diagnostics, severity, told);
        assert_eq!(who(&after, &role("Edited")), want);
    }
}

#[test]
fn anchors() {
    let text = format!(
        "- &base\n  rolearn: arn:aws:iam::{ACCOUNT}:role/Good\n  username: good\n  groups: &groups [g]\n- <<: *base\n  rolearn: arn:aws:iam::{ACCOUNT}:role/Edited\n- rolearn: arn:aws:iam::{ACCOUNT}:role/Third\n  username: third\n  groups: *groups\n"
    );
    let (after, diagnostics) = edit(&text);
    assert_eq!(diagnostics, []);
    assert_eq!(
        (who(&after, &role("Edited")), who(&after, &role("Third"))),
        ("good,g".into(), "third,g".into())
    );
}

#[test]
fn a_bomb_of_anchors() {
    let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb = format!("{bomb}- &a{level} [{before}]\n");
    }
    let (after, diagnostics) = edit(&bomb);
    only(&diagnostics, Severity::Error, "more values than are taken");
    assert_eq!(who(&after, &role("Edited")), "old,g");
}

#[test]
fn a_mebibyte_of_entries_and_a_byte_more() {
    let mut text = entry("Good", "good");
    let mut number = 0;
    while text.len() + 100 < 1024 * 1024 {
        text += &entry(&format!("R{number:05}"), "r");
        number += 1;
    }
    let (after, diagnostics) = edit(&text);
    assert_eq!(diagnostics, []);
    assert_eq!(after.index().len(), number + 1);
    let filled = format!("{text}#{}", "x".repeat(1024 * 1024 - text.len()));
    let (after, diagnostics) = edit(&filled);
    only(&diagnostics, Severity::Error, "longer than 1048576 bytes");
    assert_eq!(who(&after, &role("Edited")), "old,g");
}
