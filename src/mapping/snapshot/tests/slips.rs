//! Entries that have slipped into each other.

use super::*;

const A: &str = "arn:aws:iam::111122223333:role/A";
const B: &str = "arn:aws:iam::111122223333:role/B";

fn before() -> Snapshot {
    let good = format!(
        "- rolearn: {A}\n  username: a\n  groups: [ga]\n- rolearn: {B}\n  username: b\n  groups: [gb]\n"
    );
    let (snapshot, diagnostics) = load(&[("mapRoles", &good)]);
    assert_eq!(diagnostics, []);
    snapshot
}

/// Both have lost their place in an entry of their own; both keep what they had, and it is told as an error.
#[test]
fn whoever_is_named_in_a_slipped_entry_keeps_what_was_last_good() {
    for (name, edit, told) in [
        (
            "a lost hyphen",
            format!(
                "- rolearn: {A}\n  username: a\n  groups: [ga]\n  rolearn: {B}\n  username: b\n  groups: [gb]"
            ),
            "line 4, column 3: the field rolearn is there twice (line 1 too): two entries have become one",
        ),
        (
            "a lost hyphen, with the names in other cases",
            format!("- roleARN: {A}\n  username: a\n  rolearn: {B}"),
            "two entries have become one",
        ),
        (
            "an entry among the groups of the one before",
            format!("- rolearn: {A}\n  username: a\n  groups:\n  - ga\n  - rolearn: {B}\n    username: b"),
            "line 5, column 5: holds another entry inside",
        ),
        (
            "an entry among the groups of the one before, whose fields stand below",
            format!(
                "- rolearn: {A}\n  username: a\n  groups:\n  - ga\n  - rolearn: {B}\n  username: b\n  groups: [gb]"
            ),
            "line 5, column 5: holds another entry inside",
        ),
        (
            "an entry as a username",
            format!("- rolearn: {A}\n  groups: [ga]\n  username:\n  - rolearn: {B}\n    username: b"),
            "holds another entry inside",
        ),
        (
            "an entry below a field that means nothing",
            format!("- rolearn: {A}\n  username: a\n  also:\n  - rolearn: {B}\n    username: b"),
            "holds another entry inside",
        ),
        (
            "lines that have become part of a group's name",
            format!(
                "- groups:\n  - ga\n   rolearn {A}\n  username: a\n- rolearn: {B}\n  username: b\n  groups: [gb]"
            ),
            "a text holds an ARN among other words",
        ),
        (
            "a list in the list",
            format!("- - rolearn: {A}\n    username: a\n  - rolearn: {B}\n    username: b"),
            "is a list, not an entry",
        ),
        (
            "entries under names",
            format!("- first: {{rolearn: {A}, username: a}}\n  second: {{rolearn: {B}, username: b}}"),
            "holds another entry inside",
        ),
        (
            "the names of the fields misspelt",
            format!("- role_arn: {A}\n  username: a\n- role: {B}\n  username: b"),
            "has no rolearn",
        ),
        ("nothing but the ARNs", format!("- {A}\n- {B}"), "is a text, not an entry with fields"),
        ("two in one text", format!("- rolearn: {A}, {B}\n  username: a"), "holds several ARNs"),
        ("two in one word", format!("- rolearn: {A},{B}\n  username: a"), "holds several ARNs"),
        ("a list of ARNs", format!("- rolearn: [{A}, {B}]\n  username: a"), "rolearn is a list"),
    ] {
        let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
        assert_eq!(
            (who(&after, &role("A")), who(&after, &role("B"))),
            ("a,ga".into(), "b,gb".into()),
            "{name}: {diagnostics:#?}"
        );
        let error = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        let error = error.unwrap_or_else(|| panic!("{name} is no error"));
        assert!(error.to_string().contains(told), "{name}: {error}");
        assert!(!error.advice.is_empty(), "{name}");
        assert!(after.figures().kept > 0, "{name}");
    }
}

#[test]
fn whom_an_arn_with_something_too_many_names_keeps_what_they_had() {
    for arn in [
        format!("\u{201c}{A}\u{201d}"),
        format!("\u{ab}{A}\u{bb}"),
        format!("{A}\u{200b}"),
        format!("{A}\u{a0}x"),
        format!("{A}/"),
        format!("{A}//"),
        A.replace("role/", "role//"),
        format!("{A}\u{2026}"),
        format!("{A})."),
        format!("'{A}|'"),
    ] {
        let edit = format!("- rolearn: {arn}\n  username: new\n");
        let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
        only(&diagnostics, Severity::Error, "is no ARN that can be mapped");
        assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("a,ga".into(), "-".into()), "{arn}");
    }
}

