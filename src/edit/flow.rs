//! Lists in brackets.

use super::{NewEntry, lines::Lines};
use crate::yaml::Node;

/// The text with `entry` behind the last one: on a line of its own where that stands on one.
pub(super) fn append(text: &str, items: &[Node], entry: &NewEntry) -> Option<String> {
    let lines = Lines::new(text);
    let last = items.last()?;
    let (start, end) = (lines.offset(last.span)?, lines.offset(last.end)?);
    let indent = text.get(lines.start(last.span.line)..start)?;
    let apart = if indent.trim_start_matches([' ', '\t']).is_empty() {
        format!(",{}{indent}", lines.line_break())
    } else {
        ", ".to_owned()
    };
    let (before, after) = text.split_at_checked(end)?;
    Some(format!("{before}{apart}{}{after}", entry.flow()))
}

/// The text without the entry `index`, and without the comma that it needed.
pub(super) fn remove(text: &str, items: &[Node], index: usize) -> Option<String> {
    let lines = Lines::new(text);
    let item = items.get(index)?;
    let (start, end) = (lines.offset(item.span)?, lines.offset(item.end)?);
    if let Some(comma) = comma(text, end) {
        // Its own comma, and the blanks behind it.
        let after = text.get(comma + 1..)?.trim_start_matches(' ');
        let between = text.get(end..comma)?;
        return Some(format!("{}{between}{after}", text.get(..start)?));
    }
    let mut before = text.get(..start)?.to_owned();
    if let Some(previous) = index.checked_sub(1).and_then(|index| items.get(index)) {
        // That of the entry before it.
        let comma = comma(text, lines.offset(previous.end)?)?;
        let behind = text.get(comma + 1..start)?;
        let behind = if behind.trim().is_empty() { "" } else { behind };
        before = format!("{}{behind}", text.get(..comma)?);
    }
    Some(format!("{before}{}", text.get(end..)?))
}

/// Where the next comma is, with nothing but blanks and comments before it.
fn comma(text: &str, from: usize) -> Option<usize> {
    let mut in_comment = false;
    for (index, character) in text.get(from..)?.char_indices() {
        match character {
            '\n' | '\r' => in_comment = false,
            _ if in_comment => {}
            '#' => in_comment = true,
            ',' => return Some(from + index),
            ' ' | '\t' => {}
            _ => return None,
        }
    }
    None
}
