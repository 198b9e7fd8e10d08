//! What arngate tells of itself: logs, one audit record a decision, metrics.
//!
//! Nothing here takes part in a decision, and nothing here ever sees a token: the audit record is made from
//! parsed values that hold none.

mod audit;
mod diagnosis;
mod logs;
mod metrics;
mod verifier;

pub use audit::{AuditLog, AuditSettings, Destination, Recorder, RequestId, RequestIds, Review, record};
pub use diagnosis::{Diagnosis, Quotes};
pub use logs::{LogFormat, Verbosity, init};
pub use metrics::{CertificateKind, Closed, Metrics, StatusWrite};
pub(crate) use verifier::VerifierMetrics;
