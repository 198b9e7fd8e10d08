//! Loads token verification: a webhook as kube-apiserver asks it, or a kube-apiserver in front of one.
//!
//! ```text
//! Population ─▶ Source, Mix ─▶ Supply      a thread that signs ahead
//!                                 │
//! Schedule (fixed ahead) ────▶ run ─▶ Client ─HTTP/2─▶ Target      guard: never AWS STS, nor by way of a webhook
//!                                 │
//!                                 ▼
//!                              Recorder ─▶ Recording ─▶ Report      text, JSON, a page with plots
//! ```
//!
//! In the open model every request has its planned start before the first is sent, and its latency counts from
//! there. A server that stalls is charged for all who would have come meanwhile (no coordinated omission), and so is
//! a generator that is late: how late it was is in the report.
mod answer;
pub mod cli;
mod client;
mod guard;
mod kubeconfig;
mod mix;
mod population;
mod progress;
mod recording;
pub(crate) mod report;
mod run;
mod scene;
mod schedule;
mod seconds;
mod session;
mod sts_view;
mod target;
mod tls;
mod tokens;

pub use answer::AnswerKind;
pub use client::{Client, SendError};
pub use guard::{GuardError, probe};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use mix::{Mix, MixError, TokenClass};
pub use population::{Counts, Population, TooFewMappings};
pub use progress::Progress;
pub use recording::{ClassRecording, Interval, Recorder, Recording};
pub(crate) use report::grouped;
pub use report::{
    About, AnswerCount, ClassReport, CurvePoint, GeneratorReport, IntervalReport, Percentiles, Report,
    StsReport, page,
};
pub use run::{Arrivals, run};
pub(crate) use scene::{arngate_beside, webhook_of};
pub use schedule::{Schedule, ScheduleError, Spacing, Stage, UnknownStage};
pub use session::{Session, SessionError};
pub use sts_view::{StsView, StsViewError};
pub use target::{Location, ReviewVersion, Target, TargetError, Via};
pub use tls::TlsError;
pub use tokens::{Prepared, Source, Supply, TokenError, distinct};
