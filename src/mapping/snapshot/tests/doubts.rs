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
    let told = "entry 1, line 1, column 3: the group \"dev\" has become a part of another group's name";
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

/// What a tool writes that has made one name of two: in quotes it is meant, without them it may be a lost comma, and
/// that is told with what to do. A list of JSON has quotes.
#[test]
fn a_quoted_name_of_several_words_is_meant_and_a_plain_one_of_former_groups_is_not() {
    let groups = |list: &str| entry("A", "a").replace("[g]", list);
    let (before, _) = load(&[("mapRoles", &groups("[Domain, Admins, dev]"))]);
    let told = "the group \"Domain\" has become a part of another group's name";
    for (list, kept) in [
        ("['Domain Admins', dev]", false),
        ("[\"Domain Admins\", dev]", false),
        ("['Domain Admins']", false),
        ("['team: a b', dev]", false),
        ("[Domain Admins, dev]", true),
        ("[Domain  Admins dev]", true),
        ("[Domain Admin, dev]", true),
        ("['Domain, Admins', dev]", true),
        ("['Domain - Admins', dev]", true),
        ("[Domain Controllers, dev]", false),
        ("[\"'Domain'\", Admins, dev]", true),
    ] {
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &groups(list))]));
        let was_kept = who(&after, &role("A")) == "a,Domain,Admins,dev";
        assert_eq!((was_kept, after.figures().kept), (kept, usize::from(kept)), "{list}: {diagnostics:#?}");
        if kept {
            only(&diagnostics, Severity::Error, told);
            assert!(diagnostics[0].advice.contains("put quotes around a name of several words"));
        } else {
            assert_eq!(diagnostics, [], "{list}");
        }
    }
    let json =
        r#"{"mapRoles": [{"rolearn": "arn:aws:iam::111122223333:role/A", "groups": ["Domain Admins"]}]}"#;
    let fields = crate::yaml::parse(json, Limits::default()).unwrap().unwrap();
    let lists = [fields.get("mapRoles"), None, None];
    let (after, _) = Snapshot::update_from_nodes(Some(&before), lists, MatchBy::ArnAlone);
    assert_eq!(who(&after, &role("A")), format!("arn:aws:iam::{ACCOUNT}:role/A,Domain Admins"));
}

#[test]
fn two_names_of_several_words_that_have_run_together_stay() {
    let groups = |list: &str| entry("A", "a").replace("[g]", list);
    let (before, _) = load(&[("mapRoles", &groups("[Domain Admins, Site Admins]"))]);
    let (after, diagnostics) =
        Snapshot::update(Some(&before), &data(&[("mapRoles", &groups("[Domain Admins Site Admins]"))]));
    only(&diagnostics, Severity::Error, "the group \"Domain Admins\" has become a part");
    assert_eq!(who(&after, &role("A")), "a,Domain Admins,Site Admins");
}

/// Each leaves ARN and group in the text by two slips, or by one that no letter of the entry shows.
#[test]
fn a_group_that_stands_where_it_gives_nothing_stays_and_is_told() {
    let block = entry("A", "a").replace(" [g]", "\n  - dev\n  - ops");
    let (before, _) = load(&[("mapRoles", &block)]);
    for (what, written, told) in [
        ("groups:\n  - dev\n  - ops", "? groups: [dev, ops]", "the group \"dev\" stands outside of"),
        ("a\n  groups:\n  - dev\n  - ops", "a  groups [ dev, ops ]", "the group \"dev\" stands outside of"),
        ("a\n  groups:\n  - dev\n  - ops", "'a\n  groups: [ dev, ops ]'", "cannot be read as YAML"),
        ("  - dev\n  - ops\n", "  - ops\n- dev: \n", "the group \"dev\" stands outside of"),
        ("  - dev\n", "  - &dev\n", "the group \"dev\" is no value any more"),
        ("  - dev\n", "  -: dev\n", ""),
        ("  username: a\n", "  username: !a\n", "the username \"a\" is no value any more"),
        ("  username: a\n", "  username:\n  a: \n", "the username \"a\" stands outside of"),
    ] {
        assert!(block.contains(what), "{what}");
        let text = block.replace(what, written);
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        assert_eq!(who(&after, &role("A")), "a,dev,ops", "{text}\n{diagnostics:#?}");
        let is_told = |diagnostic: &Diagnostic| {
            diagnostic.severity == Severity::Error && diagnostic.to_string().contains(told)
        };
        assert!(diagnostics.iter().any(is_told), "{text}\n{diagnostics:#?}");
    }
}

#[test]
fn a_doubled_line_in_front_of_a_broken_entry_takes_nothing_away() {
    let good = entry("A", "a");
    let (before, _) = load(&[("mapRoles", &good)]);
    let line = format!("- rolearn: {}\n", hand::arn("A"));
    for broken in
        [good.replace("groups: [g]", "groups: {g: h}"), good.replace("username: a", "username: [a]")]
    {
        let text = format!("{line}{broken}");
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        assert_eq!(who(&after, &role("A")), "a,g", "{text}\n{diagnostics:#?}");
        let told = "\"g\" stands in another entry for the same principal, which does not count";
        assert!(
            diagnostics.iter().any(|diagnostic| diagnostic.to_string().contains(told)),
            "{diagnostics:#?}"
        );
    }
}

#[test]
fn an_arn_with_a_comma_behind_it_names_another_and_takes_nobodys_access() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let text = entry("A,", "a");
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
    only(&diagnostics, Severity::Error, "ends with a comma, which is part of the name");
    assert_eq!((who(&after, &role("A")), who(&after, &role("A,"))), ("a,g".into(), "a,g".into()));
}

/// Whoever takes a group away, and leaves it in a remark, has taken it away.
#[test]
fn a_group_that_is_gone_but_for_a_remark_or_another_entry_is_gone() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a").replace("[g]", "[dev, ops]"))]);
    let now = entry("A", "a").replace("[g]", "[ops]");
    for more in ["  note: was in dev until May\n", "  former: [dev]\n", "  # - dev\n"] {
        let text = format!("{now}{more}{}", entry("B", "dev"));
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        assert_eq!((who(&after, &role("A")), after.figures().kept), ("a,ops".into(), 0), "{diagnostics:#?}");
    }
}
