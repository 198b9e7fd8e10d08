//! The rule, over any row of edits.

use proptest::prelude::*;

use super::*;

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

/// What a hand does to a text that it edits.
#[derive(Debug, Clone)]
enum Slip {
    Insert(prop::sample::Index, char),
    Remove(prop::sample::Index),
    RemoveLine(prop::sample::Index),
    Indent(prop::sample::Index, usize),
    Dedent(prop::sample::Index),
    DoubleLine(prop::sample::Index),
}

fn slips() -> impl Strategy<Value = Vec<Slip>> {
    prop::collection::vec(slip(), 1..4)
}

fn slip() -> impl Strategy<Value = Slip> {
    let place = any::<prop::sample::Index>;
    let letter = prop::sample::select("-: \t\n[]{}&*#'\"|>!%@`,?<a".chars().collect::<Vec<_>>());
    prop_oneof![
        (place(), letter).prop_map(|(at, letter)| Slip::Insert(at, letter)),
        place().prop_map(Slip::Remove),
        place().prop_map(Slip::RemoveLine),
        (place(), 1..5_usize).prop_map(|(at, blanks)| Slip::Indent(at, blanks)),
        place().prop_map(Slip::Dedent),
        place().prop_map(Slip::DoubleLine),
    ]
}

fn make(text: &str, slip: &Slip) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    match slip {
        Slip::Insert(at, letter) => letters.insert(at.index(letters.len()), *letter),
        Slip::Remove(at) => {
            letters.remove(at.index(letters.len()));
        }
        Slip::RemoveLine(at) => {
            lines.remove(at.index(lines.len()));
        }
        Slip::Indent(at, blanks) => {
            let at = at.index(lines.len());
            lines[at].insert_str(0, &" ".repeat(*blanks));
        }
        Slip::Dedent(at) => {
            let at = at.index(lines.len());
            lines[at] = lines[at].trim_start().to_owned();
        }
        Slip::DoubleLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at].clone());
        }
    }
    match slip {
        Slip::Insert(..) | Slip::Remove(_) => letters.into_iter().collect(),
        _ => lines.join("\n") + "\n",
    }
}

/// Whether a line still has the ARN as a word of its own, and not in a comment.
fn still_names(text: &str, arn: &str) -> bool {
    text.lines().filter(|line| !line.contains('#')).any(|line| {
        line.match_indices(arn).any(|(at, _)| {
            let (before, after) = (line[..at].chars().last(), line[at + arn.len()..].chars().next());
            let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
            before.is_none_or(ends) && after.is_none_or(ends)
        })
    })
}

/// Whether a line still has `word` between blanks, and not in a comment.
fn still_has(text: &str, word: &str) -> bool {
    text.lines()
        .filter(|line| !line.contains('#'))
        .any(|line| line.split_whitespace().any(|other| other == word))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(4096)))]

    #[test]
    fn no_slip_that_leaves_an_arn_in_place_takes_its_access(slips in slips(), block in any::<bool>()) {
        let names = ["A", "B", "C"];
        let arn = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let good: String = names
            .iter()
            .map(|name| {
                if block {
                    let arn = arn(name);
                    format!("- groups:\n  - g\n  - h\n  rolearn: {arn}\n  username: {name}\n")
                } else {
                    entry(name, name)
                }
            })
            .collect();
        let (before, _) = load(&[("mapRoles", &good)]);
        let text = slips.iter().fold(good, |text, slip| make(&text, slip));
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        for name in names {
            prop_assert!(
                !still_names(&text, &arn(name)) || who(&after, &role(name)) != "-",
                "{} in\n{}\n{:#?}", name, text, diagnostics
            );
        }
    }

    #[test]
    fn no_slip_that_leaves_an_arn_and_a_group_in_place_takes_the_group(
        slip in slip(),
        block in any::<bool>(),
    ) {
        let names = ["A", "B", "C"];
        let good: String = names
            .iter()
            .map(|name| {
                let entry = entry(name, name);
                let groups =
                    if block { format!("\n  - own-{name}\n  - g") } else { format!(" [ own-{name} , g ]") };
                entry.replace(" [g]", &groups)
            })
            .collect();
        let (before, _) = load(&[("mapRoles", &good)]);
        let text = make(&good, &slip);
        let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("mapRoles", &text)]));
        for name in names {
            let (arn, group) = (format!("arn:aws:iam::{ACCOUNT}:role/{name}"), format!("own-{name}"));
            prop_assert!(
                !still_names(&text, &arn)
                    || !still_has(&text, &group)
                    || who(&after, &role(name)).split(',').any(|had| had == group),
                "{} is {} in\n{}\n{:#?}", name, who(&after, &role(name)), text, diagnostics
            );
        }
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
