use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::sts::Faults;

/// An instance, as far as it is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// Empty where it has none, as that of a terminated instance.
    pub private_dns_name: String,
}

/// The instances that an emulator knows, and how it behaves towards who asks about them.
///
/// Clones are handles of one table, which may change while an emulator uses it.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    table: Arc<Mutex<Table>>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Table {
    instances: HashMap<String, Instance>,
    /// The roles that may describe instances; anybody may where there are none.
    may_describe: BTreeSet<String>,
}

impl Instances {
    /// No instances.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an instance; one with the same ID goes.
    pub fn add(&self, id: &str, private_dns_name: &str) {
        let instance = Instance { id: id.to_owned(), private_dns_name: private_dns_name.to_owned() };
        self.table().instances.insert(id.to_owned(), instance);
    }

    /// Removes an instance; `false` if it was unknown.
    #[must_use]
    pub fn remove(&self, id: &str) -> bool {
        self.table().instances.remove(id).is_some()
    }

    /// Has sessions of the role `name` describe instances, and of others that are given likewise, and nobody else.
    pub fn allow_only(&self, name: &str) {
        self.table().may_describe.insert(name.to_owned());
    }

    /// What goes wrong with EC2, which is not what goes wrong with STS.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// An instance.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Instance> {
        self.table().instances.get(id).cloned()
    }

    /// Whether the caller with this ARN may describe instances.
    pub(super) fn may_describe(&self, arn: &str) -> bool {
        let roles = &self.table().may_describe;
        let role = arn.split_once(":assumed-role/").and_then(|(_, names)| names.split('/').next());
        roles.is_empty() || role.is_some_and(|role| roles.contains(role))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
