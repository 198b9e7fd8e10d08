//! arngate at work on this machine alone: no AWS account, no cluster.
//!
//! ```text
//!   token of a role, a user, a stranger ── TokenReview ──▶ arngate ── GetCallerIdentity ──▶ STS emulator
//!                                                             ▲
//!   aws-auth, edited half way ── watch ───────────────────────┘
//! ```
//!
//! `stage` sets it up, `script` is what `demo` plays on it, `up` leaves it standing.

mod reviewer;
mod script;
mod stage;
mod up;

pub use script::run as run_demo;
pub use up::{Args as UpArgs, run as run_up};
