//! Lists whose entries stand on lines of their own, each behind a hyphen.

use super::{NewEntry, entry::Style, lines::Lines};
use crate::yaml::{Node, Value};

/// Whether the first entry has a hyphen before it.
pub(super) fn is_block(text: &str, items: &[Node]) -> bool {
    items.first().is_some_and(|first| hyphen_before(&Lines::new(text), first.span.line, 1).is_some())
}

/// The line of the hyphen that an entry on line `number` has, `first` at the earliest, and its indentation: on the
/// same line, or above nothing but blanks and comments.
fn hyphen_before(lines: &Lines<'_>, number: usize, first: usize) -> Option<(usize, usize)> {
    for number in (first..=number).rev() {
        let line = lines.line(number);
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        if let Some(behind) = rest.strip_prefix('-')
            && (behind.is_empty() || behind.starts_with([' ', '\t']))
        {
            return Some((number, indent));
        }
    }
    None
}

/// The first and the last line of each entry.
fn spans(lines: &Lines<'_>, items: &[Node]) -> Option<Vec<(usize, usize)>> {
    let mut spans = Vec::with_capacity(items.len());
    let mut indent_of_all = None;
    let mut free = 1;
    for item in items {
        // An entry that begins with a list has two hyphens; the entry's is the outermost on its line.
        let (first, indent) = hyphen_before(lines, item.span.line, free)?;
        if *indent_of_all.get_or_insert(indent) != indent {
            return None;
        }
        let before_end: String = lines.line(item.end.line).chars().take(item.end.column - 1).collect();
        let mut last = if before_end.trim().is_empty() { item.end.line - 1 } else { item.end.line };
        // A text in the style of | ends where the next line with anything on it begins.
        while last > first && is_blank_or_comment(lines.line(last), indent) {
            last -= 1;
        }
        if last < first {
            return None;
        }
        free = last + 1;
        spans.push((first, last));
    }
    Some(spans)
}

/// Whether a line is blank, or a comment that is indented no further than the list's hyphens.
fn is_blank_or_comment(line: &str, indent: usize) -> bool {
    let rest = line.trim_start_matches([' ', '\t']);
    rest.is_empty() || (rest.starts_with('#') && line.len() - rest.len() <= indent)
}

/// How the last entry is written; what it does not show is as in the first that does.
fn style(lines: &Lines<'_>, items: &[Node], spans: &[(usize, usize)]) -> Style {
    let mut style = Style::default();
    let (Some(item), Some((line, _))) = (items.last(), spans.last()) else {
        return style;
    };
    let text = lines.line(*line);
    style.indent = text.len() - text.trim_start_matches(' ').len();
    if item.span.line == *line && item.span.column > style.indent + 2 {
        style.gap = item.span.column - style.indent - 2;
    }
    // Where a list begins is told by its hyphen's line: the parser's place for it may be behind the hyphen.
    let list_indent = |item: &Node| {
        item.as_mapping()?.iter().find_map(|(key, value)| {
            let below = lines.line(value.span.line);
            let rest = below.trim_start_matches(' ');
            let is_below = value.span.line > key.span.line && matches!(value.value, Value::Sequence(_));
            (is_below && rest.starts_with('-'))
                .then(|| (below.len() - rest.len() + 1).checked_sub(key.span.column))?
        })
    };
    if let Some(list_indent) = items.iter().rev().find_map(list_indent) {
        style.list_indent = list_indent;
    }
    style
}

/// The text with `entry` behind all that is there.
pub(super) fn append(text: &str, items: &[Node], entry: &NewEntry) -> Option<String> {
    let lines = Lines::new(text);
    let spans = spans(&lines, items)?;
    let style = style(&lines, items, &spans);
    let (_, last) = spans.last()?;
    // A document may end before its text does.
    let end_of_document =
        |number: &usize| lines.line(*number).starts_with("---") || lines.line(*number).starts_with("...");
    match (last + 1..=lines.count()).find(end_of_document) {
        Some(number) => {
            let (before, after) = text.split_at_checked(lines.start(number))?;
            let line_break = lines.line_break();
            Some(format!("{before}{}{line_break}{after}", entry.block(style, line_break)))
        }
        None => Some(append_lines(text, style, entry)),
    }
}

/// The text, and below it the entry. The last line has a break where it had one before; in a text of nothing it has.
pub(super) fn append_lines(text: &str, style: Style, entry: &NewEntry) -> String {
    let lines = Lines::new(text);
    let line_break = lines.line_break();
    let block = entry.block(style, line_break);
    if lines.is_finished() {
        format!("{text}{block}{line_break}")
    } else {
        format!("{text}{line_break}{block}")
    }
}

/// The text without the lines of the entry `index`.
pub(super) fn remove(text: &str, items: &[Node], index: usize) -> Option<String> {
    let lines = Lines::new(text);
    let (first, last) = *spans(&lines, items)?.get(index)?;
    let range = lines.range(first, last);
    let (before, after) = (text.get(..range.start)?, text.get(range.end..)?);
    if after.is_empty() && !lines.is_finished() {
        // The text did not end with a break, and does not now.
        let without = before.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
        return Some(without.unwrap_or(before).to_owned());
    }
    Some(format!("{before}{after}"))
}
