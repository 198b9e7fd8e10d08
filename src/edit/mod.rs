//! Edits of aws-auth that touch nothing but what they are about.
//!
//! ```text
//! text of mapRoles ─▶ yaml (where each entry begins and ends) ─▶ bytes put in or taken out ─▶ new text
//!                                                                      │ read again
//!                                                                      ▼
//!                                 every other entry as it was, or the edit is refused
//! ```
//!
//! People keep comments, an order and keys of their own in there. So the text is never written anew from what it
//! means: an entry is put behind the last one, in the form that the list has, or cut out with its lines. Whatever
//! the text looks like, the result is read again and compared entry by entry; where anything else would change, the
//! edit is refused. Lists that cannot be read are not edited at all.
//!
//! [`AwsAuth`] applies edits to the object in the cluster. [`ServiceAccess`] gives an AWS service its rights beside
//! that: a Role and a RoleBinding, to which what is missing is added.

mod aws_auth;
mod block;
mod document;
mod entry;
mod error;
mod flow;
mod lines;
mod listed;
mod rbac;
mod service;
mod service_access;
mod undo;

pub use aws_auth::{AwsAuth, Change, WriteError};
pub use document::{append, remove};
pub use entry::{NewEntry, NewSubject};
pub use error::EditError;
pub use listed::{Listed, list};
pub use service::{AwsService, Namespace, NamespaceError, UnknownService};
pub use service_access::{RbacChange, ServiceAccess, ServiceAccessError};
pub use undo::UndoError;
