//! What an edit takes away, and what it does not.

use super::*;

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

/// As aws-iam-authenticator reads it; what stands behind the line is not clearly taken away.
#[test]
fn the_first_document_counts_and_whom_what_follows_names_keeps_what_they_had() {
    let (a, b) = (entry("A", "new"), entry("B", "other"));
    let (before, _) = load(&[("mapRoles", &(entry("A", "a") + &entry("B", "b") + &entry("C", "c")))]);
    for text in
        [format!("{a}---\n{b}"), format!("{a}---\n{b}- [\n"), format!("---\n{a}...\n---\n{b}---\n- x\n")]
    {
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        only(&diagnostics, Severity::Warning, "a second document begins");
        let all = ["A", "B", "C"].map(|name| who(&after, &role(name)));
        assert_eq!(all, ["new,g", "b,g", "-"], "{text}");
        let (fresh, _) = load(&[("mapRoles", &text)]);
        let all = ["A", "B"].map(|name| who(&fresh, &role(name)));
        assert_eq!(all, ["new,g", "-"], "{text}");
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
