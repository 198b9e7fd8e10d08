use std::{fmt, sync::Arc};

use super::{PermissionSet, RenderError, Section, Subject, Template};
use crate::{identity::Identity, yaml::Position};

/// What an entry of mapRoles or mapUsers, or an object, gives its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The username; the canonical ARN where the entry gives none, or where nothing is left of it for somebody.
    pub username: Option<Template>,
    /// The groups, in order.
    pub groups: Box<[Template]>,
    /// The unique ID (`AROA…`, `AIDA…`) that the principal must have, where the entry pins one: a role or user
    /// deleted and made anew under the same name has another.
    pub user_id: Option<Box<str>>,
    /// Whom the entry names beside its user ID, where entries are found by that: the caller must be both.
    pub also: Option<Subject>,
    /// Where it was written.
    pub origin: Origin,
}

/// Where a mapping was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In one of the three lists.
    Listed(Listed),
    /// In the IAMIdentityMapping of this name.
    Object(Arc<str>),
    /// In `server.adminPrincipals`: which of them, from 1.
    Administrator(usize),
}

/// An entry's place in the three lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// In which list.
    pub section: Section,
    /// Which entry, from 1.
    pub entry: usize,
    /// Where in the section's text.
    pub position: Position,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(Listed { section, entry, position }) => {
                write!(f, "{} entry {entry} (line {})", section.key(), position.line)
            }
            Self::Object(name) => write!(f, "IAMIdentityMapping {name}"),
            Self::Administrator(number) => write!(f, "adminPrincipals entry {number}"),
        }
    }
}

impl Mapping {
    /// Whether the pins, where there are any, are `identity`'s.
    #[must_use]
    pub fn admits(&self, identity: &Identity) -> bool {
        let principal = identity.principal();
        let is_named = self.also.as_ref().is_none_or(|also| match also {
            Subject::Principal(key) => *key == principal.match_key(),
            Subject::PermissionSet(set) => PermissionSet::of(principal).as_ref() == Some(set),
            Subject::Account(account) => *account == principal.account(),
            Subject::UserId(user_id) => **user_id == *identity.user_id(),
        });
        is_named && self.user_id.as_deref().is_none_or(|user_id| user_id == identity.user_id())
    }

    /// The username and the groups for `identity`; see [`Template::render`].
    ///
    /// # Errors
    /// Where one of them cannot be rendered.
    pub fn render(
        &self,
        identity: &Identity,
        instance_name: Option<&str>,
    ) -> Result<(String, Vec<String>), RenderError> {
        let username = self.username.as_ref().map(|template| template.render(identity, instance_name));
        // A user has no session, so that a username of {{SessionName}} alone is none. One of nothing is in no audit log.
        let username = username
            .transpose()?
            .filter(|username| !username.is_empty())
            .unwrap_or_else(|| identity.principal().canonical_arn());
        let groups = self.groups.iter().map(|group| group.render(identity, instance_name));
        let groups = groups.collect::<Result<_, _>>()?;
        Ok((username, groups))
    }
}
