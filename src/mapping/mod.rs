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
//! Where mappings come from is [`crate::source`]'s. Look-ups never wait and never scan.

mod aws_auth;
mod chain;
mod diagnostic;
mod entry;
mod index;
mod objects;
mod section;
mod snapshot;
mod subject;
mod template;

pub use aws_auth::AwsAuth;
pub use chain::{
    Backend, BackendMode, Chain, CurrentChain, Mapped, MappedUser, Publisher, UnknownBackendMode,
};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use entry::{Listed, Mapping, Origin};
pub use index::{Index, Match};
pub use objects::{Object, ObjectSpec, Objects};
pub use section::{MatchBy, Section};
pub use snapshot::{Figures, Snapshot};
pub use subject::{PermissionSet, Subject};
pub use template::{RenderError, Template};
