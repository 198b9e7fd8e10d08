//! An STS emulator that checks `SigV4` for real.
//!
//! ```text
//! program that knows HTTPS_PROXY ──CONNECT──▶ proxy ─┐  STS's and EC2's host names, port 443; all else: 403
//! arngate --sts-connect-to ─────────────TLS──────────┴▶ server    a certificate for the name asked for
//!                                                        │ whose host? latency, limit, fault?  ◀──HTTP── admin
//!                                             EC2's ─────┼──▶ crate::ec2
//!                                                        ▼
//!                                                     service ▶ access ▶ sigv4 ▶ canonical    principals, clock
//!                                                        │
//!                                                        ▼
//!                                                     answer      XML or JSON, with STS's own words
//! ```
//!
//! Actions are `GetCallerIdentity` and `AssumeRole`; of trust policies there are external IDs, MFA codes and
//! conditions on the source. Signatures come in a presigned
//! query or in the `Authorization` header. A key is known at the endpoints of its own partition alone, the scope
//! is of the endpoint's region, and the time is the emulator's [`Clock`].
//!
//! ```no_run
//! # async fn example() -> Result<(), arngate_lab::sts::Error> {
//! use arngate_lab::sts::{Emulator, Principals};
//!
//! let principals = Principals::new();
//! let admin = principals.role("111122223333", "Admin", "alice");
//! let emulator = Emulator::builder().principals(principals).start().await?;
//! // Start a program with these variables, and `aws sts get-caller-identity` is alice.
//! let env = [emulator.client_env(), admin.env()].concat();
//! # Ok(())
//! # }
//! ```
pub(crate) mod accept;
pub(crate) mod access;
mod admin;
mod answer;
mod ca;
pub(crate) mod canonical;
pub mod cli;
mod clock;
mod credentials;
mod emulator;
mod error;
pub(crate) mod failure;
mod fault;
mod files;
pub(crate) mod hosts;
mod log;
mod principals;
mod principals_file;
mod proxy;
pub(crate) mod query;
mod resolver;
mod server;
mod service;
mod sigv4;
mod trust;

pub use admin::{ConditionsError, WrittenConditions};
pub use ca::Ca;
pub use clock::Clock;
pub use credentials::Credentials;
pub use emulator::{Emulator, EmulatorBuilder};
pub use error::Error;
pub use fault::{
    Conditions, Fault, FaultPlan, Faults, Latency, RateLimit, UnknownFault, UnknownLatency, UnknownLimit,
};
pub use log::{Record, Seen};
pub use principals::{KeyStatus, Principal, Principals};
pub use principals_file::PrincipalsError;
pub use resolver::Flaw;
pub use trust::{TrustPolicies, TrustPolicy};

/// What an emulator's CA is called.
const CA_NAME: &str = "arngate-lab STS emulator";
