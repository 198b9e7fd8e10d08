//! A snapshot as text, so that it outlives the process.
//!
//! ```text
//! arngate-snapshot 1 <SHA-256 of the rest>
//! {"clusterID": …, "confirmedAt": …, "mapRoles": [{"arn": …, "username": …, "groups": […], …}], …}
//! ```
//!
//! It holds the entries in force in the terms of aws-auth, kept ones included, rather than aws-auth's own text: an
//! entry that was kept is in no text any more. The sum finds damage; it is no defence against somebody who can write
//! the state directory, who could replace the server's key as well.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Listed, Mapping, Origin, PermissionSet, Section, Snapshot, Subject, Template};
use crate::{identity::Principal, yaml::Position};

/// The longest text that is written or read, in bytes.
const MAX_LEN: usize = 16 * 1024 * 1024;

const MAGIC: &str = "arngate-snapshot";
const VERSION: &str = "1";

/// A snapshot of aws-auth, and when the API server was last known to hold it.
#[derive(Debug)]
pub struct Saved {
    /// The mappings.
    pub snapshot: Snapshot,
    /// When they were last known to be in force.
    pub confirmed_at: Timestamp,
}

/// Why a snapshot cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// It would be too long.
    #[error("the snapshot would be longer than {MAX_LEN} bytes")]
    TooLong,
    /// It is none of aws-auth's.
    #[error("only aws-auth's mappings are saved")]
    Foreign,
    /// It cannot be written as JSON.
    #[error("the snapshot cannot be written as JSON: {0}")]
    Json(serde_json::Error),
}

/// Why a text is not taken for a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is too long.
    #[error("it is longer than {MAX_LEN} bytes")]
    TooLong,
    /// It does not begin as a snapshot does.
    #[error("it is no snapshot of arngate's")]
    Form,
    /// Another version of arngate wrote it.
    #[error("it is of version {0}, and this is arngate for version {VERSION}")]
    Version(String),
    /// The sum is another one.
    #[error("it is damaged: its checksum is another one")]
    Checksum,
    /// The JSON is not what it should be.
    #[error("its content is not of the form: {0}")]
    Content(String),
    /// Another cluster's arngate wrote it.
    #[error("it is of the cluster {0:?}")]
    Cluster(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
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

impl Saved {
    /// The text for `snapshot`, which the cluster `cluster_id` was known to hold at `confirmed_at`.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub fn to_text(
        snapshot: &Snapshot,
        cluster_id: &str,
        confirmed_at: Timestamp,
    ) -> Result<String, SaveError> {
        let mut document = Document {
            cluster_id: cluster_id.to_owned(),
            confirmed_at: confirmed_at.to_string(),
            map_roles: Vec::new(),
            map_users: Vec::new(),
            map_accounts: Vec::new(),
        };
        for (section, subject, mapping) in snapshot.entries() {
            document.list(section).push(Entry::new(subject, mapping)?);
        }
        let json = serde_json::to_string(&document).map_err(SaveError::Json)?;
        let text = format!("{MAGIC} {VERSION} {}\n{json}\n", sum(&json));
        if text.len() > MAX_LEN { Err(SaveError::TooLong) } else { Ok(text) }
    }

    /// Reads what [`Saved::to_text`] has written for the same cluster.
    ///
    /// # Errors
    /// See [`SavedError`].
    pub fn from_text(text: &str, cluster_id: &str) -> Result<Self, SavedError> {
        if text.len() > MAX_LEN {
            return Err(SavedError::TooLong);
        }
        let (head, json) = text.split_once('\n').ok_or(SavedError::Form)?;
        let json = json.strip_suffix('\n').unwrap_or(json);
        let mut head = head.split(' ');
        let (Some(MAGIC), Some(version)) = (head.next(), head.next()) else { return Err(SavedError::Form) };
        if version != VERSION {
            return Err(SavedError::Version(version.chars().take(20).collect()));
        }
        if head.next() != Some(&sum(json)) {
            return Err(SavedError::Checksum);
        }
        let content = |error: &dyn std::fmt::Display| SavedError::Content(error.to_string());
        let mut document: Document = serde_json::from_str(json).map_err(|error| content(&error))?;
        if document.cluster_id != cluster_id {
            return Err(SavedError::Cluster(document.cluster_id));
        }
        let confirmed_at = document.confirmed_at.parse().map_err(|error| content(&error))?;
        let mut contents = BTreeMap::new();
        for section in Section::ALL {
            let entries = std::mem::take(document.list(section)).into_iter();
            let entries: Result<Vec<_>, _> = entries.map(|entry| entry.read(section)).collect();
            contents.insert(section, entries.map_err(|error| content(&error))?);
        }
        Ok(Self { snapshot: Snapshot::from_contents(contents), confirmed_at })
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

fn sum(json: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(json).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::AwsAuth;

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
        let saved = Saved::from_text(&text, "c").unwrap();
        assert_eq!(entries(&saved.snapshot), entries(&snapshot));
        assert_eq!((saved.snapshot.index().len(), saved.confirmed_at), (4, AT));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let text = Saved::to_text(&snapshot(), "c", AT).unwrap();
        let refused = |text: &str| Saved::from_text(text, "c").unwrap_err().to_string();
        assert!(refused(&text.replace("admin:", "root:")).contains("damaged"));
        assert!(refused(text.get(..text.len() / 2).unwrap()).contains("damaged"));
        assert!(refused(&text.replacen("snapshot 1 ", "snapshot 2 ", 1)).contains("version 2"));
        assert!(refused("").contains("no snapshot"));
        assert!(refused("cert\nkey\n").contains("no snapshot"));
        assert!(refused(&"x".repeat(MAX_LEN + 1)).contains("longer than"));
        let other = Saved::from_text(&text, "d").unwrap_err();
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
            prop_assert!(damaged == text || at == text.len() - 1 || Saved::from_text(&damaged, "c").is_err());
        }
    }
}
