use std::fmt;

use super::Section;
use crate::yaml::Position;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It takes effect, but perhaps not as meant.
    Warning,
    /// It does not take effect.
    Error,
}

/// What is wrong or odd in a section: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// In which of the three lists.
    pub section: Section,
    /// Which entry of it, from 1; absent where it is about the whole list.
    pub entry: Option<usize>,
    /// Where in the section's text.
    pub position: Option<Position>,
    /// What is wrong, and what became of it.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section.key())?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", {position}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}
