//! What the ConfigMap holds, and which of its keys is which list.

use std::collections::{BTreeMap, BTreeSet};

use super::{Diagnostic, Message, Place, Section, Severity};

/// The keys and values of a ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsAuth {
    /// `data`
    pub data: BTreeMap<String, String>,
    /// The keys of `binaryData`: where kubectl puts a file that is not all UTF-8.
    pub binary: BTreeSet<String>,
}

impl From<BTreeMap<String, String>> for AwsAuth {
    fn from(data: BTreeMap<String, String>) -> Self {
        Self { data, binary: BTreeSet::new() }
    }
}

/// What is known of a section before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Its text.
    Text(&'a str),
    /// Its key is not there, and nothing looks as if it were meant for it: it is empty.
    Absent,
    /// Its key is not there, but something is that may be meant for it; that has been told.
    Unclear,
}

/// From how like a key must be to one that is missing to be taken for a misspelling of it, 0 to 1.
const LIKE: f64 = 0.7;

impl AwsAuth {
    /// Why it cannot be told which key holds a section, or that none does: the server leaves that list as it last was.
    /// None where it can be told.
    #[must_use]
    pub fn unclear(&self, section: Section) -> Option<Diagnostic> {
        let mut diagnostics = Vec::new();
        let is_unclear = self.find(section, &mut diagnostics) == Found::Unclear;
        diagnostics.pop().filter(|_| is_unclear)
    }

    /// Finds a section: under its own key, or under one that differs in case alone. Another key that may be meant
    /// for it gives nobody access, and takes nobody's.
    pub(super) fn find(&self, section: Section, diagnostics: &mut Vec<Diagnostic>) -> Found<'_> {
        let key = section.key();
        let mut tell = |severity, message: Message, advice: String| {
            let place = Place::List { section, entry: None, position: None };
            diagnostics.push(Diagnostic { severity, place, message, advice });
        };
        let others =
            self.data.iter().filter(|(other, _)| other.as_str() != key && other.eq_ignore_ascii_case(key));
        let mut found = self.data.get(key);
        for (other, text) in others {
            let message = if found.is_some() {
                Message::quoting("the key ", other, format!(" stands beside {key} and is ignored"))
            } else {
                Message::quoting("the key is written ", other, format!("; taken as {key}"))
            };
            tell(Severity::Warning, message, format!("write {key}: other programs do not find it otherwise"));
            found = found.or(Some(text));
        }
        if let Some(text) = found {
            return Found::Text(text);
        }
        let stays = "the list stays as it last was";
        let clear = format!("write {key}; to take everybody out of it, write {key}: \"\"");
        if let Some(binary) = self.binary.iter().find(|other| other.eq_ignore_ascii_case(key)) {
            let after = format!(" is in binaryData, since it is not all UTF-8; {stays}");
            let message = Message::quoting("", binary, after);
            tell(Severity::Error, message, format!("save it as UTF-8, and put it into data as {key}"));
            return Found::Unclear;
        }
        let unknown = || {
            self.data.iter().filter(|(other, _)| {
                !Section::ALL.iter().any(|section| section.key().eq_ignore_ascii_case(other))
            })
        };
        if let Some((other, _)) = unknown().find(|(other, _)| meant(other) == Some(section)) {
            let message = Message::quoting(format!("there is no {key}, but "), other, format!("; {stays}"));
            tell(Severity::Error, message, clear);
            return Found::Unclear;
        }
        let mentions = |text: &str| text.contains(key);
        if let Some((other, _)) = unknown().find(|(_, text)| mentions(text)) {
            let before = format!("there is no {key}, but the text of ");
            let message = Message::quoting(before, other, format!(" speaks of it; {stays}"));
            tell(Severity::Error, message, format!("{key} is a key of the ConfigMap's data itself"));
            return Found::Unclear;
        }
        Found::Absent
    }
}

/// Which section an unknown key may be meant for.
fn meant(key: &str) -> Option<Section> {
    let letters = key.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_ascii_lowercase();
    let likeness = |section: &Section| {
        let known = section.key().to_ascii_lowercase();
        let noun = known.trim_start_matches("map");
        if letters.contains(&known) || letters == noun {
            1.0
        } else {
            strsim::normalized_damerau_levenshtein(&letters, &known)
        }
    };
    let best = Section::ALL.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= LIKE).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_for_a_misspelling_of_the_one_that_it_is_like() {
        for (key, section) in [
            ("mapRole", Some(Section::Roles)),
            ("map_roles", Some(Section::Roles)),
            ("map-roles", Some(Section::Roles)),
            ("mapsRoles", Some(Section::Roles)),
            ("MAP_ROLES.yaml", Some(Section::Roles)),
            ("mapRoels", Some(Section::Roles)),
            ("roles", Some(Section::Roles)),
            ("mapUser", Some(Section::Users)),
            ("map users", Some(Section::Users)),
            ("mapAccount", Some(Section::Accounts)),
            ("accounts", Some(Section::Accounts)),
            ("mapGroups", None),
            ("comment", None),
            ("README", None),
            ("", None),
        ] {
            assert_eq!(meant(key), section, "{key}");
        }
    }
}
