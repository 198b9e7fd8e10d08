use std::ops::Range;

use crate::yaml::Position;

/// A text by its lines, as YAML counts them.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        let bytes = text.as_bytes();
        for (index, byte) in bytes.iter().enumerate() {
            let ends = match byte {
                b'\n' => true,
                // https://yaml.org/spec/1.2.2/#54-line-break-characters: alone it ends a line as well.
                b'\r' => bytes.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends {
                starts.push(index + 1);
            }
        }
        Self { text, starts }
    }

    /// Where the line `number`, from 1, begins; the text's end where there is no such line.
    pub(super) fn start(&self, number: usize) -> usize {
        number.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(self.text.len())
    }

    /// The line `number`, from 1, without its break.
    pub(super) fn line(&self, number: usize) -> &'t str {
        let line = self.text.get(self.start(number)..self.start(number + 1)).unwrap_or_default();
        line.trim_end_matches(['\n', '\r'])
    }

    /// How many lines there are; an unfinished last one counts, an empty one behind the last break does not.
    pub(super) fn count(&self) -> usize {
        let unfinished = self.starts.last().is_some_and(|start| *start < self.text.len());
        if unfinished { self.starts.len() } else { self.starts.len() - 1 }
    }

    /// Where `position` is in the text.
    pub(super) fn offset(&self, position: Position) -> Option<usize> {
        let line = self.text.get(self.start(position.line)..)?;
        let ahead = position.column.checked_sub(1)?;
        let within = line.char_indices().map(|(index, _)| index).chain([line.len()]).nth(ahead)?;
        Some(self.start(position.line) + within)
    }

    /// The bytes of the lines `first` to `last`, from 1, with their breaks.
    pub(super) fn range(&self, first: usize, last: usize) -> Range<usize> {
        self.start(first)..self.start(last + 1)
    }

    /// The line break that the text has.
    pub(super) fn line_break(&self) -> &'static str {
        match self.text.find('\n') {
            Some(index) if self.text.as_bytes().get(index.wrapping_sub(1)) == Some(&b'\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Whether the last line has a break.
    pub(super) fn is_finished(&self) -> bool {
        self.text.is_empty() || self.text.ends_with(['\n', '\r'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_found_again() {
        let text = "a\r\nbé c\rd\ne";
        let lines = Lines::new(text);
        assert_eq!((1..=5).map(|number| lines.line(number)).collect::<Vec<_>>(), ["a", "bé c", "d", "e", ""]);
        assert_eq!((lines.count(), lines.line_break(), lines.is_finished()), (4, "\r\n", false));
        assert_eq!(lines.offset(Position { line: 2, column: 4 }), text.find('c'));
        assert_eq!(lines.offset(Position { line: 4, column: 2 }), Some(text.len()));
        assert_eq!(lines.offset(Position { line: 4, column: 3 }), None);
        assert_eq!(text.get(lines.range(2, 3)), Some("bé c\rd\n"));
        assert_eq!((Lines::new("").count(), Lines::new("a\n").count()), (0, 1));
    }
}
