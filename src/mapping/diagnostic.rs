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

/// What is wrong or odd in mappings: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, and what became of it.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
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
