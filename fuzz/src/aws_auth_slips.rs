//! Slips of a hand in an aws-auth that was good.
//!
//! **Property.** Whose ARN still stands in the text has access. Nobody has it who had none and is not named. One slip
//! gives nobody a group of somebody else's. And what is invalid after it, the admission webhook refuses.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use arngate::{
    identity::{Identity, Partition},
    mapping::{Edit as Review, Match, Snapshot},
};

use crate::aws_auth;

const NAMES: [&str; 5] = ["Alpha", "Bravo", "Charlie", "Delta", "Echo"];
const LETTERS: &[u8] = b"-: \t\n[]{}&*#'\"|>!%@`,?<a";

/// A good text, and what a hand does to it.
#[derive(Debug)]
pub struct Edit {
    entries: Vec<Form>,
    slips: Vec<Slip>,
}

impl<'a> Arbitrary<'a> for Edit {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (entries, slips) = (u.int_in_range(1..=NAMES.len())?, u.int_in_range(1..=3)?);
        let entries = (0..entries).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        let slips = (0..slips).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        Ok(Self { entries, slips })
    }
}

/// How an entry is written.
#[derive(Debug, Arbitrary)]
struct Form {
    is_arn_quoted: bool,
    are_groups_in_lines: bool,
    are_groups_indented: bool,
    are_groups_first: bool,
    has_comment: bool,
    in_brackets: bool,
}

/// What a hand does, at a line or a letter: the first number, as a part of all there are.
#[derive(Debug, Arbitrary)]
enum Slip {
    Insert(u16, u8),
    Remove(u16),
    RemoveLine(u16),
    Indent(u16, u8),
    Dedent(u16),
    DoubleLine(u16),
    MoveLine(u16, u16),
    CommentLine(u16),
    CutOff(u16),
}

/// Looks at an edit.
pub fn check(edit: &Edit) {
    let good: String = edit.entries.iter().zip(NAMES).map(|(form, name)| form.write(name)).collect();
    let (before, diagnostics) = Snapshot::update(None, &aws_auth::aws_auth([("mapRoles", good.as_str())]));
    assert!(diagnostics.is_empty(), "{diagnostics:?} of\n{good}");
    let text = edit.slips.iter().fold(good.clone(), |text, slip| slip.make(&text));
    let data = BTreeMap::from([("mapRoles".to_owned(), text.clone())]);
    let after = aws_auth::update(Some(&before), data);

    for (name, _) in NAMES.iter().zip(&edit.entries) {
        let groups = groups(&after, name);
        assert!(!still_names(&text, &arn(name)) || groups.is_some(), "{name} has no access in\n{text}");
        let moved = edit.slips.iter().any(|slip| matches!(slip, Slip::MoveLine(..)));
        if edit.slips.len() == 1 && !moved {
            let others = NAMES.iter().filter(|other| *other != name).map(|other| own_group(other));
            let gained: Vec<String> =
                others.filter(|other| groups.as_ref().is_some_and(|groups| groups.contains(other))).collect();
            assert!(gained.is_empty(), "{name} is in {gained:?} in\n{text}");
        }
    }
    let of = |text: &str| aws_auth::aws_auth([("mapRoles", text)]);
    let review = Review::review(Some(&before), Some(&of(&good)), Some(&of(&text)), &[]);
    assert_eq!(after.figures().errors > 0, !review.refusals.is_empty(), "{review:?} of\n{text}");
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/{name}")
}

fn own_group(name: &str) -> String {
    format!("only-{}", name.to_ascii_lowercase())
}

/// The groups of the role `name`; none where it is nobody.
fn groups(snapshot: &Snapshot, name: &str) -> Option<Vec<String>> {
    let session = format!("arn:aws:sts::111122223333:assumed-role/{name}/s");
    let account = "111122223333".parse().expect("it is an account");
    let identity = Identity::new(Partition::Aws, &session, account, "AROAEXAMPLE:s", "ASIAEXAMPLE");
    match snapshot.index().look_up(&identity.expect("it is a session"))? {
        Match::Entry(mapping) => Some(mapping.groups.iter().map(ToString::to_string).collect()),
        Match::Account(_) => Some(Vec::new()),
    }
}

impl Form {
    fn write(&self, name: &str) -> String {
        let arn = if self.is_arn_quoted { format!("\"{}\"", arn(name)) } else { arn(name) };
        let (user, own) = (name.to_ascii_lowercase(), own_group(name));
        if self.in_brackets {
            return format!("- {{ rolearn: {arn} , username: {user}, groups: [ {own} , all ]}}\n");
        }
        let indent = if self.are_groups_indented { "    " } else { "  " };
        let groups = if self.are_groups_in_lines {
            format!("groups:\n{indent}- {own}\n{indent}- all\n")
        } else {
            format!("groups: [ {own} , all ]\n")
        };
        let comment = if self.has_comment { "# who may\n" } else { "" };
        if self.are_groups_first {
            format!("{comment}- {groups}  rolearn: {arn}\n  username: {user}\n")
        } else {
            format!("{comment}- rolearn: {arn}\n  username: {user}\n  {groups}")
        }
    }
}

impl Slip {
    fn make(&self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            return String::new();
        }
        let (letter, line) = (letters.len(), lines.len());
        let of = |at: u16, count: usize| usize::from(at) * count / (usize::from(u16::MAX) + 1);
        match self {
            Self::Insert(at, which) => {
                let which = LETTERS[usize::from(*which) % LETTERS.len()];
                letters.insert(of(*at, letter), char::from(which));
                return letters.into_iter().collect();
            }
            Self::Remove(at) => {
                letters.remove(of(*at, letter));
                return letters.into_iter().collect();
            }
            Self::CutOff(at) => {
                letters.truncate(of(*at, letter));
                return letters.into_iter().collect();
            }
            Self::RemoveLine(at) => drop(lines.remove(of(*at, line))),
            Self::Indent(at, blanks) => {
                lines[of(*at, line)].insert_str(0, &" ".repeat(usize::from(blanks % 4) + 1));
            }
            Self::Dedent(at) => {
                let line = &mut lines[of(*at, line)];
                *line = line.trim_start().to_owned();
            }
            Self::DoubleLine(at) => {
                let at = of(*at, line);
                lines.insert(at, lines[at].clone());
            }
            Self::MoveLine(from, to) => {
                let moved = lines.remove(of(*from, line));
                lines.insert(of(*to, line), moved);
            }
            Self::CommentLine(at) => lines[of(*at, line)].insert(0, '#'),
        }
        lines.join("\n") + "\n"
    }
}

/// Whether a line still has the ARN as a word of its own, and not in a comment.
fn still_names(text: &str, arn: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    text.lines().filter(|line| !line.contains('#')).any(|line| {
        line.match_indices(arn).any(|(at, _)| {
            let (before, after) = (line[..at].chars().last(), line[at + arn.len()..].chars().next());
            before.is_none_or(ends) && after.is_none_or(ends)
        })
    })
}
