//! From an EC2 instance's ID to its private DNS name, for `{{EC2PrivateDNSName}}`.
//!
//! ```text
//! ask ──▶ Resolver ── known, or known to be unknown ──▶ answer
//!            │ an ask of the same instance is under way: wait for its answer
//!            ▼
//!         gather: up to 100 instances within 200 ms
//!            ▼
//!         batch: token bucket, pages, retries; what EC2 does not know is taken out, and the rest asked again
//!            ▼
//!         client ── DescribeInstances, signed ──▶ EC2
//!            ▲ region, credentials: the AWS SDK's provider chain, looked at when the first instance is asked about
//!            └ assume_role ── AssumeRole ──▶ STS, where there is a role to assume first
//! ```
//!
//! Everything is bounded: the instances that wait, the calls at once and in a second, the names remembered, an
//! answer's length, and every wait.

mod assume_role;
mod batch;
mod bucket;
mod client;
mod credentials;
mod endpoint;
mod error;
mod expiring;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod instance;
mod query;
mod resolver;
mod settings;
mod xml;

pub use client::{FindError, find_credentials};
pub use error::{Failure, ResolveError};
pub use instance::{InstanceId, InstanceIdError, PrivateDnsName};
pub(crate) use resolver::Lookup;
pub use resolver::Resolver;
pub use settings::{Options, Rate, RoleArn, RoleArnError, SourceArn, SourceArnError};
