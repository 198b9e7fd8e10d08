//! What arngate is tried with.
//!
//! - [`sts`]: an STS emulator that checks `SigV4` for real, and a CONNECT proxy for STS's host names.
//! - [`ec2`]: EC2's DescribeInstances, by the same emulator, and the instance metadata service.
//! - [`control_plane`]: a real etcd and kube-apiserver on this machine.
//! - [`config_map_api`]: list and watch of aws-auth, for where no Kubernetes is.
//! - [`dashboard`]: arngate's dashboard, drawn by what a Prometheus has.
//! - [`demo`]: all of it at work, step by step.
//! - [`load`]: a load generator for token verification, and its reports.
//! - [`servers`]: arngate and aws-iam-authenticator as processes, and what they cost.
//! - [`compare`]: arngate beside aws-iam-authenticator, in figures.
//! - [`capacity`]: what a cluster needs of arngate.
//! - [`startup`]: how long arngate takes to start.
//! - [`scenario`]: sequences of load, faults and restarts.
//! - [`hostile`]: tokens that must be refused before anything leaves for STS.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

pub mod capacity;
pub mod compare;
pub mod config_map_api;
pub mod control_plane;
pub mod dashboard;
pub mod demo;
pub mod ec2;
pub mod hostile;
pub mod load;
pub mod scenario;
pub mod servers;
pub mod startup;
pub mod sts;
