use std::fmt;

use super::Text;

/// Where something stands, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub span: Position,
    /// Where it ends: the first place behind it. A value of nothing ends where its key does, and a text in the
    /// style of `|` or `>` where the next line with anything on it begins, or with the document.
    pub end: Position,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Any other scalar, as the text that was written.
    Scalar(Text),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in their order; a key may be there twice.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The same, with each position as `to` has it.
    #[must_use]
    pub fn moved(self, to: &impl Fn(Position) -> Position) -> Self {
        let value = match self.value {
            Value::Sequence(items) => Value::Sequence(items.into_iter().map(|item| item.moved(to)).collect()),
            Value::Mapping(fields) => Value::Mapping(
                fields.into_iter().map(|(key, value)| (key.moved(to), value.moved(to))).collect(),
            ),
            value @ (Value::Null | Value::Scalar(_)) => value,
        };
        Self { value, span: to(self.span), end: to(self.end) }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value { Some(text) } else { None }
    }

    /// The fields of a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[(Self, Self)]> {
        if let Value::Mapping(fields) = &self.value { Some(fields) } else { None }
    }

    /// The value of the last field with exactly this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_mapping()?.iter().rev().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// What it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}
