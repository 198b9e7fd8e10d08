//! deploy/monitoring/dashboard.json, drawn without Grafana: each panel's queries asked of a Prometheus, and what comes
//! back as a page.
//!
//! ```text
//! dashboard.json ─▶ file: rows, panels, queries ─┐
//! Prometheus ─────▶ prometheus: series ──────────┴▶ page
//! ```
//!
//! It shows that a query finds something, and roughly what people see; colours and layout are Grafana's business.

pub mod cli;
mod file;
mod page;
mod prometheus;

pub use file::{Dashboard, FileError, Panel, PanelKind, Query, Row, Variables};
pub use page::render;
pub use prometheus::{Prometheus, PrometheusError, Series, Span};
