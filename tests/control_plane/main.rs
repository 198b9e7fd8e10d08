//! The whole way, with nothing imitated but AWS: a real kube-apiserver and etcd, real clients, the real binary.
//!
//! ```text
//! kubectl ── token of the AWS CLI, the Go client, boto3, arngate ──▶ kube-apiserver ──▶ arngate ──▶ STS emulator
//!                                                                         ▲               │
//!                                                                         └─ watch aws-auth ─┘
//! ```

mod aws_auth_admission;
mod aws_auth_edits;
mod aws_auth_events;
mod aws_auth_guide;
mod certificates;
mod clients;
mod cluster;
mod commands;
mod crd;
mod doctor;
mod documents;
mod editing;
mod edits;
mod helm;
mod init_files;
mod kubeadm;
mod manifests;
mod nodes;
mod objects_last_good;
mod pods;
mod proxies;
mod rbac;
mod refusals;
mod restarts;
mod retries;
mod service_access;
mod side_by_side;
#[path = "../support/mod.rs"]
mod support;
mod swap;
mod theirs;
