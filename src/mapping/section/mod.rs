//! The three lists, entry by entry.
//!
//! ```text
//! list ─▶ entry ─┬─ fields ─▶ whom, gives ─▶ valid: subject and mapping
//!                └─ invalid ─▶ named: whom it is about, who keep what they had
//! ```
//!
//! Whoever has access by an entry today has it here: names of fields count without case, an ARN of the other
//! list's kind is taken, a username may be missing. What is odd is told.

mod entry;
mod fields;
mod gives;
mod named;
mod permission_set;
mod remains;
mod told;
pub(super) mod weak;
mod whom;
mod words;

use std::sync::Arc;

pub(super) use self::{
    remains::Rival,
    words::{Words, has_separators, words},
};
use self::{
    remains::{Item, Remains},
    told::Told,
};
use super::{Diagnostic, Listed, Mapping, Place, Severity, Subject};
use crate::yaml::{Node, Value};

/// One of the three lists that mappings are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `mapRoles`
    Roles,
    /// `mapUsers`
    Users,
    /// `mapAccounts`
    Accounts,
}

impl Section {
    /// All three, in the order in which they are looked up.
    pub const ALL: [Self; 3] = [Self::Roles, Self::Users, Self::Accounts];

    /// The key in aws-auth's data and in the configuration file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Roles => "mapRoles",
            Self::Users => "mapUsers",
            Self::Accounts => "mapAccounts",
        }
    }

    /// The field that names whom an entry is about; empty where entries are nothing but that name.
    const fn arn_field(self) -> &'static str {
        match self {
            Self::Roles => "rolearn",
            Self::Users => "userarn",
            Self::Accounts => "",
        }
    }
}

/// What entries of mapRoles and mapUsers are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchBy {
    /// The ARN, or the permission set; a user ID beside it must match too.
    #[default]
    Arn,
    /// The same, and an assumed role's ARN stands for nobody: aws-auth's ARNs are compared as they are written with
    /// the role's, which is who the caller is. Taken for its role's, it would give every session what one was
    /// thought to get.
    ArnAsWritten,
    /// The ARN, or the permission set, whatever user ID stands beside it. A dynamic file names the user ID of
    /// every entry, and today it counts there only where `dynamicfileUserIDStrict` says so.
    ArnAlone,
    /// The user ID, which every entry has then; an ARN or a permission set beside it must match too.
    UserId,
}

/// A section's entries in force, no subject twice. Entries of mapAccounts have a mapping that gives nothing but
/// its origin.
pub(super) type Contents = Vec<(Subject, Arc<Mapping>)>;

/// An entry that can be put in force.
#[derive(Debug)]
pub(super) struct Valid {
    /// Whom it is about.
    pub(super) subject: Subject,
    /// What it gives.
    pub(super) mapping: Arc<Mapping>,
    /// The role's ARN was written with its path. One without wins over it: today it alone matches.
    pub(super) with_path: bool,
    /// It may well not be what was meant: a field twice with two values, a misspelt field or template, groups that
    /// have run together. It counts, as today, only where nothing was last good.
    pub(super) doubtful: bool,
    /// What may remain of what it gave before.
    pub(super) remains: Remains,
}

/// A section that could be read.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The valid entries, in order.
    pub(super) valid: Vec<Valid>,
    /// Whom invalid entries name. Who has no valid entry keeps what was last good.
    pub(super) named: Vec<Subject>,
    /// How many entries are invalid.
    pub(super) invalid: usize,
    /// What YAML gives no value for, though it is in the list's text.
    pub(super) swallowed: Words,
    /// How much has been told of it.
    pub(super) told: Told,
}

impl Parsed {
    /// Has whom those parts of `text` name that YAML gives no value for keep what they had.
    pub(super) fn keep_swallowed(&mut self, section: Section, text: &str) {
        for name in words::swallowed(text) {
            self.swallowed.add_text(name);
            if name.contains("arn:") {
                named::words(section, name, &mut self.named);
            }
        }
    }

    /// Has whom `node` names, which is no entry, keep what they had.
    pub(super) fn keep_whom(&mut self, section: Section, by: MatchBy, node: &Node) {
        named::collect(section, by, node, &mut self.named);
    }
}

/// Reads a list; `None`, with a diagnostic, where it is none.
pub(super) fn read(
    section: Section,
    node: &Node,
    by: MatchBy,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Parsed> {
    let items = match &node.value {
        Value::Null => return Some(Parsed::default()),
        Value::Sequence(items) => items,
        _ => {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                place: Place::List { section, entry: None, position: Some(node.span) },
                message: format!("is {}, not a list; the list stays as it last was", node.kind()).into(),
                advice: "begin each entry with a hyphen: \"- \"".to_owned(),
            });
            return None;
        }
    };
    let mut parsed = Parsed::default();
    let mut read = Vec::with_capacity(items.len());
    let mut named = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let before = diagnostics.len();
        let neighbours = [index.checked_sub(1).and_then(|before| items.get(before)), items.get(index + 1)];
        let origin = Listed { section, entry: index + 1, position: item.span };
        let mut entry = entry::Entry::new(origin, by, diagnostics);
        let result = match section {
            Section::Accounts => entry.account(item),
            Section::Roles | Section::Users => entry.principal(item, neighbours),
        };
        parsed.named.append(&mut entry.others);
        match result {
            Ok(valid) => {
                read.push(Item::Valid(parsed.valid.len()));
                parsed.valid.push(valid);
            }
            Err(invalid) => {
                parsed.invalid += 1;
                let mut whom = Vec::new();
                if invalid == entry::Invalid::Keep {
                    named::collect(section, by, item, &mut whom);
                }
                read.push(if whom.is_empty() { Item::Stray } else { Item::Names });
                named.extend(whom.into_iter().map(|subject| (index, subject)));
            }
        }
        parsed.told.keep_from(before, diagnostics);
    }
    remains::beside(items, &read, &mut parsed.valid);
    remains::rivals(section, items, &read, &named, &mut parsed.valid);
    parsed.named.extend(named.into_iter().map(|(_, subject)| subject));
    Some(parsed)
}
