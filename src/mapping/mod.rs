//! From a principal to a Kubernetes user.
//!
//! ```text
//! aws-auth's values, the configuration file's lists
//!      │ section: YAML ─▶ entries, each valid or not, with diagnostics
//!      ▼
//! Snapshot::update(last good, new) ─▶ Snapshot { contents of the three sections, Index }
//!      ▲
//!      │ Objects::snapshot ◀─ apply, delete, replace ─ IAMIdentityMapping objects
//!      │ Publisher::publish (an atomic swap)
//!      ▼
//! Chain [backend, backend, …] ◀── map(identity) ── first match in order; template ─▶ username, groups
//! ```
//!
//! [`Saved`] is what is in force as text, which outlives the process.
//!
//! Where mappings come from is [`crate::source`]'s. Look-ups never wait and never scan.

mod administrators;
mod aws_auth;
mod chain;
mod changes;
mod diagnostic;
mod edit;
mod entry;
mod explain;
mod index;
mod known;
mod lost;
mod manifest;
mod objects;
mod saved;
mod section;
mod snapshot;
mod subject;
mod template;

pub use aws_auth::AwsAuth;
pub use chain::{
    Backend, BackendMode, BackendState, Chain, CurrentChain, Mapped, MappedUser, Publisher, Standing,
    UnknownBackendMode,
};
pub use changes::{Change, Gives};
pub use diagnostic::{Diagnostic, Message, Place, Severity};
pub use edit::{Edit, Warning};
pub use entry::{Listed, Mapping, Origin};
pub use explain::{Explained, Explanation, NearMiss};
pub use index::{Index, Match};
pub use manifest::{Finding, MAX_LEN as MAX_MANIFEST_LEN, Manifest, ManifestError};
pub use objects::{Object, ObjectRecord, ObjectRecords, ObjectSpec, Objects};
pub use saved::{Lasting, SaveError, Saved, SavedError};
pub use section::{MatchBy, Section};
pub use snapshot::{Figures, Snapshot};
pub use subject::{PermissionSet, Subject};
pub use template::{RenderError, Template};
