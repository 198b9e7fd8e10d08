//! How long arngate takes from its start until it can tell who anybody is.
//!
//! ```text
//! ConfigMapApi ─▶ arngate, once ─▶ certificate, snapshot on disk
//!                                        │
//!        for each run:  spawn ─▶ connection taken ─▶ first verdict ─▶ /readyz
//!                                        │
//!          with an API server that answers, and with none: then the snapshot is what verdicts come of
//! ```
//!
//! Times are from the moment before the process is started, as whoever waits for it sees them: a TLS handshake and, for
//! the verdict, a call to the STS emulator are in them.
pub mod cli;
mod measure;

pub use measure::{Milestones, StartError, Starts};
