//! One source's mappings at one moment, and the rule by which the next ones follow.
//!
//! **An update never takes away access that it did not clearly take away.** A list that cannot be read leaves
//! what that list held before. In a list that can be read, entries that are gone are gone; an entry that is
//! there but invalid keeps what its subject had before, or is skipped where there was nothing. All of that is
//! told in diagnostics.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    Diagnostic, Index, Listed, Mapping, Origin, Place, Section, Severity, Subject,
    section::{Contents, MatchBy, Parsed, read},
};
use crate::yaml::{self, Limits, Node};

/// One source's mappings at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What each section holds, in its order, kept entries at the end.
    contents: BTreeMap<Section, Contents>,
    index: Index,
}

impl Snapshot {
    /// Nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// What a look-up asks.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// What follows `previous` when aws-auth holds `data`.
    #[must_use]
    pub fn update(previous: Option<&Self>, data: &BTreeMap<String, String>) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let parsed = Section::ALL.map(|section| {
            let parsed = match find(section, data, &mut diagnostics) {
                Some(text) => parse(section, text, &mut diagnostics),
                None => Some(Parsed::default()),
            };
            (section, parsed)
        });
        (Self::follow(previous, parsed, &mut diagnostics), diagnostics)
    }

    /// The mappings of a configuration file's three lists.
    #[must_use]
    pub fn from_nodes(
        map_roles: Option<&Node>,
        map_users: Option<&Node>,
        map_accounts: Option<&Node>,
    ) -> (Self, Vec<Diagnostic>) {
        Self::update_from_nodes(None, [map_roles, map_users, map_accounts], MatchBy::Arn)
    }

    /// What follows `previous` when mapRoles, mapUsers and mapAccounts are `lists`.
    #[must_use]
    pub fn update_from_nodes(
        previous: Option<&Self>,
        [map_roles, map_users, map_accounts]: [Option<&Node>; 3],
        by: MatchBy,
    ) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let parsed =
            [(Section::Roles, map_roles), (Section::Users, map_users), (Section::Accounts, map_accounts)]
                .map(|(section, node)| {
                    (
                        section,
                        node.map_or_else(
                            || Some(Parsed::default()),
                            |node| read(section, node, by, &mut diagnostics),
                        ),
                    )
                });
        (Self::follow(previous, parsed, &mut diagnostics), diagnostics)
    }

    /// The mappings of `entries`, of which no two are about the same subject.
    pub(super) fn of_entries<'a>(entries: impl Iterator<Item = &'a (Subject, Arc<Mapping>)>) -> Self {
        let mut snapshot = Self::default();
        for (subject, mapping) in entries {
            snapshot.index.insert(subject, mapping);
        }
        snapshot
    }

    fn follow(
        previous: Option<&Self>,
        parsed: [(Section, Option<Parsed>); 3],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut snapshot = Self::default();
        for (section, parsed) in parsed {
            let before = previous.and_then(|previous| previous.contents.get(&section));
            let contents = match parsed {
                Some(parsed) => keep(parsed, before),
                None => before.cloned().unwrap_or_default(),
            };
            for (subject, mapping) in &contents {
                let replaced = snapshot.index.insert(subject, mapping);
                if let (Some(Origin::Listed(replaced)), Origin::Listed(Listed { entry, position, .. })) =
                    (replaced, &mapping.origin)
                {
                    diagnostics.push(Diagnostic {
                        severity: Severity::Warning,
                        place: Place::List { section, entry: Some(*entry), position: Some(*position) },
                        message: format!(
                            "maps what entry {} (line {}) maps too; the last one counts, so entry {entry} does",
                            replaced.entry, replaced.position.line
                        ),
                        advice: "make one entry of the two, with the groups of both".to_owned(),
                    });
                }
            }
            snapshot.contents.insert(section, contents);
        }
        snapshot
    }
}

/// The valid entries, and for each invalid one whose subject is known and has no valid entry what it had before.
fn keep(parsed: Parsed, before: Option<&Contents>) -> Contents {
    let Parsed { mut valid, invalid } = parsed;
    let mut settled: HashSet<Subject> = valid.iter().map(|(subject, _)| subject.clone()).collect();
    for subject in invalid {
        let last_good: Option<&(Subject, Arc<Mapping>)> =
            before.and_then(|before| before.iter().rfind(|(known, _)| *known == subject));
        if let Some(last_good) = last_good
            && settled.insert(subject)
        {
            valid.push(last_good.clone());
        }
    }
    valid
}

/// The section's text: under its own key, or under one that differs in case alone.
fn find<'a>(
    section: Section,
    data: &'a BTreeMap<String, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a String> {
    let key = section.key();
    for other in data.keys().filter(|other| other.as_str() != key && other.eq_ignore_ascii_case(key)) {
        let message = if data.contains_key(key) {
            format!("the key {other} stands beside {key} and is ignored")
        } else {
            format!("the key is written {other}; taken as {key}")
        };
        let advice = format!("write {key}: other programs do not find it otherwise");
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            place: Place::List { section, entry: None, position: None },
            message,
            advice,
        });
    }
    data.get(key)
        .or_else(|| data.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(_, text)| text))
}

/// Reads a section's text; `None`, with a diagnostic, where it cannot be read at all.
fn parse(section: Section, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Parsed> {
    // What editors and templates leave behind where a list has become empty.
    if matches!(text.trim(), "" | "``" | "\"\"" | "''") {
        return Some(Parsed::default());
    }
    match yaml::parse(text, Limits::default()) {
        Ok(Some(node)) => read(section, &node, MatchBy::Arn, diagnostics),
        Ok(None) => Some(Parsed::default()),
        Err(error) => {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                place: Place::List { section, entry: None, position: Some(error.position) },
                message: format!("cannot be read as YAML ({}); the list stays as it last was", error.message),
                advice: error.advice.to_owned(),
            });
            None
        }
    }
}

#[cfg(test)]
mod tests;
