//! What is in force as text, so that it outlives the process.
//!
//! ```text
//! arngate-snapshot 1 <SHA-256 of the rest>
//! {"clusterID": …, "confirmedAt": …, "mapRoles": [{"arn": …, "username": …, "groups": […], …}], …}
//! ```
//!
//! aws-auth's entries in force are in it in aws-auth's terms, kept ones included, rather than aws-auth's own text: an
//! entry that was kept is in no text any more. IAMIdentityMappings are in a file of their own, each with what it gives
//! ([`objects`]). The sum finds damage; it is no defence against somebody who can write the state directory, who could
//! replace the server's key as well.

mod aws_auth;
mod objects;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

const MAGIC: &str = "arngate-snapshot";
const VERSION: &str = "1";

/// What was in force, and when its source was last known to hold it.
#[derive(Debug)]
pub struct Saved<T> {
    /// The mappings.
    pub content: T,
    /// When they were last known to be in force.
    pub confirmed_at: Timestamp,
}

/// Mappings that outlive the process.
pub trait Lasting: Sized + Send + Sync + 'static {
    /// The longest text that is written or read, in bytes.
    const MAX_LEN: usize;
    /// What is written of them, as JSON.
    type Document: Serialize + DeserializeOwned;

    /// What is written of them.
    ///
    /// # Errors
    /// Where they are none that can be saved.
    fn document(&self, head: Head) -> Result<Self::Document, SaveError>;

    /// What was written.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn read(document: Self::Document) -> Result<(Head, Self), String>;
}

/// Whose mappings they were, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The cluster's ID.
    pub cluster_id: String,
    /// When they were last known to be in force (RFC 3339).
    pub confirmed_at: String,
}

/// Why a snapshot cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// It would be too long.
    #[error("the snapshot would be longer than {0} bytes")]
    TooLong(usize),
    /// They are none of aws-auth's.
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
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
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

impl<T: Lasting> Saved<T> {
    /// The text for `content`, which the cluster `cluster_id` was known to hold at `confirmed_at`.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub fn to_text(content: &T, cluster_id: &str, confirmed_at: Timestamp) -> Result<String, SaveError> {
        let head = Head { cluster_id: cluster_id.to_owned(), confirmed_at: confirmed_at.to_string() };
        let json = serde_json::to_string(&content.document(head)?).map_err(SaveError::Json)?;
        let text = format!("{MAGIC} {VERSION} {}\n{json}\n", sum(&json));
        if text.len() > T::MAX_LEN { Err(SaveError::TooLong(T::MAX_LEN)) } else { Ok(text) }
    }

    /// Reads what [`Saved::to_text`] has written for the same cluster.
    ///
    /// # Errors
    /// See [`SavedError`].
    pub fn from_text(text: &str, cluster_id: &str) -> Result<Self, SavedError> {
        if text.len() > T::MAX_LEN {
            return Err(SavedError::TooLong(T::MAX_LEN));
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
        let document = serde_json::from_str(json).map_err(|error| SavedError::Content(error.to_string()))?;
        let (head, content) = T::read(document).map_err(SavedError::Content)?;
        if head.cluster_id != cluster_id {
            return Err(SavedError::Cluster(head.cluster_id));
        }
        let confirmed_at = head.confirmed_at.parse::<Timestamp>();
        let confirmed_at = confirmed_at.map_err(|error| SavedError::Content(error.to_string()))?;
        Ok(Self { content, confirmed_at })
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
