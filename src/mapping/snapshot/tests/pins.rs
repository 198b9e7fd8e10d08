//! `userid` on a mapping: a role or user made anew under the same name is another.

use super::*;

fn pinned(id: &str) -> String {
    format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/A\n  username: a\n  userid: {id}\n")
}

#[test]
fn a_pin_lets_in_whom_it_names_and_nobody_else() {
    assert_eq!(who(&load(&[("mapRoles", &pinned("AROAEXAMPLE"))]).0, &role("A")), "a");
    for id in ["AROAOTHER", "aroaexample", "AROAEXAMPL", "AROAEXAMPLEX"] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &pinned(id))]);
        assert_eq!((diagnostics.len(), who(&snapshot, &role("A"))), (0, "-".into()), "{id}");
    }
    for id in ["'AROAEXAMPLE:s'", "' AROAEXAMPLE'", "'*'", "arn:aws:iam::111122223333:role/A"] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &pinned(id))]);
        only(&diagnostics, Severity::Warning, "so that the entry matches nobody");
        assert_eq!(who(&snapshot, &role("A")), "-", "{id}");
    }
}

#[test]
fn a_pin_that_cannot_be_read_makes_the_entry_invalid_and_an_empty_one_is_told() {
    for id in ["[AROAEXAMPLE]", "{a: b}"] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &pinned(id))]);
        only(&diagnostics, Severity::Error, "not a text");
        assert_eq!(who(&snapshot, &role("A")), "-", "{id}");
    }
    let (snapshot, diagnostics) = load(&[("mapRoles", &pinned("''"))]);
    only(&diagnostics, Severity::Warning, "userid is empty, and pins nobody");
    assert_eq!(who(&snapshot, &role("A")), "a");
}

#[test]
fn another_entry_for_the_same_role_does_not_open_what_a_pin_has_closed() {
    let unpinned = entry("team/A", "path");
    for text in [pinned("AROAOTHER") + &unpinned, unpinned.clone() + &pinned("AROAOTHER")] {
        assert_eq!(who(&load(&[("mapRoles", &text)]).0, &role("A")), "-", "{text}");
    }
    let account = format!("['{ACCOUNT}']");
    let (snapshot, _) = load(&[("mapRoles", &pinned("AROAOTHER")), ("mapAccounts", &account)]);
    assert_eq!(who(&snapshot, &role("A")), "account", "as anybody of the account, without a group");
}

#[test]
fn what_is_kept_keeps_its_pin() {
    let (before, _) = load(&[("mapRoles", &pinned("AROAOTHER"))]);
    let broken = pinned("AROAEXAMPLE").replace("username: a", "username: [a]");
    let (after, _) = Snapshot::update(Some(&before), &data(&[("mapRoles", &broken)]));
    assert_eq!((after.figures().kept, who(&after, &role("A"))), (1, "-".into()));
}
