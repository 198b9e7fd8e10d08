//! What a snapshot holds, read from its own text ([`Saved::to_text`]): there is no other way in from outside.

use std::collections::BTreeSet;

use arngate::mapping::{Saved, Section, Snapshot};
use jiff::Timestamp;
use serde_json::Value;

/// An entry in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The list: `mapRoles`, `mapUsers` or `mapAccounts`.
    pub list: String,
    /// Whom it maps.
    pub whom: Whom,
    /// The username.
    pub username: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// The user ID that is pinned.
    pub user_id: Option<String>,
}

/// Whom an entry maps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// By ARN, as it is looked up.
    Arn(String),
    /// By permission set: partition, account, name.
    PermissionSet([String; 3]),
    /// By account.
    Account(String),
}

/// The entries in force.
#[must_use]
pub fn entries(snapshot: &Snapshot) -> BTreeSet<Entry> {
    let text = Saved::to_text(snapshot, "fuzz", Timestamp::UNIX_EPOCH).expect("it can be saved");
    let json = text.lines().nth(1).expect("it has two lines");
    let document: Value = serde_json::from_str(json).expect("it is JSON");
    let lists = Section::ALL.into_iter().map(Section::key);
    let of = |list: &'static str| {
        let entries = document[list].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(move |entry| Entry::read(list, &entry))
    };
    lists.flat_map(of).collect()
}

impl Entry {
    fn read(list: &str, entry: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let subject = &entry["subject"];
        let whom = if let Some(arn) = text(&subject["arn"]) {
            Whom::Arn(arn)
        } else if let Some(account) = text(&subject["account"]) {
            Whom::Account(account)
        } else {
            let field = |name: &str| text(&subject["sso"][name]).expect("a permission set has three fields");
            Whom::PermissionSet([field("partition"), field("account"), field("name")])
        };
        let groups = entry["groups"].as_array().map(|groups| groups.iter().filter_map(text).collect());
        Self {
            list: list.to_owned(),
            whom,
            username: text(&entry["username"]),
            groups: groups.unwrap_or_default(),
            user_id: text(&entry["userId"]),
        }
    }
}
