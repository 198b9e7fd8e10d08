//! arngate: an IAM authenticator for Kubernetes.
//!
//! A kube-apiserver asks it, over HTTPS, who a bearer token is. The modules stand in the order in which a
//! request passes them:
//!
//! 1. [`webhook`] takes the TokenReview in, and in the end makes the [`outcome`] an HTTP answer;
//! 2. [`authenticator`] takes the token along the rest of the way:
//! 3. [`token`] parses it, a presigned STS GetCallerIdentity URL, into a typed request;
//! 4. [`sts`] knows STS's endpoints and sends that request;
//! 5. [`identity`] reads the ARN that comes back into a principal;
//! 6. [`mapping`] looks the principal up in an index in memory, and renders username and groups; where those name
//!    the caller's instance, [`ec2`] knows its private DNS name.
//!
//! Beside that path, [`source`] watches Kubernetes and files and swaps new indexes in, [`yaml`] reads aws-auth
//! and the configuration file within bounds, [`config`] makes one validated value of file, flags and
//! environment, [`server`] puts all of it together, [`telemetry`] logs, audits and counts, [`credentials`] finds what
//! `arngate token` signs with, [`doctor`] looks at what makes an installation fail, [`edit`] changes aws-auth without
//! touching the rest, [`atomic_file`] writes files that others read, [`file_owner`] gives them away, [`xml`] reads what
//! AWS answers, and [`cli`] has a file for each command.
#![forbid(unsafe_code)]
// Whatever panics takes a review down with it. Tests may; elsewhere each exception says why it cannot happen.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

pub mod atomic_file;
pub mod authenticator;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod doctor;
pub mod ec2;
pub mod edit;
pub mod file_owner;
pub mod identity;
pub mod mapping;
pub mod outcome;
pub mod server;
pub mod source;
pub mod sts;
pub mod telemetry;
pub mod token;
pub mod webhook;
pub mod xml;
pub mod yaml;
