//! What was wrong or odd in aws-auth before an edit, and whether it is that still.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{AwsAuth, Diagnostic, Place, Section, aws_auth::Found};
use crate::yaml::{self, Limits, Node, Position, Value};

/// What is wrong or odd: the list, which of its entries, and the message.
type What = (Option<Section>, Option<usize>, String);

/// What was wrong or odd before the edit.
pub(super) struct Known {
    /// How many times, by the entries' numbers before the edit.
    left: HashMap<What, usize>,
    /// The entries' numbers before the edit, by those after it.
    numbers: HashMap<(Section, usize), usize>,
}

impl Known {
    pub(super) fn new(before: &AwsAuth, after: &AwsAuth, old: &[Diagnostic], new: &[Diagnostic]) -> Self {
        let mut left: HashMap<_, usize> = HashMap::new();
        for diagnostic in old {
            let (section, entry) = place(diagnostic);
            *left.entry((section, entry, text(diagnostic))).or_default() += 1;
        }
        let of_entries = |diagnostics: &[Diagnostic], section| {
            let places = diagnostics.iter().map(place);
            places.into_iter().any(|(of, entry)| of == Some(section) && entry.is_some())
        };
        let mut numbers = HashMap::new();
        for section in Section::ALL {
            // Else there is nothing to find again.
            if of_entries(old, section) && of_entries(new, section) {
                let same = same_entries(&entries(before, section), &entries(after, section));
                numbers.extend(same.into_iter().map(|(old, new)| ((section, new), old)));
            }
        }
        Self { left, numbers }
    }

    /// Whether it was so before, as often as it is asked about.
    pub(super) fn take(&mut self, diagnostic: &Diagnostic) -> bool {
        let (section, entry) = place(diagnostic);
        let entry = match (section, entry) {
            (Some(section), Some(entry)) => match self.numbers.get(&(section, entry)) {
                Some(old) => Some(*old),
                None => return false,
            },
            _ => None,
        };
        let left = self.left.get_mut(&(section, entry, text(diagnostic))).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }
}

fn place(diagnostic: &Diagnostic) -> (Option<Section>, Option<usize>) {
    match &diagnostic.place {
        Place::List { section, entry, .. } => (Some(*section), *entry),
        Place::Object(_) => (None, None),
    }
}

/// The message without numbers: it may speak of other entries, by numbers that they have no more.
fn text(diagnostic: &Diagnostic) -> String {
    diagnostic.message.to_string().replace(|c: char| c.is_ascii_digit(), "")
}

/// An entry, wherever it stands.
struct Entry {
    content: String,
    /// Its first value, which is whom it is about in most.
    first: Option<String>,
}

/// A list's entries.
fn entries(aws_auth: &AwsAuth, section: Section) -> Vec<Entry> {
    let Found::Text(list) = aws_auth.find(section, &mut Vec::new()) else { return Vec::new() };
    let document = yaml::parse_first(list, Limits::default()).ok().and_then(|first| first.document);
    let Some(Node { value: Value::Sequence(items), .. }) = document else { return Vec::new() };
    let nowhere = |_| Position { line: 0, column: 0 };
    let entry = |item: Node| {
        let first = item.as_mapping().and_then(|fields| fields.first()).and_then(|(_, value)| value.as_str());
        let first = first.map(str::to_owned);
        Entry { content: format!("{:?}", item.moved(&nowhere).value), first }
    };
    items.into_iter().map(entry).collect()
}

/// Which entries of `new` are which of `old`, as pairs of numbers from 1: those of the same content; of the others those
/// of the same first value; and of the rest, where there are as many of them as before, each the one in its turn.
fn same_entries(old: &[Entry], new: &[Entry]) -> Vec<(usize, usize)> {
    let mut same = Vec::new();
    let (mut old, mut new): (Vec<_>, Vec<_>) = ((1..).zip(old).collect(), (1..).zip(new).collect());
    pair(&mut old, &mut new, &mut same, |entry| Some(&entry.content));
    pair(&mut old, &mut new, &mut same, |entry| entry.first.as_deref());
    if old.len() == new.len() {
        same.extend(old.into_iter().zip(new).map(|((old, _), (new, _))| (old, new)));
    }
    same
}

/// Moves those to `same` of which `by` says the same.
fn pair<'a>(
    old: &mut Vec<(usize, &'a Entry)>,
    new: &mut Vec<(usize, &'a Entry)>,
    same: &mut Vec<(usize, usize)>,
    by: impl Fn(&'a Entry) -> Option<&'a str>,
) {
    let mut places: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (number, entry) in old.iter() {
        if let Some(text) = by(entry) {
            places.entry(text).or_default().push_back(*number);
        }
    }
    let mut found = HashSet::new();
    new.retain(|(number, entry)| {
        let place = by(entry).and_then(|text| places.get_mut(text)).and_then(VecDeque::pop_front);
        if let Some(place) = place {
            same.push((place, *number));
            found.insert(place);
        }
        place.is_none()
    });
    old.retain(|(number, _)| !found.contains(number));
}
