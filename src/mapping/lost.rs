//! Whether an entry that can be read has lost something by a slip, rather than because somebody took it away.
//!
//! Taken away is what is gone from the text. What has only left the place where it counts is not: a group that is a
//! word of another's name now, since a hyphen or comma got lost; that stands among the entries, in the username, or in
//! a field that has no name; or in another entry about the same principal, which does not count.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Diagnostic, Mapping, Message, Origin, Place, Section, Severity, Subject,
    section::{Rival, Valid, Words, has_separators, words},
};
use crate::yaml::Text;

/// How many lost groups of several words are looked for in a name.
const MAX_NAMES: usize = 64;

/// Which of `valid` are doubtful, where `had` is what each subject had, and `swallowed` what YAML gives no value for;
/// and tells why, where that has not been told yet.
pub(super) fn doubts(
    section: Section,
    had: &HashMap<&Subject, &Arc<Mapping>>,
    valid: &[Valid],
    swallowed: &Words,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<bool> {
    let mut doubts = Vec::with_capacity(valid.len());
    for entry in valid {
        if entry.doubtful {
            doubts.push(had.contains_key(&entry.subject));
            continue;
        }
        let told = Lost::since(had, entry).and_then(|lost| lost.by_slip(section, swallowed));
        doubts.push(told.is_some());
        diagnostics.extend(told);
    }
    let has_rivals = valid.iter().enumerate().filter(|(_, entry)| entry.remains.rivals.is_some());
    let to_rivals: Vec<(usize, Diagnostic)> = has_rivals
        .filter(|(number, _)| doubts.get(*number) == Some(&false))
        .filter_map(|(number, entry)| {
            let is_doubtful = |other: usize| doubts.get(other) == Some(&true);
            Some((number, Lost::since(had, entry)?.to_rival(section, is_doubtful)?))
        })
        .collect();
    for (number, told) in to_rivals {
        if let Some(doubt) = doubts.get_mut(number) {
            *doubt = true;
        }
        diagnostics.push(told);
    }
    doubts
}

/// What an entry gave before, and gives no more.
struct Lost<'a> {
    /// All groups that it gave, in their order, each with whether it is lost.
    groups: Vec<(String, bool)>,
    /// The username, where the entry has none now.
    username: Option<String>,
    had: &'a Mapping,
    entry: &'a Valid,
}

/// What was lost, what became of it, and what to do about it.
struct Told<'a> {
    what: &'static str,
    name: &'a str,
    why: &'static str,
    advice: &'static str,
}

impl<'a> Lost<'a> {
    fn since(had: &HashMap<&Subject, &'a Arc<Mapping>>, entry: &'a Valid) -> Option<Self> {
        had.get(&entry.subject).and_then(|had| Self::of(had, entry))
    }

    /// What `entry` gives no more of what `had` gave; none where it gives all of it.
    fn of(had: &'a Mapping, entry: &'a Valid) -> Option<Self> {
        let now = &entry.mapping;
        let username = had.username.as_ref().filter(|_| now.username.is_none());
        // As nearly all entries in an update.
        if had.groups == now.groups && username.is_none() {
            return None;
        }
        let has: HashSet<String> = now.groups.iter().map(ToString::to_string).collect();
        let groups = had.groups.iter().map(ToString::to_string);
        let groups: Vec<_> = groups
            .map(|group| {
                let is_lost = !has.contains(&group);
                (group, is_lost)
            })
            .collect();
        let username = username.map(ToString::to_string);
        let is_any = username.is_some() || groups.iter().any(|(_, is_lost)| *is_lost);
        is_any.then_some(Self { groups, username, had, entry })
    }

    /// The lost groups, each with its place among those that were there.
    fn lost_groups(&self) -> impl Iterator<Item = (usize, &str)> {
        let groups = self.groups.iter().enumerate().filter(|(_, (_, is_lost))| *is_lost);
        groups.map(|(place, (group, _))| (place, group.as_str()))
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.lost_groups().map(|(_, group)| group)
    }

    /// What is to be said where a slip within the entry, or beside it, took something.
    fn by_slip(&self, section: Section, swallowed: &Words) -> Option<Diagnostic> {
        let Told { what, name, why, advice } = self
            .joined()
            .or_else(|| self.group_elsewhere())
            .or_else(|| self.username_elsewhere())
            .or_else(|| self.swallowed(swallowed))?;
        self.diagnostic(section, Message::quoting(format!("the {what} \""), name, why), advice)
    }

    fn diagnostic(&self, section: Section, message: Message, advice: &str) -> Option<Diagnostic> {
        let Origin::Listed(origin) = &self.entry.mapping.origin else { return None };
        Some(Diagnostic {
            severity: Severity::Error,
            place: Place::List { section, entry: Some(origin.entry), position: Some(origin.position) },
            message: message.and("; what was last good counts"),
            advice: advice.to_owned(),
        })
    }

