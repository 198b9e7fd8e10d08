use std::{fs, path::Path};

use arngate::identity::{Principal as Arn, PrincipalError, PrincipalKind};
use serde::{Deserialize, Serialize};

use super::{Credentials, Error, KeyStatus, Principal, Principals};

/// The file: `{"principals": […]}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    principals: Vec<Entry>,
}

/// A principal in the file. Only the ARN must be there; what else is missing is made up.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<String>,
}

/// Why a file is no table of principals.
#[derive(Debug, thiserror::Error)]
pub enum PrincipalsError {
    /// It is not JSON of this form.
    #[error("not a table of principals: expected {{\"principals\": [{{\"arn\": …}}]}}")]
    Json(#[from] serde_json::Error),
    /// An ARN is no principal's.
    #[error("entry {number}: {arn}: {source}")]
    Arn {
        /// The entry's place, from 1.
        number: usize,
        /// What is there.
        arn: String,
        /// What is wrong with it.
        source: PrincipalError,
    },
    /// A role's ARN, where a session's belongs.
    #[error("entry {number}: nobody calls STS as a role, only as a session of it: write {arn}")]
    Role {
        /// The entry's place, from 1.
        number: usize,
        /// An ARN that would do.
        arn: String,
    },
    /// Some part of an access key is missing.
    #[error("entry {number}: access_key_id and secret_access_key belong together, session_token to both")]
    Key {
        /// The entry's place, from 1.
        number: usize,
    },
}

impl Principals {
    /// Reads a table from JSON: `{"principals": [{"arn": "arn:aws:sts::111122223333:assumed-role/Admin/alice"}]}`.
    ///
    /// An entry may also have `user_id`, and `access_key_id` and `secret_access_key` with, where they are
    /// temporary, `session_token`.
    ///
    /// # Errors
    /// If it is not such JSON, or an ARN is none of a principal that could call STS.
    pub fn from_json(json: &str) -> Result<Self, PrincipalsError> {
        let file: File = serde_json::from_str(json)?;
        let principals = Self::new();
        for (index, entry) in file.principals.into_iter().enumerate() {
            principals.add_entry(index + 1, entry)?;
        }
        Ok(principals)
    }

    /// Reads a table from a file, as [`from_json`](Self::from_json).
    ///
    /// # Errors
    /// If it can't be read, or as there.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let json = fs::read_to_string(path).map_err(Error::file("read", path))?;
        Ok(Self::from_json(&json)?)
    }

    /// The table as [`from_json`](Self::from_json) reads it, secrets included.
    #[must_use]
    pub fn to_json(&self) -> String {
        let entry = |principal: &Principal| Entry {
            arn: principal.arn.clone(),
            user_id: Some(principal.user_id.clone()),
            access_key_id: Some(principal.credentials.access_key_id.clone()),
            secret_access_key: Some(principal.credentials.secret_access_key.clone()),
            session_token: principal.credentials.session_token.clone(),
        };
        let file = File { principals: self.all().iter().map(|principal| entry(principal)).collect() };
        // Strings in a list: there is nothing that could fail.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    fn add_entry(&self, number: usize, entry: Entry) -> Result<(), PrincipalsError> {
        let given = match (entry.access_key_id, entry.secret_access_key, entry.session_token) {
            (Some(access_key_id), Some(secret_access_key), session_token) => {
                Some(Credentials { access_key_id, secret_access_key, session_token })
            }
            (None, None, None) => None,
            _ => return Err(PrincipalsError::Key { number }),
        };
        let arn = Arn::parse(&entry.arn).map_err(|source| PrincipalsError::Arn {
            number,
            arn: entry.arn.clone(),
            source,
        })?;
        let (handle, account) = (self.in_partition(arn.partition()), arn.account());
        let account = account.as_str();
        let made = match arn.kind() {
            PrincipalKind::Root => handle.root(account),
            PrincipalKind::User { path_and_name } => handle.user(account, path_and_name),
            PrincipalKind::AssumedRole { role, session } => handle.role(account, role, session),
            PrincipalKind::FederatedUser { name } => handle.federated_user(account, name),
            PrincipalKind::Role { path_and_name } => {
                let name = path_and_name.rsplit('/').next().unwrap_or(path_and_name);
                let arn = format!("arn:{}:sts::{account}:assumed-role/{name}/SESSION", arn.partition());
                return Err(PrincipalsError::Role { number, arn });
            }
        };
        let Some(known) = self.get(&made.access_key_id) else {
            return Ok(());
        };
        self.remove(&made.access_key_id);
        self.add(Principal {
            arn: entry.arn,
            user_id: entry.user_id.unwrap_or_else(|| known.user_id.clone()),
            account: known.account.clone(),
            credentials: given.unwrap_or(made),
            status: KeyStatus::Active,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_enough() {
        let json = r#"{"principals": [
            {"arn": "arn:aws:sts::111122223333:assumed-role/Admin/alice"},
            {"arn": "arn:aws-cn:iam::111122223333:user/ops/bob", "access_key_id": "AKIA1", "secret_access_key": "s"}
        ]}"#;
        let principals = Principals::from_json(json).unwrap();
        assert_eq!(principals.len(), 2);
        let bob = principals.get("AKIA1").unwrap();
        assert_eq!(bob.arn, "arn:aws-cn:iam::111122223333:user/ops/bob");
        assert_eq!(bob.credentials.secret_access_key, "s");
        let alice = Principals::new().role("111122223333", "Admin", "alice");
        assert_eq!(principals.get(&alice.access_key_id).unwrap().credentials, alice);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let principals = Principals::generated(12);
        principals.federated_user("111122223333", "Carol");
        principals.root("111122223333");
        let again = Principals::from_json(&principals.to_json()).unwrap();
        assert_eq!(again.all(), principals.all());
    }

    #[test]
    fn what_is_no_caller_is_refused_with_advice() {
        let refused = |arn: &str| {
            let json = format!(r#"{{"principals": [{{"arn": "{arn}"}}]}}"#);
            Principals::from_json(&json).unwrap_err().to_string()
        };
        assert!(refused("arn:aws:iam::111122223333:role/a/B").contains("assumed-role/B/SESSION"));
        assert!(refused("arn:aws:iam::111122223333:group/B").starts_with("entry 1: "));
        let half = r#"{"principals": [{"arn": "arn:aws:iam::111122223333:root", "access_key_id": "AKIA1"}]}"#;
        assert!(Principals::from_json(half).is_err());
        assert!(Principals::from_json("[]").is_err());
    }
}
