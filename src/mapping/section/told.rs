//! How much is told of a list.

use crate::mapping::{Diagnostic, Place, Section, Severity};

/// How many diagnostics of a list are told. A mebibyte holds hundreds of thousands of entries, each of which may be
/// wrong.
const MAX_TOLD: usize = 1000;

/// What was told of a list.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Told {
    errors: usize,
    warnings: usize,
}

impl Told {
    /// Counts what was told from `before` on, and drops what is beyond the bound.
    pub(in crate::mapping) fn keep_from(&mut self, before: usize, diagnostics: &mut Vec<Diagnostic>) {
        if diagnostics.len() == before {
            return;
        }
        let new = diagnostics.split_off(before);
        diagnostics.extend(new.into_iter().filter(|diagnostic| {
            let count = match diagnostic.severity {
                Severity::Error => &mut self.errors,
                Severity::Warning => &mut self.warnings,
            };
            *count += 1;
            *count <= MAX_TOLD
        }));
    }

    /// Tells how much was dropped.
    pub(in crate::mapping) fn summarise(&self, section: Section, diagnostics: &mut Vec<Diagnostic>) {
        for (severity, name, count) in
            [(Severity::Error, "errors", self.errors), (Severity::Warning, "warnings", self.warnings)]
        {
            if let Some(more) = count.checked_sub(MAX_TOLD).filter(|more| *more > 0) {
                diagnostics.push(Diagnostic {
                    severity,
                    place: Place::List { section, entry: None, position: None },
                    message: format!("has {more} more {name}, which are not told one by one").into(),
                    advice: "mend those that are told; the next ones are told then".to_owned(),
                });
            }
        }
    }
}
