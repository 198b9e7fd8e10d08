//! Words of a text, as people see them.

use std::collections::HashSet;

use crate::yaml::{Node, Text, Value};

/// The words of some texts.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Words(HashSet<Box<str>>);

impl Words {
    /// Adds those of every text in `node`, at any depth.
    pub(super) fn add(&mut self, node: &Node) {
        match &node.value {
            Value::Null => {}
            Value::Scalar(text) => self.add_text(text),
            Value::Sequence(items) => items.iter().for_each(|item| self.add(item)),
            Value::Mapping(pairs) => pairs.iter().for_each(|(key, value)| {
                self.add(key);
                self.add(value);
            }),
        }
    }

    /// Those of one text.
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.add_text(text);
        words
    }

    /// Adds those of one text.
    pub(in crate::mapping) fn add_text(&mut self, text: &str) {
        self.0.extend(words(text).map(Into::into));
    }

    pub(in crate::mapping) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is among them, or each word of it where it has several.
    pub(in crate::mapping) fn have(&self, name: &str) -> bool {
        let mut parts = words(name).peekable();
        parts.peek().is_some() && parts.all(|part| self.0.contains(part))
    }
}

/// What stands in `text` between blanks, commas, brackets and quotes, without the signs around it.
pub(in crate::mapping) fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c.is_whitespace() || ",[]{}'\"".contains(c);
    let is_around = |c: char| "-:!&?|><%@`#*".contains(c);
    text.split(is_between).map(move |word| word.trim_matches(is_around)).filter(|word| !word.is_empty())
}

/// Whether `text` may be more than was meant: a word with blanks or signs around it, or several words, if it was written
/// without quotes, or if something in it parts the items of a list or a field's name from its value. Whoever puts quotes
/// around a name of several words means it, while two quotes too many swallow what parts the texts between them.
pub(in crate::mapping) fn may_have_run_together(text: &Text) -> bool {
    let mut words = words(text);
    match (words.next(), words.next()) {
        (None, _) => false,
        (Some(word), None) => *word != **text,
        (Some(_), Some(_)) => text.is_plain() || has_separators(text),
    }
}

/// Whether something in `text` parts the items of a list, or a field's name from its value.
pub(in crate::mapping) fn has_separators(text: &str) -> bool {
    text.contains([',', '[', ']', '{', '}'])
        || text.split_whitespace().any(|word| word == "-" || (word.len() > 1 && word.ends_with(':')))
}

/// What YAML swallows in `text`, and gives no value for: a name that a `&` or `!` has got before, which makes it an
/// anchor's or a tag's.
pub(in crate::mapping) fn swallowed(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c.is_whitespace() || ",[]{}".contains(c);
    let without_comment = |line| match str::find(line, " #") {
        Some(start) => line.get(..start).unwrap_or_default(),
        None if line.starts_with('#') => "",
        None => line,
    };
    let words = text.lines().map(without_comment).flat_map(move |line| line.split(is_between));
    words.filter_map(|word| word.strip_prefix(['&', '!']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_stands_between_what_parts_them() {
        let parts: Vec<_> = words("[own-A,g ] - 'Domain Admins' system:masters: -x \t").collect();
        assert_eq!(parts, ["own-A", "g", "Domain", "Admins", "system:masters", "x"]);
        let all = Words::of("Domain - Admins");
        assert!(all.have("Admins") && all.have("Domain Admins") && !all.have("Admin") && !all.have(" "));
    }

    #[test]
    fn what_an_anchor_or_a_tag_has_swallowed_is_seen_and_comments_are_not() {
        let text = "- rolearn: !arn:x\n  groups: [&'own-A',g, !g]\n# &a\n  username: &b c # !d\n";
        assert_eq!(swallowed(text).collect::<Vec<_>>(), ["arn:x", "'own-A'", "g", "b"]);
    }

    #[test]
    fn a_name_in_quotes_is_one_unless_it_has_swallowed_what_parts_two() {
        for (text, may) in [
            (Text::plain("Domain Admins"), true),
            (Text::plain("Domain"), false),
            ("Domain Admins".into(), false),
            ("own-A , g".into(), true),
            ("own-A - g".into(), true),
            ("A groups: [ own-A".into(), true),
            ("system:masters x".into(), false),
            ("'own-A'".into(), true),
            (Text::plain("| own-A"), true),
        ] {
            assert_eq!(may_have_run_together(&text), may, "{text}");
        }
    }
}
