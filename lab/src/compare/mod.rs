//! arngate beside aws-iam-authenticator, on one machine, in one run.
//!
//! ```text
//! for each run, in turns:   Program ─▶ Server (1,000 mappings) ─▶ four loads ─▶ Figures
//!                                   └▶ Server (10,000 mappings) ─▶ one load ──▶    │
//!                                                                                  ▼
//!                                                              medians, spread, targets: Table
//! ```
//!
//! Both are asked by the same client over HTTP/2, as kube-apiserver asks, and have the same emulator as STS. Only one
//! of them runs at a time. Client and emulator share the CPUs with the server, so that a rate is that of all three
//! together; what says most of a server is its own CPU time for each verification, and the table gives that of the
//! client and the emulator beside it.
pub mod cli;
mod figures;
mod measure;
mod table;

pub use figures::{Figures, LoadFigures};
pub use measure::{MeasureError, Measurement, Program};
pub use table::{Cost, Row, Runs, Spread, Table, Target};
