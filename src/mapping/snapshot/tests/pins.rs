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
        only(&diagnostics, Severity::Error, "so that the entry matches nobody");
        assert_eq!(who(&snapshot, &role("A")), "-", "{id}");
        let (before, _) = load(&[("mapRoles", &pinned("AROAEXAMPLE"))]);
        let (after, _) = Snapshot::update(Some(&before), &data(&[("mapRoles", &pinned(id))]));
        assert_eq!(who(&after, &role("A")), "a", "{id}: the pin that was last good counts");
    }
}

/// Whoever wrote it meant one principal, and not whoever comes under its name.
#[test]
fn a_pin_that_pins_nobody_lets_nobody_in_and_keeps_what_was_last_good() {
    let (before, diagnostics) = load(&[("mapRoles", &pinned("AROAEXAMPLE"))]);
    assert_eq!(diagnostics, []);
    let empty = "userid is empty, and pins nobody";
    for (written, told) in [
        ("userid: [AROAEXAMPLE]", "not a text"),
        ("userid: {a: b}", "not a text"),
        ("userid: ''", empty),
        ("userid: ' '", empty),
        ("userid:", empty),
        ("userid: ~", empty),
        ("user_id: AROAEXAMPLE", "the field \"user_id\" means nothing here, and pins nobody"),
        ("user-Id: AROAOTHER", "did you mean userid?"),
        ("usrid: AROAOTHER", "did you mean userid?"),
        ("userids: [AROAOTHER]", "did you mean userid?"),
    ] {
        let text = pinned("AROAEXAMPLE").replace("userid: AROAEXAMPLE", written);
        let (fresh, diagnostics) = load(&[("mapRoles", &text)]);
        only(&diagnostics, Severity::Error, told);
        assert_eq!(who(&fresh, &role("A")), "-", "{written}");
        let (after, _) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        assert_eq!((after.figures().kept, who(&after, &role("A"))), (1, "a".into()), "{written}");
    }
}

#[test]
fn a_field_like_userid_beside_one_is_told_and_no_more() {
    let (snapshot, diagnostics) = load(&[("mapRoles", &(pinned("AROAEXAMPLE") + "  user_id: AROAOTHER\n"))]);
    only(&diagnostics, Severity::Warning, "did you mean userid?");
    assert_eq!(who(&snapshot, &role("A")), "a");
}

/// aws-iam-authenticator's dynamic file without `dynamicfileUserIDStrict`.
#[test]
fn where_user_ids_do_not_count_an_empty_one_locks_nobody_out() {
    for written in ["userid: ''", "userid:", "user_id: AROAOTHER"] {
        let text = pinned("AROAEXAMPLE").replace("userid: AROAEXAMPLE", written);
        let node = yaml::parse(&text, Limits::default()).unwrap();
        let lists = [node.as_ref(), None, None];
        let (snapshot, _) = Snapshot::update_from_nodes(None, lists, MatchBy::ArnAlone);
        assert_eq!(who(&snapshot, &role("A")), "a", "{written}");
    }
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
