//! How much of arngate a cluster needs: a model, and the measurements that it is fed with.
//!
//! ```text
//! Cluster, Settings, Sts ─▶ model ─▶ Forecast ─▶ advice ─▶ text, JSON
//!                             ▲
//!                           Costs ◀── measure ◀── arngate, StsThread, load
//! ```
//!
//! The model is of pure functions. What it knows of kube-apiserver and of client-go is in [`Cluster`], what of arngate
//! in [`Settings`] and [`Costs`], what of AWS in [`Sts`]. docs/capacity.md explains it, and says how far it was off.
mod advice;
pub mod cli;
mod cluster;
mod costs;
mod measure;
mod model;
mod text;

pub use cluster::{Cluster, Settings, Sts};
pub use costs::Costs;
pub use measure::{Calibration, Effort, measure};
pub use model::{Calls, Comeback, Forecast, Limit, Load, Memory, Question, forecast};
