use std::{borrow::Cow, fmt, ops::Deref};

/// A scalar's text, and whether it was written without quotes.
///
/// Two are equal where their texts are: quotes are no part of what YAML says. They tell what was meant, though. Whoever
/// quotes a name of several words means it, whereas a plain one may be two lines that have run together.
#[derive(Debug, Clone)]
pub struct Text {
    text: Box<str>,
    is_plain: bool,
}

impl Text {
    /// A text that was written without quotes.
    #[must_use]
    pub fn plain(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), is_plain: true }
    }

    /// Whether it was written without quotes, and neither in the style of `|` nor of `>`.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.is_plain
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A quoted one.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.into(), is_plain: false }
    }
}

/// A quoted one.
impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text: text.into(), is_plain: false }
    }
}

/// A quoted one.
impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        Self { text: text.into(), is_plain: false }
    }
}
