//! One record a decision: a line of the process's log, and a line of the audit log where there is one.
//!
//! ```text
//! Review, Decision ─▶ Record: what may be told ─┬─▶ log: a line of the process's log
//!                                               └─▶ Recorder: sampler ─▶ line ─▶ queue
//!                                                                                  │ (never waits)
//!        file, stdout ◀─ sink ◀─ writer: batches, gaps ◀─ AuditLog, a task ◀───────┘
//! ```
//!
//! The audit log never holds up an answer, and never makes one wrong: what does not fit into the queue, or cannot be
//! written, is counted, in the metrics and by a line of its own once there can be one. Every decision is either a
//! line, or counted in one: in `suppressed` of a later decision, or in `count` of a gap. docs/audit-log.md has the
//! schema.

mod line;
mod log;
mod queue;
mod record;
mod sampler;
mod sink;
mod trouble;
mod writer;

use std::{fmt, num::NonZeroU32, path::PathBuf};

pub use queue::{AuditLog, Recorder};
pub use record::{RequestId, RequestIds, Review};

use crate::authenticator::Decision;

/// What the configuration says of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where it is written to.
    pub destination: Destination,
    /// How many decisions other than to let somebody in are written a second, of each reason; the others are
    /// counted. `None` where all are written.
    pub denials_per_second: Option<NonZeroU32>,
}

impl AuditSettings {
    /// How many denials of each reason are written a second where nobody says otherwise.
    pub const DEFAULT_DENIALS_PER_SECOND: u32 = 10;
}

/// Where the audit log is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The file at this path.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl From<PathBuf> for Destination {
    /// `-` is standard output, as in kube-apiserver's `--audit-log-path`.
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdout } else { Self::File(path) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("-"),
        }
    }
}

/// Tells of one decision: the process's log, and the audit log where there is one.
pub fn record(review: Review, decision: &Decision, audit: Option<&Recorder>) {
    if audit.is_none() && !log::is_on() {
        return;
    }
    let record = record::Record::of(review, decision);
    log::tell(&record);
    if let Some(audit) = audit {
        audit.record(&record);
    }
}
