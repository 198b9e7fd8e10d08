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
pub(super) mod weak;
mod whom;

use std::sync::Arc;

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
}

impl Parsed {
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
    let mut told = Told::default();
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
            Ok(valid) => parsed.valid.push(valid),
            Err(invalid) => {
                parsed.invalid += 1;
                if invalid == entry::Invalid::Keep {
                    named::collect(section, by, item, &mut parsed.named);
                }
            }
        }
        told.keep_from(before, diagnostics);
    }
    told.summarise(section, diagnostics);
    Some(parsed)
}

/// How many diagnostics of a list are told. A mebibyte holds hundreds of thousands of entries, each of which may be
/// wrong.
const MAX_TOLD: usize = 1000;

/// What was told of a list.
#[derive(Default)]
struct Told {
    errors: usize,
    warnings: usize,
}

impl Told {
    /// Counts what was told from `before` on, and drops what is beyond the bound.
    fn keep_from(&mut self, before: usize, diagnostics: &mut Vec<Diagnostic>) {
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
    fn summarise(&self, section: Section, diagnostics: &mut Vec<Diagnostic>) {
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
