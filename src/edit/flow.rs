//! Lists in brackets.

use super::{NewEntry, lines::Lines};
use crate::yaml::Node;

/// The text with `entry` behind the last one: on a line of its own where that stands on one, below the comment beside
/// it, which is the last one's.
pub(super) fn append(text: &str, items: &[Node], entry: &NewEntry) -> Option<String> {
    let lines = Lines::new(text);
    let last = items.last()?;
    let (start, end) = (lines.offset(last.span)?, lines.offset(last.end)?);
    let (before, after) = text.split_at_checked(end)?;
    let indent = text.get(lines.start(last.span.line)..start)?;
    if !is_blank(indent) {
        return Some(format!("{before}, {}{after}", entry.flow()));
    }
    let (new, line_break) = (entry.flow(), lines.line_break());
    let comma = comma(text, end);
    let rest = text.get(comma.map_or(end, |comma| comma + 1)..)?;
    let (beside, below) = rest.split_at(rest.find(['\n', '\r']).unwrap_or(rest.len()));
    if below.is_empty() || !(is_blank(beside) || beside.trim_start_matches([' ', '\t']).starts_with('#')) {
        return Some(format!("{before},{line_break}{indent}{new}{after}"));
    }
    Some(match comma.and_then(|comma| text.get(..=comma)) {
        Some(before) => format!("{before}{beside}{line_break}{indent}{new},{below}"),
        None => format!("{before},{beside}{line_break}{indent}{new}{below}"),
    })
}

/// The text without the entry `index`, and without the comma that it needed.
pub(super) fn remove(text: &str, items: &[Node], index: usize) -> Option<String> {
    let lines = Lines::new(text);
    let item = items.get(index)?;
    let (start, end) = (lines.offset(item.span)?, lines.offset(item.end)?);
    if let Some(comma) = comma(text, end) {
        // Its own comma, and the blanks behind it; where nothing else stands on its lines, these.
        let after = text.get(comma + 1..)?.trim_start_matches(' ');
        let between = text.get(end..comma)?;
        let line = lines.start(item.span.line);
        let rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n'));
        let is_alone = is_blank(text.get(line..start)?) && between.is_empty();
        return Some(match rest.filter(|_| is_alone) {
            Some(rest) => format!("{}{rest}", text.get(..line)?),
            None => format!("{}{between}{after}", text.get(..start)?),
        });
    }
    let mut before = text.get(..start)?.to_owned();
    if let Some(previous) = index.checked_sub(1).and_then(|index| items.get(index)) {
        // That of the entry before it.
        let comma = comma(text, lines.offset(previous.end)?)?;
        let behind = text.get(comma + 1..start)?;
        let ends_a_line = text.get(end..)?.starts_with(['\n', '\r']);
        let behind = match behind.rfind('\n').and_then(|at| behind.split_at_checked(at)) {
            _ if behind.trim().is_empty() => "",
            // The comment stays, and the line of the entry's own goes.
            Some((above, indent)) if ends_a_line && is_blank(indent.trim_start_matches('\n')) => {
                above.trim_end_matches('\r')
            }
            _ => behind,
        };
        before = format!("{}{behind}", text.get(..comma)?);
    }
    Some(format!("{before}{}", text.get(end..)?))
}

fn is_blank(text: &str) -> bool {
    text.trim_start_matches([' ', '\t']).is_empty()
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
