//! One source's mappings at one moment, and the rule by which the next ones follow.
//!
//! **An update never takes away access that it did not clearly take away.** A list that cannot be read leaves
//! what that list held before. In a list that can be read, entries that are gone are gone; an entry that is
//! there but invalid keeps what everybody whom it names had before, or is skipped where there was nothing. All of
//! that is told in diagnostics.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    AwsAuth, Diagnostic, Index, Mapping, Origin, Place, Section, Severity, Subject,
    aws_auth::Found,
    lost,
    section::{Contents, MatchBy, Parsed, Valid, read, weak},
};
use crate::yaml::{self, First, Limits, Node, Position};

/// One source's mappings at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What each section holds, in its order, kept entries at the end.
    contents: BTreeMap<Section, Contents>,
    index: Index,
    figures: Figures,
    /// The lists that the last update could not read, and left as they were.
    unread: Vec<Section>,
}

/// What an update came to, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Entries that are there, but invalid.
    pub invalid: usize,
    /// Entries in force that were kept from what was last good.
    pub kept: usize,
    /// Diagnostics of what does not take effect.
    pub errors: usize,
    /// Diagnostics of what is odd.
    pub warnings: usize,
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

    /// What the update that it comes from came to.
    #[must_use]
    pub const fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether the update that it comes from could not read `section`, and left it as it was.
    pub(super) fn is_unread(&self, section: Section) -> bool {
        self.unread.contains(&section)
    }

    /// The entries in force, section by section.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Section, &Subject, &Arc<Mapping>)> {
        self.contents.iter().flat_map(|(section, contents)| {
            contents.iter().map(|(subject, mapping)| (*section, subject, mapping))
        })
    }

    /// What follows `previous` when aws-auth holds `aws_auth`.
    #[must_use]
    pub fn update(previous: Option<&Self>, aws_auth: &AwsAuth) -> (Self, Vec<Diagnostic>) {
        Self::update_in_file(previous, aws_auth, &BTreeMap::new(), |_, position| position)
    }

    /// The same, where `in_file` says where a position in a section's text is in the file that people edit, and where
    /// that file has `lists` in the place of texts: they are read as if they were texts.
    pub(super) fn update_in_file(
        previous: Option<&Self>,
        aws_auth: &AwsAuth,
        lists: &BTreeMap<Section, Node>,
        in_file: impl Fn(Section, Position) -> Position,
    ) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let parsed = Section::ALL.map(|section| {
            if let Some(list) = lists.get(&section) {
                return (section, read(section, list, MatchBy::ArnAsWritten, &mut diagnostics));
            }
            let parsed = match aws_auth.find(section, &mut diagnostics) {
                Found::Text(text) => {
                    parse(section, text, &|position| in_file(section, position), &mut diagnostics)
                }
                Found::Absent => Some(Parsed::default()),
                Found::Unclear => None,
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
        let mut diagnostics = Vec::new();
        let [roles, users, accounts] =
            [(Section::Roles, map_roles), (Section::Users, map_users), (Section::Accounts, map_accounts)]
                .map(|(section, node)| node.map(|node| weak::list(section, node, &mut diagnostics)));
        let lists = [roles.as_ref(), users.as_ref(), accounts.as_ref()];
        Self::read_lists(None, lists, MatchBy::Arn, diagnostics)
    }

    /// What follows `previous` when mapRoles, mapUsers and mapAccounts are `lists`.
    #[must_use]
    pub fn update_from_nodes(
        previous: Option<&Self>,
        lists: [Option<&Node>; 3],
        by: MatchBy,
    ) -> (Self, Vec<Diagnostic>) {
        Self::read_lists(previous, lists, by, Vec::new())
    }

    fn read_lists(
        previous: Option<&Self>,
        [map_roles, map_users, map_accounts]: [Option<&Node>; 3],
        by: MatchBy,
        mut diagnostics: Vec<Diagnostic>,
    ) -> (Self, Vec<Diagnostic>) {
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

    /// The same, as what an update came to that left `invalid` entries out and kept `kept` of them as they were.
    pub(super) fn with_figures(self, invalid: usize, kept: usize, diagnostics: &[Diagnostic]) -> Self {
        let count =
            |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        Self { figures: Figures { invalid, kept, errors, warnings }, ..self }
    }

    /// Puts `contents` in force as they are.
    pub(super) fn from_contents(contents: BTreeMap<Section, Contents>) -> Self {
        let mut index = Index::default();
        for (subject, mapping) in contents.values().flatten() {
            index.insert(subject, mapping);
        }
        Self { contents, index, ..Self::default() }
    }

    fn follow(
        previous: Option<&Self>,
        parsed: [(Section, Option<Parsed>); 3],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let nothing = BTreeMap::new();
        let before = previous.map_or(&nothing, |previous| &previous.contents);
        let (mut invalid, mut kept) = (0, 0);
        let mut contents = BTreeMap::new();
        let mut named = Vec::new();
        let mut unread = Vec::new();
        for (section, parsed) in parsed {
            let last = before.get(&section);
            let Some(parsed) = parsed else {
                let last = last.cloned().unwrap_or_default();
                kept += last.len();
                unread.push(section);
                contents.insert(section, last);
                continue;
            };
            let had: HashMap<&Subject, &Arc<Mapping>> =
                last.into_iter().flatten().map(|(subject, mapping)| (subject, mapping)).collect();
            let Parsed { valid, named: whom, invalid: broken, swallowed, mut told } = parsed;
            let before = diagnostics.len();
            let doubts = lost::doubts(section, &had, &valid, &swallowed, diagnostics);
            let (mut doubtful, mut counting) = (Vec::new(), Vec::with_capacity(valid.len()));
            for (entry, is_doubtful) in valid.into_iter().zip(doubts) {
                if is_doubtful {
                    doubtful.push((section, entry.subject));
                } else {
                    counting.push(entry);
                }
            }
            invalid += broken + doubtful.len();
            named.extend(whom.into_iter().map(|subject| (section, subject)));
            named.append(&mut doubtful);
            contents.insert(section, settle(section, counting, diagnostics));
            told.keep_from(before, diagnostics);
            told.summarise(section, diagnostics);
        }
        kept += keep(&mut contents, named, before);
        Self { unread, ..Self::from_contents(contents).with_figures(invalid, kept, diagnostics) }
    }
}

/// One entry a subject. The last one counts, as today; but a role's ARN without its path goes before one with it,
/// which matches nobody today: whose entry has both is who they are today. And a doubtful entry, which comes here where
/// nothing was last good, goes behind one that is not, as it does once that is: else the same text read again would be
/// another.
fn settle(section: Section, valid: Vec<Valid>, diagnostics: &mut Vec<Diagnostic>) -> Contents {
    let mut settled: Vec<Valid> = Vec::with_capacity(valid.len());
    let mut places: HashMap<Subject, usize> = HashMap::with_capacity(valid.len());
    for entry in valid {
        let Some(earlier) = places.get(&entry.subject).and_then(|place| settled.get_mut(*place)) else {
            places.insert(entry.subject.clone(), settled.len());
            settled.push(entry);
            continue;
        };
        let (Origin::Listed(this), Origin::Listed(other)) = (&entry.mapping.origin, &earlier.mapping.origin)
        else {
            // Objects have names, and do not come this way.
            continue;
        };
        let doubtful = (earlier.doubtful, entry.doubtful);
        let (counts, why) = match (doubtful, (earlier.with_path, entry.with_path)) {
            ((false, true), _) => (other.entry, "the one that raises no doubt counts"),
            ((true, false), _) => (this.entry, "the one that raises no doubt counts"),
            (_, (false, true)) => (other.entry, "the one without a path counts"),
            (_, (true, false)) => (this.entry, "the one without a path counts"),
            _ => (this.entry, "the last one counts"),
        };
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            place: Place::List { section, entry: Some(this.entry), position: Some(this.position) },
            message: format!(
                "maps what entry {} (line {}) maps too; {why}, so entry {counts} does",
                other.entry, other.position.line
            )
            .into(),
            advice: "make one entry of the two, with the groups of both".to_owned(),
        });
        if counts == this.entry {
            *earlier = entry;
        }
    }
    settled.into_iter().map(|entry| (entry.subject, entry.mapping)).collect()
}