    /// A group that has run together with another.
    fn joined(&self) -> Option<Told<'_>> {
        let joined = &self.entry.remains.joined;
        if joined.is_empty() {
            return None;
        }
        let lost: HashMap<&str, usize> = self.lost_groups().map(|(place, group)| (group, place)).collect();
        let several: Vec<_> =
            self.lost_groups().filter(|(_, group)| words(group).nth(1).is_some()).take(MAX_NAMES).collect();
        joined.iter().find_map(|text| self.one_of_several(text, &lost, &several)).map(|name| Told {
            what: "group",
            name,
            why: "\" has become a part of another group's name",
            advice: "write \"- \" before each group, or put quotes around a name of several words",
        })
    }

    /// A lost group in `text`, where that is hardly one name: it holds another one as well, or nothing beside it; or,
    /// where there are no quotes around it, what may be one that stood near it.
    fn one_of_several<'s>(
        &self,
        text: &Text,
        lost: &HashMap<&'s str, usize>,
        several: &[(usize, &'s str)],
    ) -> Option<&'s str> {
        let padded = format!(" {} ", words(text).collect::<Vec<_>>().join(" "));
        let of_several = several.iter().copied().filter(|(_, name)| padded.contains(&format!(" {name} ")));
        let of_one =
            words(text).filter_map(|word| lost.get_key_value(word).map(|(name, place)| (*place, *name)));
        let mut found = of_one.chain(of_several);
        let (place, first) = found.next()?;
        if found.next().is_some() {
            return (text.is_plain() || has_separators(text)).then_some(first);
        }
        let rest = padded.replacen(&format!(" {first} "), " ", 1);
        let rest = rest.trim();
        (rest.is_empty() || (text.is_plain() && self.is_near(place, rest))).then_some(first)
    }

    /// Whether `rest` is, but for a slip, a group that stood near the one at `place`, or nothing.
    fn is_near(&self, place: usize, rest: &str) -> bool {
        let near = self.groups.iter().enumerate().skip(place.saturating_sub(2)).take(5);
        let mut near = near.filter(|(other, _)| *other != place).map(|(_, (group, _))| group.as_str());
        is_within_a_slip("", rest) || near.any(|group| is_within_a_slip(group, rest))
    }

    /// A group that stands where it gives nothing.
    fn group_elsewhere(&self) -> Option<Told<'_>> {
        let remains = &self.entry.remains;
        let username = remains.username.iter().filter(|_| self.had.username != self.entry.mapping.username);
        let elsewhere: Vec<&Words> = username.chain(&remains.beside).map(|words| &**words).collect();
        if elsewhere.is_empty() {
            return None;
        }
        let name = self.groups().find(|group| elsewhere.iter().any(|words| words.have(group)))?;
        Some(Told {
            what: "group",
            name,
            why: "\" stands outside of the entry's groups",
            advice: "put it back among them, or remove it there as well",
        })
    }

    /// The username, where it stands where it gives nothing.
    fn username_elsewhere(&self) -> Option<Told<'_>> {
        let name = self.username.as_deref()?;
        self.entry.remains.beside.iter().any(|words| words.have(name)).then_some(Told {
            what: "username",
            name,
            why: "\" stands outside of the field username",
            advice: "put it back there, or remove it altogether",
        })
    }

    /// A name that an anchor or a tag has become.
    fn swallowed(&self, swallowed: &Words) -> Option<Told<'_>> {
        let groups = self.groups().filter(|_| self.entry.remains.has_nameless).map(|group| ("group", group));
        let mut names = groups.chain(self.username.as_deref().map(|username| ("username", username)));
        let (what, name) = names.find(|(_, name)| swallowed.have(name))?;
        Some(Told {
            what,
            name,
            why: "\" is no value any more, since & or ! stands before it",
            advice: "remove the & or !, or put quotes around a name that begins so",
        })
    }

    /// What is to be said where another entry about the same principal has what was lost, and is invalid or doubtful.
    fn to_rival(&self, section: Section, is_doubtful: impl Fn(usize) -> bool) -> Option<Diagnostic> {
        let rivals = self.entry.remains.rivals.as_deref()?;
        let has = |Rival { words, .. }: &Rival| {
            let mut names = self.groups().chain(self.username.as_deref());
            names.find(|name| words.have(name)).map(str::to_owned)
        };
        let does_not_count = |rival: &&Rival| rival.valid.is_none_or(&is_doubtful);
        let name = rivals.iter().filter(does_not_count).find_map(has)?;
        let why = "\" stands in another entry for the same principal, which does not count";
        self.diagnostic(section, Message::quoting("\"", &name, why), "make one entry of the two")
    }
}

fn is_within_a_slip(name: &str, other: &str) -> bool {
    name.len().abs_diff(other.len()) <= 4 && strsim::damerau_levenshtein(name, other) <= 1
}
