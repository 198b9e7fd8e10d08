//! The HTTPS server that kube-apiserver asks.
//!
//! ```text
//! listener ── TLS ──▶ router ──▶ token_review ── token ──▶ Authenticator ── Outcome ──▶ answer ──▶ HTTP
//!                        │ /validate/aws-auth, /metrics, /healthz, /readyz
//! ```
//!
//! [`certificate`] has what the listener shows its clients, and what `/authenticate` wants to be shown.
//! [`answer`] is the one place where an outcome becomes an HTTP answer.

pub mod admission;
pub mod answer;
pub mod body;
pub mod certificate;
mod connections;
pub mod health;
pub mod kubeconfig;
pub mod listener;
pub mod probe;
pub mod router;
pub mod status;
pub mod token_review;

pub use connections::Arriving;