/// Adds what those had before whom invalid entries name; how many entries that is.
///
/// Whoever has a valid entry in that list is settled. What is kept is what the same list had; or, where an entry has
/// moved on its way, what another had, unless that one settles it.
fn keep(
    contents: &mut BTreeMap<Section, Contents>,
    named: Vec<(Section, Subject)>,
    before: &BTreeMap<Section, Contents>,
) -> usize {
    if named.is_empty() {
        return 0;
    }
    let mut settled: HashSet<(Section, Subject)> = contents
        .iter()
        .flat_map(|(section, contents)| contents.iter().map(|(subject, _)| (*section, subject.clone())))
        .collect();
    let last: HashMap<(Section, &Subject), &Arc<Mapping>> = before
        .iter()
        .flat_map(|(section, last)| last.iter().map(|(subject, mapping)| ((*section, subject), mapping)))
        .collect();
    let mut kept = 0;
    for (section, subject) in named {
        if settled.contains(&(section, subject.clone())) {
            continue;
        }
        let elsewhere = Section::ALL.into_iter().filter(|other| *other != section);
        let place = std::iter::once(section)
            .chain(elsewhere)
            .find_map(|section| last.get(&(section, &subject)).map(|mapping| (section, Arc::clone(mapping))));
        if let Some((place, mapping)) = place
            && settled.insert((place, subject.clone()))
        {
            contents.entry(place).or_default().push((subject, mapping));
            kept += 1;
        }
    }
    kept
}

/// Reads a section's text; `None`, with a diagnostic, where it cannot be read at all.
fn parse(
    section: Section,
    text: &str,
    in_file: &impl Fn(Position) -> Position,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Parsed> {
    // What editors and templates leave behind where a list has become empty.
    if matches!(text.trim(), "" | "``" | "\"\"" | "''") {
        return Some(Parsed::default());
    }
    match yaml::parse_first(text, Limits::default()) {
        Ok(First { document, rest }) => {
            let by = MatchBy::ArnAsWritten;
            let mut parsed = match document {
                Some(node) => read(section, &node.moved(in_file), by, diagnostics)?,
                None => Parsed::default(),
            };
            parsed.keep_swallowed(section, text);
            if let Some(rest) = rest {
                diagnostics.push(Diagnostic {
                    severity: Severity::Warning,
                    place: Place::List { section, entry: None, position: Some(in_file(rest.position)) },
                    message:
                        "a second document begins, and is not read; whom it names keeps what was last good"
                            .into(),
                    advice: "remove the line ---".to_owned(),
                });
                for document in &rest.documents {
                    parsed.keep_whom(section, by, document);
                }
            }
            Some(parsed)
        }
        Err(error) => {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                place: Place::List { section, entry: None, position: Some(in_file(error.position)) },
                message: format!("cannot be read as YAML ({}); the list stays as it last was", error.message)
                    .into(),
                advice: error.advice.to_owned(),
            });
            None
        }
    }
}

#[cfg(test)]
mod tests;
