//! The programs that are measured, each a process of its own, with the STS emulator as their STS; and what they cost.
//!
//! ```text
//! Settings ──▶ Server::arngate         --sts-connect-to        ──▶ StsThread   the emulator, on a runtime of
//!         └──▶ Server::authenticator   HTTPS_PROXY, CONNECT    ──▶             its own: its CPU is told apart
//! Usage ◀── /proc/PID, /proc/self/task
//! ```
mod readyz;
mod server;
mod sts_thread;
mod usage;

pub use readyz::{Readiness, Readyz, ReadyzError};
pub use server::{Limits, Server, ServerError, Settings};
pub use sts_thread::{StsThread, StsThreadError};
pub use usage::{ThreadCpu, Usage, UsageError};
