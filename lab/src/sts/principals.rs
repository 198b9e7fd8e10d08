use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use arngate::identity::Partition;
use jiff::Timestamp;

use super::credentials::{Credentials, unique_id};

/// Who holds an access key, as STS tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The ARN that `GetCallerIdentity` answers.
    pub arn: String,
    /// The user ID that `GetCallerIdentity` answers.
    pub user_id: String,
    /// The account that `GetCallerIdentity` answers: twelve digits.
    pub account: String,
    /// The access key.
    pub credentials: Credentials,
    /// Whether the key is good.
    pub status: KeyStatus,
}

/// Whether an access key is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyStatus {
    /// It is.
    #[default]
    Active,
    /// It is until then.
    ActiveUntil(Timestamp),
    /// Its session is over: `ExpiredToken`.
    Expired,
    /// It was deactivated: `InvalidClientTokenId`.
    Disabled,
}

/// The access keys that an emulator knows.
///
/// Clones are handles of one table, which may change while an emulator uses it. Names and accounts are taken
/// as they are, so that an emulator can also answer what STS never would. The keys of a principal follow from
/// its ARN and from how many keys it has already: two tables that are filled alike are alike.
#[derive(Debug, Clone)]
pub struct Principals {
    table: Arc<RwLock<HashMap<String, Arc<Principal>>>>,
    partition: Partition,
}

