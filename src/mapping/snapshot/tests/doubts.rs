//! Entries that can be read, and are hardly what was meant.

use super::*;

/// Each edit leaves the ARN, the username and the group in the text. Admission refuses it, since it is an error; whoever
/// edits past admission takes nothing away; and a fresh start reads it as aws-iam-authenticator does.
#[test]
fn a_slip_that_leaves_arn_and_groups_in_the_text_takes_no_group_away() {
    let good = format!(
        "- rolearn: arn:aws:iam::{ACCOUNT}:role/A\n  username: a:{{{{AccountID}}}}\n  groups:\n  - system:masters\n"
    );
    let (before, diagnostics) = load(&[("mapRoles", &good)]);
    assert_eq!(diagnostics, []);
    let had = format!("a:{ACCOUNT},system:masters");
    assert_eq!(who(&before, &role("A")), had);
    let (user, canonical) = (format!("a:{ACCOUNT}"), format!("arn:aws:iam::{ACCOUNT}:role/A"));
    let list = "groups:\n  - system:masters";
    for (what, written, told, fresh) in [
        (list, "group:\n  - system:masters", "did you mean groups?", user.clone()),
        (list, "grups: [system:masters]", "did you mean groups?", user.clone()),
        (
            list,
            "groups:\n- system:masters",
            "line 4, column 3: a group seems to stand among the entries",
            user.clone(),
        ),
        (
            list,
            "groups:\n  - dev\n- system:masters",
            "a group seems to stand among the entries",
            format!("{user},dev"),
        ),
        (list, "groups: |\n    - system:masters", "groups is one text", format!("{user},- system:masters\n")),
        (list, "groups: system:masters, dev", "groups is one text", format!("{user},system:masters, dev")),
        (list, "groups: system:masters dev", "groups is one text", format!("{user},system:masters dev")),
        (list, "groups:\n    -system:masters", "groups is one text", format!("{user},-system:masters")),
        (
            list,
            "groups:\n  - dev\n   - system:masters",
            "holds a hyphen as of a list",
            format!("{user},dev - system:masters"),
        ),
        (list, "\n- groups: [system:masters]", "has no groups, which stands beside it", user.clone()),
        ("  username: a", "- username: a", "has no username, which stands beside it", canonical.clone()),
        ("username", "user", "did you mean username?", format!("{canonical},system:masters")),
        ("username", "usrname", "did you mean username?", format!("{canonical},system:masters")),
        (
            "{{AccountID}}",
            "{{AccountId}}",
            "did you mean {{AccountID}}?",
            "a:{{AccountId}},system:masters".to_owned(),
        ),
    ] {
        let text = good.replace(what, written);
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        assert_eq!(who(&after, &role("A")), had, "{text}\n{diagnostics:#?}");
        assert_eq!(after.figures().kept, 1, "{text}");
        let is_told = |diagnostic: &Diagnostic| {
            diagnostic.severity == Severity::Error && diagnostic.to_string().contains(told)
        };
        assert!(diagnostics.iter().any(is_told), "{text}\n{diagnostics:#?}");
        assert_eq!(who(&load(&[("mapRoles", &text)]).0, &role("A")), fresh, "as today: {text}");
    }
}

#[test]
fn a_field_beside_the_one_that_it_is_like_raises_no_doubt() {
    let text = entry("A", "new") + "  group: x\n  user: y\n";
    let (before, _) = load(&[("mapRoles", &entry("A", "old"))]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
    assert!(diagnostics.iter().all(|told| told.severity == Severity::Warning), "{diagnostics:#?}");
    assert_eq!((diagnostics.len(), who(&after, &role("A"))), (2, "new,g".into()));
}

#[test]
fn a_group_that_loses_its_hyphen_stays() {
    let groups = |second: &str| entry("A", "a").replace(" [g]", &format!("\n  - dev\n  {second}"));
    let (before, diagnostics) = load(&[("mapRoles", &groups("- system:masters"))]);
    assert_eq!(diagnostics, []);
    let lost = groups("  system:masters");
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &lost)]));
    let told = "entry 1, line 1, column 3: the group \"dev\" has become a word of another group's name";
    only(&diagnostics, Severity::Error, told);
    assert_eq!(who(&after, &role("A")), "a,dev,system:masters");
    assert_eq!((after.figures().kept, after.figures().invalid), (1, 1));
    assert_eq!(who(&load(&[("mapRoles", &lost)]).0, &role("A")), "a,dev system:masters", "as today");
}

#[test]
fn a_group_may_have_blanks_and_hyphens_in_its_name() {
    let text = entry("A", "new").replace("[g]", "['Domain Admins', team-a, 'a, b']");
    let (before, _) = load(&[("mapRoles", &entry("A", "old"))]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
    assert_eq!(diagnostics, []);
    assert_eq!(who(&after, &role("A")), "new,Domain Admins,team-a,a, b");
}

#[test]
fn the_same_text_read_again_changes_nothing_where_one_of_two_entries_is_doubtful() {
    let (clear, doubtful) = (entry("A", "a"), entry("A", "b").replace("groups", "grouVps"));
    for text in [format!("{clear}{doubtful}"), format!("{doubtful}{clear}")] {
        let (first, _) = load(&[("mapRoles", &text)]);
        let (again, _) = Snapshot::update(Some(&first), &data(&[("mapRoles", &text)]));
        assert_eq!([who(&first, &role("A")), who(&again, &role("A"))], ["a,g", "a,g"], "{text}");
    }
}
