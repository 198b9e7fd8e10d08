//! aws-auth's entries.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Head, Lasting, SaveError};
use crate::{
    identity::Principal,
    mapping::{Listed, Mapping, Origin, PermissionSet, Section, Snapshot, Subject, Template},
    yaml::Position,
};

/// What is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    #[serde(rename = "clusterID")]
    cluster_id: String,
    confirmed_at: String,
    map_roles: Vec<Entry>,
    map_users: Vec<Entry>,
    map_accounts: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    subject: Whom,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// Which entry it was, at which line and column.
    origin: [usize; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Whom {
    Arn(String),
    Sso { partition: String, account: String, name: String },
    Account(String),
}

/// aws-auth's snapshot.
impl Lasting for Snapshot {
    /// A ConfigMap holds a mebibyte.
    const MAX_LEN: usize = 16 * 1024 * 1024;
    type Document = Document;

    fn document(&self, Head { cluster_id, confirmed_at }: Head) -> Result<Document, SaveError> {
        let (map_roles, map_users, map_accounts) = (Vec::new(), Vec::new(), Vec::new());
        let mut document = Document { cluster_id, confirmed_at, map_roles, map_users, map_accounts };
        for (section, subject, mapping) in self.entries() {
            document.list(section).push(Entry::new(subject, mapping)?);
        }
        Ok(document)
    }

    fn read(mut document: Document) -> Result<(Head, Self), String> {
        let mut contents = BTreeMap::new();
        for section in Section::ALL {
            let entries = std::mem::take(document.list(section)).into_iter();
            let entries: Result<Vec<_>, _> = entries.map(|entry| entry.read(section)).collect();
            contents.insert(section, entries?);
        }
        let Document { cluster_id, confirmed_at, .. } = document;
        Ok((Head { cluster_id, confirmed_at }, Self::from_contents(contents)))
    }
}

impl Document {
    const fn list(&mut self, section: Section) -> &mut Vec<Entry> {
        match section {
            Section::Roles => &mut self.map_roles,
            Section::Users => &mut self.map_users,
            Section::Accounts => &mut self.map_accounts,
        }
    }
}

impl Entry {
    fn new(subject: &Subject, mapping: &Mapping) -> Result<Self, SaveError> {
        let subject = match subject {
            Subject::Principal(key) => Whom::Arn(key.as_str().to_owned()),
            Subject::PermissionSet(PermissionSet { partition, account, name }) => Whom::Sso {
                partition: partition.to_string(),
                account: account.to_string(),
                name: name.to_string(),
            },
            Subject::Account(account) => Whom::Account(account.to_string()),
            Subject::UserId(_) => return Err(SaveError::Foreign),
        };
        let Origin::Listed(Listed { entry, position, .. }) = mapping.origin else {
            return Err(SaveError::Foreign);
        };
        Ok(Self {
            subject,
            username: mapping.username.as_ref().map(Template::to_string),
            groups: mapping.groups.iter().map(Template::to_string).collect(),
            user_id: mapping.user_id.as_deref().map(str::to_owned),
            origin: [entry, position.line, position.column],
        })
    }

    fn read(self, section: Section) -> Result<(Subject, Arc<Mapping>), String> {
        let subject = match self.subject {
            Whom::Arn(arn) => Principal::parse(&arn)
                .map(|principal| Subject::Principal(principal.match_key()))
                .map_err(|error| error.to_string())?,
            Whom::Sso { partition, account, name } => Subject::PermissionSet(PermissionSet {
                partition: partition.parse().map_err(|_| "an unknown partition".to_owned())?,
                account: account.parse().map_err(|_| "no account ID".to_owned())?,
                name: name.into(),
            }),
            Whom::Account(account) => {
                Subject::Account(account.parse().map_err(|_| "no account ID".to_owned())?)
            }
        };
        let [entry, line, column] = self.origin;
        let mapping = Mapping {
            username: self.username.as_deref().map(Template::parse),
            groups: self.groups.iter().map(|group| Template::parse(group)).collect(),
            user_id: self.user_id.map(Into::into),
            also: None,
            origin: Origin::Listed(Listed { section, entry, position: Position { line, column } }),
        };
        Ok((subject, Arc::new(mapping)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::{
        AwsAuth, Saved,
        saved::{MAGIC, VERSION, sum},
    };

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn snapshot() -> Snapshot {
        let data = [
            (
                "mapRoles",
                "- rolearn: arn:aws:iam::111122223333:role/team/Admin\n  username: 'admin:{{SessionName}}'\n  groups: [system:masters, '{{AccountID}}']\n  userid: AROAEXAMPLE\n- sso: {permissionSetName: View, accountID: '000000000012', partition: aws-cn}\n  username: view\n",
            ),
            ("mapUsers", "- userarn: arn:aws:iam::111122223333:user/ops/Bob\n  groups: [g]\n"),
            ("mapAccounts", "- '000000000012'\n"),
        ];
        let data: BTreeMap<_, _> = data.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        Snapshot::update(None, &AwsAuth::from(data)).0
    }

    fn entries(snapshot: &Snapshot) -> Vec<(Section, Subject, Mapping)> {
        snapshot
            .entries()
            .map(|(section, subject, mapping)| (section, subject.clone(), (**mapping).clone()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again_entry_by_entry() {
        let snapshot = snapshot();
        let text = Saved::to_text(&snapshot, "c", AT).unwrap();
        let saved = Saved::<Snapshot>::from_text(&text, "c").unwrap();
        assert_eq!(entries(&saved.content), entries(&snapshot));
        assert_eq!((saved.content.index().len(), saved.confirmed_at), (4, AT));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let text = Saved::to_text(&snapshot(), "c", AT).unwrap();
        let refused = |text: &str| Saved::<Snapshot>::from_text(text, "c").unwrap_err().to_string();
        assert!(refused(&text.replace("admin:", "root:")).contains("damaged"));
        assert!(refused(text.get(..text.len() / 2).unwrap()).contains("damaged"));
        assert!(refused(&text.replacen("snapshot 1 ", "snapshot 2 ", 1)).contains("version 2"));
        assert!(refused("").contains("no snapshot"));
        assert!(refused("cert\nkey\n").contains("no snapshot"));
        assert!(refused(&"x".repeat(Snapshot::MAX_LEN + 1)).contains("longer than"));
        let other = Saved::<Snapshot>::from_text(&text, "d").unwrap_err();
        assert_eq!(other.to_string(), "it is of the cluster \"c\"");
        let json = r#"{"clusterID":"c","confirmedAt":"1970-01-01T00:00:00Z","mapRoles":[{"subject":{"arn":"x"},"origin":[1,1,1]}],"mapUsers":[],"mapAccounts":[]}"#;
        assert!(refused(&format!("{MAGIC} {VERSION} {}\n{json}\n", sum(json))).contains("not of the form"));
    }

    #[test]
    fn a_dynamic_files_user_ids_are_not_written() {
        let text = "- {userid: AROAEXAMPLE, username: u}";
        let node = crate::yaml::parse(text, crate::yaml::Limits::default()).unwrap();
        let by = crate::mapping::MatchBy::UserId;
        let (snapshot, _) = Snapshot::update_from_nodes(None, [node.as_ref(), None, None], by);
        assert!(matches!(Saved::to_text(&snapshot, "c", AT), Err(SaveError::Foreign)));
    }

    proptest! {
        #[test]
        fn no_damage_is_taken(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let text = Saved::to_text(&snapshot(), "c", AT).unwrap();
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let damaged = String::from_utf8_lossy(&bytes);
            // The line end at the end may be lost.
            prop_assert!(damaged == text || at == text.len() - 1 || Saved::<Snapshot>::from_text(&damaged, "c").is_err());
        }
    }
}
