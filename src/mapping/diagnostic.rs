use std::{fmt, sync::Arc};

use super::Section;
use crate::yaml::Position;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It takes effect, but perhaps not as meant.
    Warning,
    /// It does not take effect.
    Error,
}

/// What a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// One of the three lists, or an entry of it.
    List {
        /// Which of the three.
        section: Section,
        /// Which entry of it, from 1; absent where it is about the whole list.
        entry: Option<usize>,
        /// Where in the section's text.
        position: Option<Position>,
    },
    /// The IAMIdentityMapping of this name.
    Object(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { section, entry, position } => {
                f.write_str(section.key())?;
                if let Some(entry) = entry {
                    write!(f, ", entry {entry}")?;
                }
                if let Some(position) = position {
                    write!(f, ", {position}")?;
                }
                Ok(())
            }
            Self::Object(name) => write!(f, "IAMIdentityMapping {name}"),
        }
    }
}

/// How many characters of what was read are quoted: an ARN with a path of some length fits.
const MAX_QUOTED: usize = 200;

/// What is wrong, with at most one piece of what was read in it.
///
/// The piece stands apart, so that the one who tells can withhold it ([`Diagnostic::without_quote`]). It is shortened,
/// since what was read may be megabytes, and its control characters are escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    before: String,
    quote: Option<String>,
    after: String,
}

impl Message {
    /// `before`, what was read, and `after`.
    #[must_use]
    pub fn quoting(before: impl Into<String>, read: &str, after: impl Into<String>) -> Self {
        let mut letters = read.chars();
        let mut quote: String = letters.by_ref().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
        if letters.next().is_some() {
            quote.push('…');
        }
        Self { before: before.into(), quote: Some(quote), after: after.into() }
    }

    /// The same, with `more` behind it.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.after.push_str(more);
        self
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self { before: text, quote: None, after: String::new() }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, quote, after } = self;
        write!(f, "{before}{}{after}", quote.as_deref().unwrap_or_default())
    }
}

/// What is wrong or odd in mappings: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, and what became of it.
    pub message: Message,
    /// What to do about it; may be empty. Nothing of what was read is in it.
    pub advice: String,
}

impl Diagnostic {
    /// The same without what it quotes.
    #[must_use]
    pub fn without_quote(mut self) -> Self {
        self.message.quote = self.message.quote.map(|_| "…".to_owned());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(read: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            place: Place::Object("a".into()),
            message: Message::quoting("spec.arn \"", read, "\" is wrong").and("; it maps nobody"),
            advice: "mend it".to_owned(),
        }
    }

    #[test]
    fn what_was_read_is_quoted_shortened_or_withheld() {
        let told = |diagnostic: Diagnostic| diagnostic.to_string();
        let whole = r#"IAMIdentityMapping a: spec.arn "x\n\"" is wrong; it maps nobody; mend it"#;
        assert_eq!(told(diagnostic("x\n\"")), whole);
        assert_eq!(told(diagnostic("x").without_quote()), whole.replace(r#"x\n\""#, "…"));
        let long = told(diagnostic(&"é".repeat(1024 * 1024)));
        assert!(long.len() < 600 && long.contains("é…\" is wrong"), "{}", long.len());
        let plain = Diagnostic { message: "is wrong".into(), ..diagnostic("x") };
        assert_eq!(plain.clone().without_quote(), plain);
    }
}
