use std::{collections::HashMap, sync::Arc};

use super::{Listed, Mapping, Origin, PermissionSet, RenderError, Section, Subject, Template};
use crate::identity::{AccountId, Identity, MatchKey};

/// What is looked up: made once, never changed, each question a hash look-up or three.
#[derive(Debug, Default)]
pub struct Index {
    /// Of objects, which do not tell roles and users apart, all principals.
    roles: HashMap<MatchKey, Arc<Mapping>>,
    permission_sets: HashMap<PermissionSet, Arc<Mapping>>,
    users: HashMap<MatchKey, Arc<Mapping>>,
    /// Roles and users alike: an ID is one's alone, and tells which it is. Where both lists have it, mapRoles counts.
    user_ids: HashMap<Box<str>, Arc<Mapping>>,
    accounts: HashMap<AccountId, Origin>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'a> {
    /// An entry of mapRoles or mapUsers, or an object.
    Entry(&'a Mapping),
    /// An entry of mapAccounts: the username is the canonical ARN, and there are no groups.
    Account(&'a Origin),
}

impl<'a> Match<'a> {
    /// Where it was written.
    #[must_use]
    pub const fn origin(self) -> &'a Origin {
        match self {
            Self::Entry(mapping) => &mapping.origin,
            Self::Account(origin) => origin,
        }
    }

    /// The username and the groups for `identity`; see [`Mapping::render`].
    ///
    /// # Errors
    /// Where one of them cannot be rendered.
    pub fn render(
        self,
        identity: &Identity,
        instance_name: Option<&str>,
    ) -> Result<(String, Vec<String>), RenderError> {
        match self {
            Self::Entry(mapping) => mapping.render(identity, instance_name),
            Self::Account(_) => Ok((identity.principal().canonical_arn(), Vec::new())),
        }
    }
}

impl Index {
    /// Puts an entry in, in the place of one for the same subject in the same list.
    pub(super) fn insert(&mut self, subject: &Subject, mapping: &Arc<Mapping>) {
        let entry = Arc::clone(mapping);
        match subject {
            Subject::Principal(key) => {
                let entries = match mapping.origin {
                    Origin::Listed(Listed { section: Section::Users, .. }) => &mut self.users,
                    Origin::Listed(_) | Origin::Object(_) | Origin::Administrator(_) => &mut self.roles,
                };
                entries.insert(key.clone(), entry);
            }
            Subject::PermissionSet(set) => {
                self.permission_sets.insert(set.clone(), entry);
            }
            Subject::UserId(user_id) => {
                let is_user =
                    matches!(mapping.origin, Origin::Listed(Listed { section: Section::Users, .. }));
                if is_user {
                    self.user_ids.entry(user_id.clone()).or_insert(entry);
                } else {
                    self.user_ids.insert(user_id.clone(), entry);
                }
            }
            Subject::Account(account) => {
                self.accounts.insert(*account, mapping.origin.clone());
            }
        }
    }

    /// Who `identity` is here: roles before users before accounts, as today.
    #[must_use]
    pub fn look_up(&self, identity: &Identity) -> Option<Match<'_>> {
        self.find(identity, PermissionSet::of(identity.principal()).as_ref())
    }

    /// The same, with permission sets matching nobody.
    #[must_use]
    pub fn look_up_without_permission_sets(&self, identity: &Identity) -> Option<Match<'_>> {
        self.find(identity, None)
    }

    fn find(&self, identity: &Identity, set: Option<&PermissionSet>) -> Option<Match<'_>> {
        let principal = identity.principal();
        let key = principal.match_key();
        let set = || set.and_then(|set| self.permission_sets.get(set));
        let admitted = |mapping: &&Arc<Mapping>| mapping.admits(identity);
        self.roles
            .get(&key)
            .filter(admitted)
            .or_else(|| set().filter(admitted))
            .or_else(|| self.users.get(&key).filter(admitted))
            .or_else(|| self.user_ids.get(identity.user_id()).filter(admitted))
            .map(|mapping| Match::Entry(mapping))
            .or_else(|| self.accounts.get(&principal.account()).map(Match::Account))
    }

    /// Whom the entries and objects are about, each with what it gives, in no order; accounts are left out.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Subject, &Arc<Mapping>)> {
        let of_key = |(key, mapping)| (Subject::Principal(MatchKey::clone(key)), mapping);
        let of_set = |(set, mapping)| (Subject::PermissionSet(PermissionSet::clone(set)), mapping);
        let of_id = |(id, mapping)| (Subject::UserId(Box::clone(id)), mapping);
        let principals = self.roles.iter().chain(&self.users).map(of_key);
        principals.chain(self.permission_sets.iter().map(of_set)).chain(self.user_ids.iter().map(of_id))
    }

    /// Whether what some entry or object gives names the caller's instance.
    #[must_use]
    pub fn names_instances(&self) -> bool {
        self.entries().any(|(_, mapping)| {
            mapping.username.iter().chain(&mapping.groups).any(Template::names_the_instance)
        })
    }

    /// How many subjects of each kind are mapped.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, usize); 5] {
        [
            ("role", self.roles.len()),
            ("user", self.users.len()),
            ("permission_set", self.permission_sets.len()),
            ("user_id", self.user_ids.len()),
            ("account", self.accounts.len()),
        ]
    }

    /// How many subjects are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    /// Whether nobody is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