#[test]
fn a_permission_set_whose_fields_got_hyphens_keeps_what_it_had() {
    let fields = |hyphen: &str| {
        format!(
            "- sso:\n    {hyphen}permissionSetName: Admin\n    {hyphen}accountID: '{ACCOUNT}'\n    {hyphen}partition: aws\n  username: admin\n"
        )
    };
    let (before, diagnostics) = load(&[("mapRoles", &fields(""))]);
    assert_eq!(diagnostics, []);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &fields("- "))]));
    only(&diagnostics, Severity::Error, "sso is a list, not a mapping");
    assert_eq!(who(&after, &role("AWSReservedSSO_Admin_0123456789abcdef")), "admin");
}

#[test]
fn a_slipped_entry_gives_nobody_anothers_groups() {
    let edit =
        format!("- rolearn: {A}\n  username: a\n  rolearn: {B}\n  username: b\n  groups: ['system:masters']");
    let (snapshot, _) = load(&[("mapRoles", &edit)]);
    assert_eq!((who(&snapshot, &role("A")), who(&snapshot, &role("B"))), ("-".into(), "-".into()));
}

/// Two entries of which one has lost its ARN's line: the other does not become who that one was.
#[test]
fn a_field_that_is_there_twice_counts_only_where_nothing_was_last_good() {
    let edit =
        format!("- rolearn: {A}\n  username: a\n  groups: [ga]\n  username: b\n  groups: ['system:masters']");
    let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
    assert_eq!(who(&after, &role("A")), "a,ga");
    assert_eq!(diagnostics.len(), 2, "{diagnostics:#?}");
    assert!(diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Error));
    let (first, _) = load(&[("mapRoles", &edit)]);
    assert_eq!(who(&first, &role("A")), "b,system:masters", "as today");
}

#[test]
fn whom_a_misspelt_naming_field_names_keeps_what_they_had_and_the_entry_counts() {
    for field in ["rolearm", "role_arn", "rolearns", "role-Arn", "rolarn", "RoleARN2"] {
        let edit = format!("- rolearn: {A}\n  username: new\n  {field}: {B}\n");
        let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
        only(&diagnostics, Severity::Error, "whom it names keeps what was last good; did you mean rolearn?");
        assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("new".into(), "b,gb".into()));
        assert_eq!(after.figures().invalid, 0, "{field}");
    }
}

/// A remark on who was is no slip: an entry that is gone is gone.
#[test]
fn whom_a_field_names_that_is_but_somewhat_like_a_naming_one_loses_what_they_had() {
    for field in ["oldRoleArn", "previousrolearn", "role", "also", "roles", "arn"] {
        let edit = format!("- rolearn: {A}\n  username: new\n  groups: []\n  {field}: {B}\n");
        let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
        only(&diagnostics, Severity::Warning, "means nothing here");
        assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("new".into(), "-".into()), "{field}");
        assert_eq!(after.figures().kept, 0, "{field}");
    }
}

#[test]
fn an_entry_that_breaks_on_its_way_to_another_list_keeps_what_it_had() {
    let bob = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let users = format!("- userarn: {bob}\n  username: bob\n");
    let (before, _) = load(&[("mapUsers", &users)]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &users)]));
    assert!(diagnostics.iter().any(|diagnostic| diagnostic.message.to_string().contains("has no rolearn")));
    assert_eq!(who(&after, &user("bob")), "bob");
    let settled =
        data(&[("mapRoles", &users), ("mapUsers", &users.replace("username: bob", "username: new"))]);
    let (after, _) = Snapshot::update(Some(&before), &settled);
    assert_eq!(who(&after, &user("bob")), "new");
}

#[test]
fn a_username_or_group_may_be_an_arn() {
    let text = format!("- rolearn: {A}\n  username: {B}\n  groups: ['{B}']\n");
    let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &text)]));
    assert_eq!(diagnostics, []);
    assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), (format!("{B},{B}"), "-".into()));
    let broken = format!("- rolearn: {A}\n  username: {B}\n  groups: {{x: y}}\n");
    let (after, _) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &broken)]));
    assert_eq!(who(&after, &role("B")), "-", "a username names nobody");
}

#[test]
fn broken_entries_of_accounts_and_permission_sets_keep_theirs() {
    let sso = |name: &str| {
        format!("- sso: {{permissionSetName: {name}, accountID: '{ACCOUNT}'}}\n  username: {name}\n")
    };
    let (before, _) = load(&[("mapRoles", &sso("Admin")), ("mapAccounts", "['000000000012']")]);
    let broken = sso("Admin").replace("username: Admin", "username: [x]");
    let edit = data(&[("mapRoles", &broken), ("mapAccounts", "[{id: '000000000012'}, 7]")]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &edit);
    assert_eq!(diagnostics.len(), 3, "{diagnostics:#?}");
    assert_eq!(who(&after, &role("AWSReservedSSO_Admin_0123456789abcdef")), "Admin");
    assert_eq!(who(&after, &identity("iam::000000000012:root")), "account");
}

