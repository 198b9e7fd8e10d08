//! What arngate is tried with.
//!
//! - [`control_plane`]: a real etcd and kube-apiserver on this machine.
//! - [`sts`]: an STS emulator that checks `SigV4` for real, and a CONNECT proxy for STS's host names.
pub mod control_plane;
pub mod sts;
