//! What an edit may have left of an entry's username and groups beside the place where they count.
//!
//! ```text
//! entry ─┬─ joined: a name of several words, perhaps of several groups
//!        └─ own: a field of no name
//! item, item ─▶ beside: what stands between the entries and is none
//! entry, entry ─▶ rivals: others about the same principal
//! ```
//!
//! Here it is gathered; [`crate::mapping::lost`] holds it against what was there before.

use std::{collections::HashMap, sync::Arc};

use super::{Section, Valid, named, words::Words};
use crate::{
    mapping::Subject,
    yaml::{Node, Text, Value},
};

/// How many items beside an entry are looked at on either side: a slip moves a line or two.
const MAX_BESIDE: usize = 8;
/// How many other entries about the same principal are looked at.
const MAX_RIVALS: usize = 8;

/// What may remain of what an entry gave before, and counts no more.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Remains {
    /// The username, where it may be several texts that have run together.
    pub(in crate::mapping) username: Option<Arc<Words>>,
    /// Groups' names that may be several.
    pub(in crate::mapping) joined: Vec<Text>,
    /// There is a group without a name: a name before which a `&` or `!` has slipped is none.
    pub(in crate::mapping) has_nameless: bool,
    /// What stands in no field of the entry, and in no other entry.
    pub(in crate::mapping) beside: Vec<Arc<Words>>,
    /// Other entries about the same principal.
    pub(in crate::mapping) rivals: Option<Arc<[Rival]>>,
}

/// Another entry about the same principal.
#[derive(Debug)]
pub(in crate::mapping) struct Rival {
    /// Which valid entry it is; none where it is invalid.
    pub(in crate::mapping) valid: Option<usize>,
    pub(in crate::mapping) words: Words,
}

/// An item of a list that has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// The valid entry of this number.
    Valid(usize),
    /// An invalid one that names somebody.
    Names,
    /// One that names nobody.
    Stray,
}

/// Gives the entries of `valid` what stands between them and is none. `read` says of each of `items` what it is.
pub(super) fn beside(items: &[Node], read: &[Item], valid: &mut [Valid]) {
    let mut start = 0;
    for run in read.chunk_by(|a, b| (*a == Item::Stray) == (*b == Item::Stray)) {
        let end = start + run.len();
        if run.first() == Some(&Item::Stray) {
            let before = start.checked_sub(1).and_then(|before| read.get(before));
            let first = items.iter().take(end).skip(start).take(MAX_BESIDE);
            give(before, first, valid);
            let last = items.iter().take(end).skip(start.max(end.saturating_sub(MAX_BESIDE)));
            give(read.get(end), last, valid);
        }
        start = end;
    }
}

fn give<'n>(to: Option<&Item>, strays: impl Iterator<Item = &'n Node>, valid: &mut [Valid]) {
    let Some(Item::Valid(number)) = to else { return };
    let Some(entry) = valid.get_mut(*number) else { return };
    let mut words = Words::default();
    strays.for_each(|stray| words.add(stray));
    if !words.is_empty() {
        entry.remains.beside.push(Arc::new(words));
    }
}

/// Gives the entries of `valid` that are not the only ones about their principal what the others say. `named` says
/// whom the invalid ones name, by the number of the item.
pub(super) fn rivals(
    section: Section,
    items: &[Node],
    read: &[Item],
    named: &[(usize, Subject)],
    valid: &mut [Valid],
) {
    if section == Section::Accounts {
        return;
    }
    let mut firsts: HashMap<&Subject, usize> = HashMap::with_capacity(valid.len());
    let mut several: HashMap<&Subject, Vec<usize>> = HashMap::new();
    for (number, item) in read.iter().enumerate() {
        let Item::Valid(valid_number) = item else { continue };
        let Some(Valid { subject, .. }) = valid.get(*valid_number) else { continue };
        if let Some(first) = firsts.get(subject) {
            several.entry(subject).or_insert_with(|| vec![*first]).push(number);
        } else {
            firsts.insert(subject, number);
        }
    }
    for (number, subject) in named {
        if let Some(first) = firsts.get(subject) {
            let numbers = several.entry(subject).or_insert_with(|| vec![*first]);
            // An item may name the same one several times.
            if numbers.last() != Some(number) {
                numbers.push(*number);
            }
        }
    }
    let mut given: Vec<(usize, Arc<[Rival]>)> = Vec::new();
    for numbers in several.into_values() {
        let rivals = numbers.iter().take(MAX_RIVALS).filter_map(|number| {
            let valid = match read.get(*number)? {
                Item::Valid(valid) => Some(*valid),
                Item::Names | Item::Stray => None,
            };
            let mut words = Words::default();
            without_names(items.get(*number)?, &mut words);
            Some(Rival { valid, words })
        });
        let rivals: Arc<[Rival]> = rivals.collect();
        let valid = numbers.iter().filter_map(|number| match read.get(*number)? {
            Item::Valid(valid) => Some(*valid),
            Item::Names | Item::Stray => None,
        });
        given.extend(valid.map(|valid| (valid, Arc::clone(&rivals))));
    }
    for (number, rivals) in given {
        if let Some(entry) = valid.get_mut(number) {
            entry.remains.rivals = Some(rivals);
        }
    }
}

/// Adds the words of an entry, but for those of the fields that say whom it is about.
fn without_names(node: &Node, words: &mut Words) {
    let Value::Mapping(pairs) = &node.value else { return words.add(node) };
    for (key, value) in pairs {
        if !named::is_one_of(key, &named::NAMING) {
            words.add(key);
            words.add(value);
        }
    }
}
