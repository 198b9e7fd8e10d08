//! What happens when something that arngate needs fails: for each fault what kube-apiserver is told, that nobody is let in
//! whom STS and a mapping do not vouch for, and how long it takes until all is well again once the fault is over. The
//! rows are printed, and those of one run stand in docs/faults.md.
//!
//! ```text
//! asking (kube-apiserver's part) ─▶ arngate ─▶ line ─▶ STS emulator, aws-auth's API     each can fail
//!                                      ├─▶ a state directory of its own (namespace)
//!                                      └─▶ a clock of its own (libfaketime)
//! ```

#[path = "../support/mod.rs"]
mod support;

mod api_server;
mod asking;
mod clock;
mod disk;
mod flood;
mod line;
mod memory;
mod namespace;
mod process;
mod sts;
mod table;
