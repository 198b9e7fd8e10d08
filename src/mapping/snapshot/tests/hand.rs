//! What a hand does to a list that it edits, and what is still there afterwards.

use proptest::prelude::*;

use super::*;

/// One slip.
#[derive(Debug, Clone)]
pub(super) enum Slip {
    Insert(prop::sample::Index, char),
    Remove(prop::sample::Index),
    RemoveLine(prop::sample::Index),
    Indent(prop::sample::Index, usize),
    Dedent(prop::sample::Index),
    DoubleLine(prop::sample::Index),
}

/// The letters that slip in: those that mean something to YAML, and one that does not.
pub(super) const LETTERS: &str = "-: \t\n[]{}&*#'\"|>!%@`,?<a";

pub(super) fn slip() -> impl Strategy<Value = Slip> {
    let place = any::<prop::sample::Index>;
    let letter = prop::sample::select(LETTERS.chars().collect::<Vec<_>>());
    prop_oneof![
        (place(), letter).prop_map(|(at, letter)| Slip::Insert(at, letter)),
        place().prop_map(Slip::Remove),
        place().prop_map(Slip::RemoveLine),
        (place(), 1..5_usize).prop_map(|(at, blanks)| Slip::Indent(at, blanks)),
        place().prop_map(Slip::Dedent),
        place().prop_map(Slip::DoubleLine),
    ]
}

/// `text` after the slip.
pub(super) fn make(text: &str, slip: &Slip) -> String {
    let letters = text.chars().count();
    let lines = text.lines().count();
    match slip {
        _ if lines == 0 => String::new(),
        Slip::Insert(at, letter) => insert(text, at.index(letters), *letter),
        Slip::Remove(at) => remove(text, at.index(letters)),
        Slip::RemoveLine(at) => edit_line(text, at.index(lines), |_| Vec::new()),
        Slip::Indent(at, blanks) => edit_line(text, at.index(lines), |line| vec![" ".repeat(*blanks) + line]),
        Slip::Dedent(at) => edit_line(text, at.index(lines), |line| vec![line.trim_start().to_owned()]),
        Slip::DoubleLine(at) => edit_line(text, at.index(lines), |line| vec![line.to_owned(); 2]),
    }
}

/// `text` after each slip that there is.
pub(super) fn each(text: &str) -> impl Iterator<Item = String> + '_ {
    let letters = text.chars().count();
    let inserted =
        (0..=letters).flat_map(move |at| LETTERS.chars().map(move |letter| insert(text, at, letter)));
    let removed = (0..letters).map(move |at| remove(text, at));
    let lines = (0..text.lines().count()).flat_map(move |at| {
        let mut edits: Vec<String> =
            (1..5).map(|blanks| edit_line(text, at, |line| vec![" ".repeat(blanks) + line])).collect();
        edits.push(edit_line(text, at, |_| Vec::new()));
        edits.push(edit_line(text, at, |line| vec![line.trim_start().to_owned()]));
        edits.push(edit_line(text, at, |line| vec![line.to_owned(); 2]));
        edits
    });
    inserted.chain(removed).chain(lines)
}

fn insert(text: &str, at: usize, letter: char) -> String {
    let (before, after): (String, String) =
        (text.chars().take(at).collect(), text.chars().skip(at).collect());
    format!("{before}{letter}{after}")
}

fn remove(text: &str, at: usize) -> String {
    text.chars().enumerate().filter(|(index, _)| *index != at).map(|(_, letter)| letter).collect()
}

fn edit_line(text: &str, at: usize, edit: impl Fn(&str) -> Vec<String>) -> String {
    let lines = text.lines().enumerate();
    let lines = lines.flat_map(|(index, line)| if index == at { edit(line) } else { vec![line.to_owned()] });
    lines.map(|line| line + "\n").collect()
}

/// How people and programs write an entry.
pub(super) const FORMS: [&str; 9] = [
    "- rolearn: {arn}\n  username: {name}\n  groups: [ own-{name} , g ]\n",
    "- rolearn: {arn}\n  username: {name}\n  groups: ['own-{name}', \"g\"]\n",
    "- rolearn: {arn}\n  username: {name}\n  groups:\n  - own-{name}\n  - g\n",
    "- rolearn: {arn}\n  username: {name}\n  groups:\n    - g\n    - own-{name}\n",
    "- rolearn: {arn}\n  username: {name}\n  groups:\n  - own-{name}\n",
    "- rolearn: {arn}\n  groups:\n  - \"own-{name}\"\n  - g\n  username: {name}\n",
    "- groups:\n  - own-{name}\n  - g\n  rolearn: {arn}\n  username: {name}\n",
    "- {rolearn: {arn}, username: {name}, groups: [own-{name}, g]}\n",
    "-\n  \"groups\":\n  - \"g\"\n  - \"own-{name}\"\n  \"rolearn\": \"{arn}\"\n  \"username\": \"{name}\"\n",
];

pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// The entry of the role `name`, who is in the groups g and own-`name`.
pub(super) fn written(form: &str, name: &str) -> String {
    form.replace("{arn}", &arn(name)).replace("{name}", name)
}

/// Whether a line still has `word` as a word of its own, and not in a comment.
pub(super) fn still_has(text: &str, word: &str) -> bool {
    text.lines().filter(|line| !line.contains('#')).any(|line| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().last(), line[at + word.len()..].chars().next());
            let begins = |c: char| c.is_whitespace() || "[,{'\"".contains(c);
            let ends = |c: char| c.is_whitespace() || "],}'\"".contains(c);
            before.is_none_or(begins) && after.is_none_or(ends)
        })
    })
}

/// Whom the edit `text` takes something away from that is still there: a role of `names` whose ARN stands in the text
/// and who has no access any more, or whose group does and who is not in it any more.
pub(super) fn robbed<'n>(before: &Snapshot, names: &[&'n str], text: &str) -> Option<(&'n str, String)> {
    let (after, diagnostics) = Snapshot::update(Some(before), &data(&[("mapRoles", text)]));
    // Of two valid entries for one role the last counts, as today, and that is told.
    if diagnostics.iter().any(|told| told.to_string().contains("the last one counts")) {
        return None;
    }
    names.iter().find_map(|name| {
        if !still_has(text, &arn(name)) {
            return None;
        }
        let (who, group) = (who(&after, &role(name)), format!("own-{name}"));
        let has_group = who.split(',').any(|had| had == group);
        // With its group, an ARN that has become another's has taken the entry along.
        let has_moved =
            after.entries().any(|(_, _, had)| had.groups.iter().any(|had| had.to_string() == group));
        let is_robbed = who == "-" || (!has_group && !has_moved && still_has(text, &group));
        is_robbed.then(|| (*name, format!("{name} is {who} by\n{text}\n{diagnostics:#?}")))
    })
}
