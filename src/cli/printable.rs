//! What others have written, as a terminal may have it: whoever may edit aws-auth must not be able to move the cursor
//! of whoever reads it, and so to hide an entry.

use std::fmt::Display;

/// The text on one line: control characters, and those that turn the direction of writing, are escaped.
pub(super) fn printable(text: &str) -> String {
    let show = |character: char| match character {
        character if is_hidden(character) => character.escape_unicode().to_string(),
        '\n' | '\r' | '\t' => character.escape_default().to_string(),
        character => character.to_string(),
    };
    text.chars().map(show).collect()
}

/// The same within JSON or YAML, whose writers leave some of them as they are: only between quotation marks are there
/// any but line breaks.
pub(super) fn printable_json(json: &str) -> String {
    let show = |character: char| match character {
        character if is_hidden(character) => format!("\\u{:04x}", u32::from(character)),
        character => character.to_string(),
    };
    json.chars().map(show).collect()
}

/// Prints a line.
pub(super) fn tell(line: impl Display) {
    println!("{}", printable(&line.to_string()));
}

/// A number with its noun, whose plural takes an s.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Whether a terminal acts on it instead of showing it.
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>
fn is_hidden(character: char) -> bool {
    let is_break = matches!(character, '\n' | '\r' | '\t');
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (character.is_control() && !is_break) || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "error")), ["0 errors", "1 error", "2 errors"]);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(
            printable("a\x1b[2J\u{9b}2K\x7f\n\r\tä\u{202e}b"),
            "a\\u{1b}[2J\\u{9b}2K\\u{7f}\\n\\r\\tä\\u{202e}b"
        );
        let json = serde_json::to_string(&["\x1b\u{9b}\u{202e}\n"]).unwrap();
        let shown = printable_json(&format!("{json}\n"));
        assert_eq!(shown, "[\"\\u001b\\u009b\\u202e\\n\"]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), ["\x1b\u{9b}\u{202e}\n"]);
    }
}
