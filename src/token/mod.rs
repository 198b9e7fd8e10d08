//! The token: `k8s-aws-v1.` and a presigned STS GetCallerIdentity URL in base64url.
//!
//! ```text
//! "k8s-aws-v1.aHR0cHM6…"
//!      │ parse: length, prefix, base64, then the URL byte by byte against a grammar
//!      ▼
//! PresignedRequest { endpoint, query, access_key_id, signed_at }     only the parser makes one
//!      │ url
//!      ▼
//! "https://<host from our table>/?<the query, byte for byte as it was signed>"
//! ```
//!
//! Nothing here believes the token: it says whom to ask and what, and STS says who the caller is.
//! [`presign`] is the client's side.

mod cluster_id;
mod credential;
mod error;
mod parse;
mod presign;
mod query;
#[cfg(test)]
mod real_clients;
mod time;

pub use cluster_id::{ClusterId, ClusterIdError};
pub use error::{TokenError, TokenErrorClass};
pub(crate) use parse::{LIFETIME, MAX_AHEAD};
pub use parse::{MAX_LEN, PREFIX, PresignedRequest, parse};
pub use presign::{PresignError, Token, presign};
