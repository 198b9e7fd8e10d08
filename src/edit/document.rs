//! A list's text as a whole: what form it has, and that nothing else changes.

use std::collections::BTreeMap;

use super::{EditError, NewEntry, block, entry::Style, flow, lines::Lines};
use crate::{
    mapping::{Section, Severity, Snapshot},
    yaml::{self, Limits, Node, Value},
};

/// What editors and templates leave behind where a list has become empty, as aws-iam-authenticator knows it.
const NOTHING: [&str; 4] = ["", "``", "\"\"", "''"];

/// The entries of a list, in order.
pub(super) fn entries(section: Section, text: &str) -> Result<Vec<Node>, EditError> {
    match read(section, text)? {
        Some(Node { value: Value::Sequence(items), .. }) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// The text of the list with `entry` behind the last one. Nothing of `text` is lost but what stands for "no entry":
/// `[]`, `''`, `null`.
///
/// # Errors
/// See [`EditError`].
pub fn append(text: &str, entry: &NewEntry) -> Result<String, EditError> {
    let section = entry.section();
    takes_effect(entry)?;
    let document = read(section, text)?;
    let edited = match &document {
        Some(Node { value: Value::Sequence(items), .. }) if !items.is_empty() => {
            if block::is_block(text, items) {
                block::append(text, items, entry).ok_or(FORM)
            } else {
                flow::append(text, items, entry).ok_or(FORM)
            }
        }
        Some(nothing) => {
            let rest = without(text, nothing).ok_or(FORM);
            rest.map(|rest| block::append_lines(&rest, Style::default(), entry))
        }
        None if NOTHING.contains(&text.trim()) => Ok(block::append_lines("", Style::default(), entry)),
        None => Ok(block::append_lines(text, Style::default(), entry)),
    };
    let edited = edited.map_err(|reason| EditError::Form { section, reason })?;
    let mut wanted: Vec<Value> = entries(section, text)?.into_iter().map(|item| item.value).collect();
    let added = entries(section, &block::append_lines("", Style::default(), entry))?;
    wanted.extend(added.into_iter().map(|item| item.value));
    compare(section, &edited, &wanted)?;
    Ok(edited)
}

/// The text of the list without the entry `index`, from 0: its lines, or its place in the brackets. Comments above
/// and below it stay.
///
/// # Errors
/// See [`EditError`].
pub fn remove(section: Section, text: &str, index: usize) -> Result<String, EditError> {
    let items = entries(section, text)?;
    if index >= items.len() {
        return Err(EditError::NoEntry { section, entry: index + 1 });
    }
    let edited = if block::is_block(text, &items) {
        block::remove(text, &items, index)
    } else {
        flow::remove(text, &items, index)
    };
    let edited = edited.ok_or(EditError::Form { section, reason: FORM })?;
    let mut wanted: Vec<Value> = items.into_iter().map(|item| item.value).collect();
    wanted.remove(index);
    compare(section, &edited, &wanted)?;
    Ok(edited)
}

const FORM: &str =
    "its entries do not each begin on a line of their own, with a hyphen, nor stand in brackets";

/// The document, where there is one with anything in it.
fn read(section: Section, text: &str) -> Result<Option<Node>, EditError> {
    if NOTHING.contains(&text.trim()) {
        return Ok(None);
    }
    let document =
        yaml::parse(text, Limits::default()).map_err(|source| EditError::Yaml { section, source })?;
    match document {
        Some(Node { value: Value::Mapping(_) | Value::Scalar(_), .. }) => {
            let kind = document.as_ref().map_or("nothing", Node::kind);
            Err(EditError::NoList { section, kind })
        }
        document => Ok(document),
    }
}

/// The text without `[]` or `null`. What else stands on their line stays.
fn without(text: &str, nothing: &Node) -> Option<String> {
    let lines = Lines::new(text);
    let (start, end) = (lines.offset(nothing.span)?, lines.offset(nothing.end)?);
    let (before, rest) = text.split_at_checked(start)?;
    let after = rest.get(end.checked_sub(start)?..)?;
    if before.is_empty() || before.ends_with(['\n', '\r']) {
        let after = after.trim_start_matches([' ', '\t']);
        let after = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
        return Some(format!("{before}{after}"));
    }
    Some(format!("{before}{after}"))
}

/// Refuses an entry that arngate itself would skip.
fn takes_effect(entry: &NewEntry) -> Result<(), EditError> {
    let text = block::append_lines("", Style::default(), entry);
    let data = BTreeMap::from([(entry.section().key().to_owned(), text)]);
    let (_, diagnostics) = Snapshot::update(None, &data.into());
    match diagnostics.into_iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
        Some(error) => {
            // What comes of an invalid entry once it is there does not come of one that is not added.
            let message = error.message.to_string();
            let message = message.split("; the entry is skipped").next().unwrap_or_default();
            Err(EditError::Invalid(format!("{message}; {}", error.advice)))
        }
        None => Ok(()),
    }
}

/// Sees that `edited` means exactly `wanted`.
fn compare(section: Section, edited: &str, wanted: &[Value]) -> Result<(), EditError> {
    let limits = Limits::default();
    if edited.len() > limits.bytes {
        return Err(EditError::TooLong { section });
    }
    let read = entries(section, edited);
    let same = read.is_ok_and(|items| same_values(items.iter().map(|item| &item.value), wanted.iter()));
    if same {
        Ok(())
    } else {
        Err(EditError::Form { section, reason: "another entry would not be what it is now" })
    }
}

fn same_values<'a>(
    mut some: impl ExactSizeIterator<Item = &'a Value>,
    mut others: impl ExactSizeIterator<Item = &'a Value>,
) -> bool {
    some.len() == others.len()
        && some.by_ref().all(|value| others.next().is_some_and(|other| same(value, other)))
}

/// Whether two values are alike, wherever they stand.
fn same(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(text), Value::Scalar(other)) => text == other,
        (Value::Sequence(items), Value::Sequence(others)) => {
            same_values(items.iter().map(|item| &item.value), others.iter().map(|item| &item.value))
        }
        (Value::Mapping(fields), Value::Mapping(others)) => {
            let flat = |fields: &'_ [(Node, Node)]| -> Vec<Value> {
                fields.iter().flat_map(|(key, value)| [key.value.clone(), value.value.clone()]).collect()
            };
            same_values(flat(fields).iter(), flat(others).iter())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
