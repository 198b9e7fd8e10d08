//! arngate: an IAM authenticator for Kubernetes.
//!
//! A kube-apiserver asks it, over HTTPS, who a bearer token is. The modules stand in the order in which a
//! request passes them:
//!
//! 1. [`webhook`] takes the TokenReview in, and in the end makes the outcome an HTTP answer;
//! 2. [`token`] parses the token, a presigned STS GetCallerIdentity URL, into a typed request;
//! 3. [`sts`] knows STS's endpoints and sends that request;
//! 4. [`identity`] reads the ARN that comes back into a principal;
//! 5. [`mapping`] looks the principal up in an index in memory, and renders username and groups.
//!
//! Beside that path, [`source`] watches Kubernetes and files and swaps new indexes in, [`config`] makes one
//! validated value of file, flags and environment, [`telemetry`] logs and counts, and [`cli`] has a file for
//! each command.
pub mod cli;
pub mod config;
pub mod identity;
pub mod mapping;
pub mod source;
pub mod sts;
pub mod telemetry;
pub mod token;
pub mod webhook;