impl Default for Principals {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::must_use_candidate, reason = "methods that change the table also say what came of it")]
impl Principals {
    /// An empty table, to which principals of the partition `aws` are added.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Arc::default(), partition: Partition::Aws }
    }

    /// A table of `count` principals in several accounts: three sessions of roles of their own to one user.
    #[must_use]
    pub fn generated(count: usize) -> Self {
        let principals = Self::new();
        for number in 0..count {
            // A hundred principals an account.
            let account = format!("{:012}", 111_122_220_000_u64 + number as u64 / 100);
            if number % 4 == 3 {
                principals.user(&account, &format!("generated/user-{number:06}"));
            } else {
                let session = format!("session-{number:06}");
                principals.role(&account, &format!("role-{number:06}"), &session);
            }
        }
        principals
    }

    /// A handle of the same table that adds principals of `partition`.
    #[must_use]
    pub fn in_partition(&self, partition: Partition) -> Self {
        Self { table: Arc::clone(&self.table), partition }
    }

    /// Adds a session of a role that does not end. `name` is the role's without its path.
    pub fn role(&self, account: &str, name: &str, session: &str) -> Credentials {
        self.add_session(account, name, session, KeyStatus::Active).credentials.clone()
    }

    /// Adds a session of a role that ends by itself.
    pub(super) fn session(
        &self,
        account: &str,
        name: &str,
        session: &str,
        until: Timestamp,
    ) -> Arc<Principal> {
        self.add_session(account, name, session, KeyStatus::ActiveUntil(until))
    }

    /// Adds a user, `path_and_name` as in `ops/oncall/bob`.
    pub fn user(&self, account: &str, path_and_name: &str) -> Credentials {
        let arn = format!("arn:{}:iam::{account}:user/{path_and_name}", self.partition);
        let id = unique_id("AIDA", &arn, 21);
        self.issue(arn, id, account, KeyStatus::Active).credentials.clone()
    }

    /// Adds an account's root.
    pub fn root(&self, account: &str) -> Credentials {
        let arn = format!("arn:{}:iam::{account}:root", self.partition);
        self.issue(arn, account.to_owned(), account, KeyStatus::Active).credentials.clone()
    }

    /// Adds a federated user.
    pub fn federated_user(&self, account: &str, name: &str) -> Credentials {
        let arn = format!("arn:{}:sts::{account}:federated-user/{name}", self.partition);
        self.issue(arn, format!("{account}:{name}"), account, KeyStatus::Active).credentials.clone()
    }

    /// Adds a principal as it is; one with the same access key ID goes.
    pub fn add(&self, principal: Principal) {
        let key = principal.credentials.access_key_id.clone();
        self.write().insert(key, Arc::new(principal));
    }

    /// Removes an access key; `false` if it was unknown.
    pub fn remove(&self, access_key_id: &str) -> bool {
        self.write().remove(access_key_id).is_some()
    }

    /// Sets whether an access key is good; `false` if it is unknown.
    pub fn set_status(&self, access_key_id: &str, status: KeyStatus) -> bool {
        let mut table = self.write();
        let Some(principal) = table.get_mut(access_key_id) else {
            return false;
        };
        Arc::make_mut(principal).status = status;
        true
    }

    /// Who holds an access key.
    #[must_use]
    pub fn get(&self, access_key_id: &str) -> Option<Arc<Principal>> {
        self.read().get(access_key_id).cloned()
    }

    /// Every principal, ordered by ARN and access key.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Principal>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by(|a, b| {
            (&a.arn, &a.credentials.access_key_id).cmp(&(&b.arn, &b.credentials.access_key_id))
        });
        all
    }

    /// How many access keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add_session(&self, account: &str, name: &str, session: &str, status: KeyStatus) -> Arc<Principal> {
        let id = unique_id("AROA", &format!("{}:{account}:role/{name}", self.partition), 21);
        let arn = format!("arn:{}:sts::{account}:assumed-role/{name}/{session}", self.partition);
        self.issue(arn, format!("{id}:{session}"), account, status)
    }

    /// Adds a principal with keys of its own. Sessions have temporary keys.
    fn issue(&self, arn: String, user_id: String, account: &str, status: KeyStatus) -> Arc<Principal> {
        let make = if arn.contains(":sts:") { Credentials::temporary } else { Credentials::long_term };
        let mut table = self.write();
        // The first key of this ARN that is not in use.
        let mut number = 0_usize;
        let credentials = loop {
            let credentials = make(&format!("{arn} {number}"));
            if !table.contains_key(&credentials.access_key_id) {
                break credentials;
            }
            number += 1;
        };
        let key = credentials.access_key_id.clone();
        let principal =
            Arc::new(Principal { arn, user_id, account: account.to_owned(), credentials, status });
        table.insert(key, Arc::clone(&principal));
        principal
    }

    // A panic elsewhere leaves the table whole: every change is one insertion or removal.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Principal>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Principal>>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_arn_and_user_id_of_its_kind() {
        let principals = Principals::new();
        let get = |credentials: Credentials| principals.get(&credentials.access_key_id).unwrap();

        let role = get(principals.role("111122223333", "Admin", "alice@example.org"));
        assert_eq!(role.arn, "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.org");
        assert!(role.user_id.starts_with("AROA") && role.user_id.ends_with(":alice@example.org"));
        assert!(role.credentials.session_token.is_some());

        let user = get(principals.user("111122223333", "ops/bob"));
        assert_eq!(user.arn, "arn:aws:iam::111122223333:user/ops/bob");
        assert!(user.user_id.starts_with("AIDA"));
        assert!(user.credentials.session_token.is_none());

        let root = get(principals.in_partition(Partition::AwsCn).root("000011112222"));
        assert_eq!(root.arn, "arn:aws-cn:iam::000011112222:root");
        assert_eq!(root.user_id, "000011112222");

        let federated = get(principals.federated_user("111122223333", "Carol"));
        assert_eq!(federated.arn, "arn:aws:sts::111122223333:federated-user/Carol");
        assert_eq!(federated.user_id, "111122223333:Carol");
        assert_eq!(principals.len(), 4);
    }

    #[test]
    fn sessions_of_a_role_share_its_id_and_no_key() {
        let principals = Principals::new();
        let [a, b, c] = ["a", "b", "b"].map(|session| principals.role("111122223333", "Admin", session));
        assert_ne!(b, c, "each assumption has keys of its own");
        let id = |credentials: &Credentials| {
            let principal = principals.get(&credentials.access_key_id).unwrap();
            principal.user_id.split_once(':').unwrap().0.to_owned()
        };
        assert_eq!(id(&a), id(&b));
    }

    #[test]
    fn generated_tables_are_alike_and_of_the_size_asked_for() {
        let (one, other) = (Principals::generated(250), Principals::generated(250));
        assert_eq!(one.len(), 250);
        assert_eq!(one.all(), other.all());
    }

    #[test]
    fn a_table_changes_under_all_its_handles() {
        let principals = Principals::new();
        let other = principals.clone();
        let key = principals.user("111122223333", "bob").access_key_id;
        assert!(other.set_status(&key, KeyStatus::Disabled));
        assert_eq!(principals.get(&key).unwrap().status, KeyStatus::Disabled);
        assert!(principals.remove(&key) && !other.remove(&key));
        assert!(!other.set_status(&key, KeyStatus::Active));
    }
}