#[test]
fn a_remark_in_a_field_that_means_nothing_keeps_nobody() {
    for remark in [format!("replaces: '{A}'"), format!("note: 'was {A}'"), format!("history: ['{A}', '{B}']")]
    {
        let edit = format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/New\n  username: n\n  {remark}\n");
        let (after, diagnostics) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
        only(&diagnostics, Severity::Warning, "means nothing here");
        let all = (who(&after, &role("New")), who(&after, &role("A")), who(&after, &role("B")));
        assert_eq!(all, ("n".into(), "-".into(), "-".into()), "{remark}");
    }
}

#[test]
fn whom_an_invalid_entry_names_in_any_field_keeps_what_they_had() {
    let edit = format!("- username: n\n  replaces: '{A}'\n");
    let (after, _) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &edit)]));
    assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("a,ga".into(), "-".into()));
}

#[test]
fn a_remark_with_an_arn_in_it_locks_nobody_out() {
    let remark = format!("- {{rolearn: '{A}', username: new, note: 'was {B}'}}\n");
    let (fresh, diagnostics) = load(&[("mapRoles", &remark)]);
    only(&diagnostics, Severity::Warning, "\"note\" means nothing here");
    assert_eq!(who(&fresh, &role("A")), "new");
    let (after, _) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &remark)]));
    assert_eq!(who(&after, &role("A")), "new");
}

/// Two entries whose texts have run together, or a strange name: who can tell?
#[test]
fn a_name_with_an_arn_among_other_words_counts_only_where_nothing_was_last_good() {
    for field in [format!("username: 'new {B}'"), format!("username: new\n  groups: ['g {B}']")] {
        let text = format!("- rolearn: {A}\n  {field}\n");
        let (fresh, diagnostics) = load(&[("mapRoles", &text)]);
        only(&diagnostics, Severity::Error, "an ARN among other words");
        assert!(who(&fresh, &role("A")).starts_with("new"), "{field}");
        let (after, _) = Snapshot::update(Some(&before()), &data(&[("mapRoles", &text)]));
        assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("a,ga".into(), "b,gb".into()));
    }
    for swallowed in ["username: 'new roleARN: x'", "note: 'rolearn: x'"] {
        let (fresh, _) = load(&[("mapRoles", &format!("- rolearn: {A}\n  {swallowed}\n"))]);
        assert_eq!(who(&fresh, &role("A")), "-", "{swallowed}");
    }
}

/// It would take minutes if each beginning of an ARN were looked at to the end of the text.
#[test]
fn a_word_that_begins_an_arn_over_and_over_is_read_in_one_go() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let word = "arn:".repeat(250_000);
    let data = data(&[("mapRoles", &format!("- rolearn: {word}x\n{}", entry("A", "a")))]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data);
    assert!(diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
    assert_eq!(who(&after, &role("A")), "a,g");
}

/// It would take minutes if each name were held against each group that was there.
#[test]
fn an_entry_of_tens_of_thousands_of_groups_is_held_against_as_many_in_one_go() {
    let groups =
        |end: &str| (0..30_000).map(|number| format!("  - g{number}{end}\n")).collect::<Vec<_>>().concat();
    let with = |groups: &str| entry("A", "a").replace(" [g]", &format!("\n{groups}"));
    let (before, _) = load(&[("mapRoles", &with(&groups("")))]);
    let text = with(&groups(" of another department"));
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
    assert_eq!(diagnostics, []);
    assert!(who(&after, &role("A")).starts_with("a,g0 of another department,g1 of another department"));
}

#[test]
fn of_a_list_of_nothing_but_mistakes_the_first_thousand_are_told_and_the_others_counted() {
    let (snapshot, diagnostics) = load(&[("mapRoles", &format!("[{}1]", "1,".repeat(5000)))]);
    assert_eq!(diagnostics.len(), 1001);
    assert!(diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Error));
    assert_eq!(
        diagnostics[1000].to_string().split(';').next().unwrap(),
        "mapRoles: has 4001 more errors, which are not told one by one"
    );
    assert_eq!(snapshot.figures().invalid, 5001, "that is told exactly");

    let fields = (0..5000).map(|number| format!("  f{number}: x")).collect::<Vec<_>>().join("\n");
    let (snapshot, diagnostics) = load(&[("mapRoles", &(entry("A", "a") + &fields))]);
    assert_eq!((diagnostics.len(), who(&snapshot, &role("A"))), (50, "a,g".to_owned()));
}

#[test]
fn what_the_entries_come_to_together_is_told_within_the_same_bound() {
    let (snapshot, diagnostics) = load(&[("mapAccounts", &format!("- '{ACCOUNT}'\n").repeat(5000))]);
    assert_eq!(snapshot.index().len(), 1);
    assert_eq!(diagnostics.len(), 1001, "a thousand that map the same account again, and how many more");
    let last = diagnostics.last().map(ToString::to_string).unwrap_or_default();
    assert!(last.starts_with("mapAccounts: has 3999 more warnings, which are not told one by one"), "{last}");
}
