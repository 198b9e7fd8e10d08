//! Telling the log what is wrong or odd in mappings: once for as long as it holds, and a bounded number at a time.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
};

use crate::mapping::{Diagnostic, Severity};

/// How many diagnostics of one update are logged; the metrics count all.
const MAX_TOLD: usize = 50;

/// Whether diagnostics quote what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quotes {
    /// They do.
    #[default]
    Shown,
    /// They do not: what was read may name a scrubbed account, also where it cannot be parsed. Place and advice stay.
    Withheld,
}

impl Quotes {
    /// What they are where there are scrubbed accounts, or none.
    #[must_use]
    pub const fn where_any_is_scrubbed(any: bool) -> Self {
        if any { Self::Withheld } else { Self::Shown }
    }

    fn of(self, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        match self {
            Self::Shown => diagnostics,
            Self::Withheld => diagnostics.into_iter().map(Diagnostic::without_quote).collect(),
        }
    }
}

/// Tells the log of one source's diagnostics.
#[derive(Debug)]
pub struct Diagnosis {
    /// What they are about.
    what: &'static str,
    path: Option<PathBuf>,
    quotes: Quotes,
    hasher: RandomState,
    /// What held at the last update, each as its hash: texts may be many.
    told: HashSet<u64>,
}

impl Diagnosis {
    /// Of `what`, in the file at `path` where it is one.
    #[must_use]
    pub fn new(what: &'static str, path: Option<PathBuf>) -> Self {
        Self { what, path, quotes: Quotes::default(), hasher: RandomState::new(), told: HashSet::new() }
    }

    /// The same, which quotes or does not.
    #[must_use]
    pub fn quoting(self, quotes: Quotes) -> Self {
        Self { quotes, ..self }
    }

    /// Logs what of `diagnostics`, which are all that hold now, did not hold at the last update, errors first; all of
    /// them, as they may be told elsewhere.
    pub fn tell(&mut self, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let diagnostics = self.quotes.of(diagnostics);
        let (what, path) =
            (self.what, self.path.as_ref().map(|path| tracing::field::display(path.display())));
        let (tell, more) = self.news(&diagnostics);
        for diagnostic in tell {
            match diagnostic.severity {
                Severity::Error => tracing::error!(path, %diagnostic, "{what}"),
                Severity::Warning => tracing::warn!(path, %diagnostic, "{what}"),
            }
        }
        if more > 0 {
            tracing::warn!(
                path,
                more,
                "{what}: more diagnostics than are logged at once; the metrics count all"
            );
        }
        self.told = diagnostics.iter().map(|diagnostic| self.hasher.hash_one(diagnostic)).collect();
        diagnostics
    }

    /// How many diagnostics held at the last update.
    #[cfg(test)]
    pub(crate) fn holding(&self) -> usize {
        self.told.len()
    }

    /// Which of `diagnostics` are to be logged, and how many beside them are new.
    fn news<'a>(&self, diagnostics: &'a [Diagnostic]) -> (Vec<&'a Diagnostic>, usize) {
        let is_new = |diagnostic: &&Diagnostic| !self.told.contains(&self.hasher.hash_one(diagnostic));
        let mut news: Vec<_> = diagnostics.iter().filter(is_new).collect();
        news.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
        let more = news.len().saturating_sub(MAX_TOLD);
        news.truncate(MAX_TOLD);
        (news, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Message, Place, Section};

    fn diagnostic(entry: usize, severity: Severity) -> Diagnostic {
        Diagnostic {
            severity,
            place: Place::List { section: Section::Roles, entry: Some(entry), position: None },
            message: Message::quoting("is ", "arn:canary", ""),
            advice: String::new(),
        }
    }

    #[test]
    fn what_holds_on_is_told_once_and_what_comes_back_again() {
        let mut diagnosis = Diagnosis::new("aws-auth", None);
        let (one, two) = (diagnostic(1, Severity::Warning), diagnostic(2, Severity::Error));
        let both = vec![one.clone(), two.clone()];
        assert_eq!(diagnosis.news(&both), (vec![&two, &one], 0), "errors first");
        assert_eq!(diagnosis.tell(both.clone()), both);
        assert_eq!(diagnosis.news(&both), (vec![], 0));
        diagnosis.tell(vec![one.clone()]);
        assert_eq!(diagnosis.news(&both), (vec![&two], 0));
    }

    #[test]
    fn no_more_than_a_few_are_told_at_once() {
        let mut diagnosis = Diagnosis::new("aws-auth", None);
        let many: Vec<_> = (0..1000).map(|entry| diagnostic(entry, Severity::Error)).collect();
        let (told, more) = diagnosis.news(&many);
        assert_eq!((told.len(), more), (MAX_TOLD, 1000 - MAX_TOLD));
        diagnosis.tell(many.clone());
        assert_eq!(diagnosis.news(&many), (vec![], 0), "a list that comes again is no news");
    }

    #[test]
    fn where_an_account_is_scrubbed_nothing_is_quoted() {
        let mut diagnosis = Diagnosis::new("aws-auth", None).quoting(Quotes::where_any_is_scrubbed(true));
        let told = diagnosis.tell(vec![diagnostic(3, Severity::Error)]);
        assert_eq!(told[0].to_string(), "mapRoles, entry 3: is …");
        let mut diagnosis = diagnosis.quoting(Quotes::where_any_is_scrubbed(false));
        let told = diagnosis.tell(vec![diagnostic(3, Severity::Error)]);
        assert_eq!(told[0].to_string(), "mapRoles, entry 3: is arn:canary");
    }
}
