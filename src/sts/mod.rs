//! AWS STS: its endpoints, what it answers, and the one client that asks it.
//!
//! ```text
//! PresignedRequest ─▶ client ── GET, x-k8s-aws-id: <ours> ──▶ STS
//!                       ▲                                      │
//!  CallerIdentity ◀─ xml ◀── 200 ──────────────────────────────┤
//!  StsError ◀──── error ◀── verdict or none ◀── anything else ─┘
//! ```

mod client;
mod connect_to;
pub mod endpoint;
mod error;
pub(crate) mod http;
mod regions;
mod trust;
pub mod xml;

pub use client::{Client, ClientError, ClientOptions, MAX_BODY};
pub use connect_to::{ConnectTo, ConnectToError};
pub use endpoint::{Endpoint, EndpointError, Endpoints, ExtraHost};
pub use error::{NoVerdict, Rejection, StsError};
pub use trust::{TrustError, client_config};
pub use xml::CallerIdentity;
