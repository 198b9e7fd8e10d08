//! The rule, over any row of edits.

use proptest::prelude::*;

use super::{
    hand::{FORMS, arn, each, make, robbed, slip, still_has, written},
    *,
};

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

const NAMES: [&str; 3] = ["A", "B", "C"];

/// Names, of which some are others' words.
const WORDS: [&str; 10] =
    ["a", "b", "a b", "Domain", "Admins", "Domain Admins", "system:masters", "team-a", "x (y)", "-z"];

/// A username and groups for each of the names that has an entry.
fn entries() -> impl Strategy<Value = Vec<Option<(&'static str, Vec<&'static str>)>>> {
    let groups = prop::sample::subsequence(&WORDS[..], 0..5).prop_shuffle();
    prop::collection::vec(prop::option::weighted(0.8, (prop::sample::select(&WORDS[..]), groups)), 3)
}

/// Every slip that there is, rather than some of them.
#[test]
fn no_slip_takes_access_or_a_group_that_it_leaves_in_place() {
    for form in FORMS {
        let [a, b] = ["A", "B"].map(|name| written(form, name));
        let (before, diagnostics) = load(&[("mapRoles", &format!("{a}{b}"))]);
        assert_eq!(diagnostics, []);
        let texts = each(&a).map(|a| format!("{a}{b}")).chain(each(&b).map(|b| format!("{a}{b}")));
        let robbed = texts.filter_map(|text| robbed(&before, &["A", "B"], &text));
        let robbed: Vec<String> = robbed.map(|(_, how)| how).take(40).collect();
        assert!(robbed.is_empty(), "{}", robbed.join("\n"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(4096)))]

    #[test]
    fn no_row_of_slips_takes_the_access_of_whose_arn_it_leaves_in_place(
        slips in prop::collection::vec(slip(), 3..5),
        form in prop::sample::select(&FORMS[..]),
    ) {
        let good: String = NAMES.iter().map(|name| written(form, name)).collect();
        let (before, _) = load(&[("mapRoles", &good)]);
        let text = slips.iter().fold(good, |text, slip| make(&text, slip));
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        for name in NAMES {
            prop_assert!(
                !still_has(&text, &arn(name)) || who(&after, &role(name)) != "-",
                "{} in\n{}\n{:#?}", name, text, diagnostics
            );
        }
    }

    /// Two slips in one edit, in one entry or in one each.
    #[test]
    fn no_two_slips_take_access_or_a_group_that_they_leave_in_place(
        first in slip(),
        second in slip(),
        in_one in any::<bool>(),
        form in prop::sample::select(&FORMS[..]),
    ) {
        let [a, b, c] = NAMES.map(|name| written(form, name));
        let (before, diagnostics) = load(&[("mapRoles", &format!("{a}{b}{c}"))]);
        prop_assert_eq!(diagnostics, []);
        let text = if in_one {
            format!("{a}{}{c}", make(&make(&b, &first), &second))
        } else {
            format!("{}{}{c}", make(&a, &first), make(&b, &second))
        };
        let robbed = robbed(&before, &NAMES, &text);
        prop_assert!(robbed.is_none(), "{}", robbed.unwrap_or_default().1);
    }

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

    /// What a program writes, or a hand that makes no slip, is in force as it is written: what is gone is gone.
    #[test]
    fn a_well_formed_edit_is_in_force_as_it_is_written(edits in prop::collection::vec(entries(), 1..6)) {
        let mut last = Snapshot::empty();
        for edit in edits {
            let entry = |(name, entry): (&&str, &Option<(&str, Vec<&str>)>)| {
                let (username, groups) = entry.as_ref()?;
                Some(format!("- {{rolearn: '{}', username: '{username}', groups: {groups:?}}}\n", arn(name)))
            };
            let text: String = NAMES.iter().zip(&edit).filter_map(entry).collect();
            let (after, diagnostics) = Snapshot::update(Some(&last), &data(&[("mapRoles", &text)]));
            prop_assert_eq!(&diagnostics, &[], "{}", text);
            for (name, entry) in NAMES.iter().zip(&edit) {
                let wanted = entry.as_ref().map_or("-".to_owned(), |(username, groups)| {
                    std::iter::once(username).chain(groups).copied().collect::<Vec<_>>().join(",")
                });
                prop_assert_eq!(who(&after, &role(name)), wanted, "{}", text);
            }
            last = after;
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
