//! EC2 and its instances' metadata service, as far as an authenticator asks them.
//!
//! ```text
//! arngate ── DescribeInstances ──▶ crate::sts's server ──▶ service ▶ crate::sts's access    instances, faults
//!    │                                                        ▼
//!    │                                                     answer      XML, with EC2's own words
//!    └── region, credentials ──plain HTTP──▶ metadata      IMDSv2
//! ```
//!
//! EC2 is emulated by the same [`crate::sts::Emulator`] as STS, at EC2's own host names: it knows the same keys, and
//! has the same clock. What it describes is in [`Instances`].
mod answer;
mod instances;
mod metadata;
mod service;

pub use instances::{Instance, Instances};
pub use metadata::Metadata;

pub(crate) use answer::Answer;
pub(crate) use service::{Ec2, ids, throttling};
