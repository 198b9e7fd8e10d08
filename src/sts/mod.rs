//! AWS STS: its endpoints, what it answers, the one client that asks it, and when it is asked.
//!
//! ```text
//! PresignedRequest ─▶ verifier: remembered, under way, too often? or else ─▶ client
//!
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
mod verifier;
pub mod xml;

#[cfg(test)]
pub(crate) use client::Script;
pub use client::{Client, ClientError, ClientOptions, MAX_BODY};
pub use connect_to::{ConnectTo, ConnectToError};
pub use endpoint::{Endpoint, EndpointError, Endpoints, ExtraHost};
pub use error::{NoVerdict, Rejection, StsError};
pub use trust::{TrustError, client_config};
pub(crate) use verifier::Lane;
pub use verifier::{Limits, NoRandomNumbers, Refusal, Shed, ShedReason, Source, Verdict, Verified, Verifier};
pub use xml::CallerIdentity;
