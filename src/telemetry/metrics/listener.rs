//! Connections and certificates.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{Metrics, NAMESPACE};

/// A certificate whose end is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// What clients are shown.
    Serving,
    /// What kube-apiserver trusts, where the server issues by it what clients are shown.
    Authority,
    /// The authority before its last renewal, which a kube-apiserver that was not restarted since trusts.
    PreviousAuthority,
    /// What the kubeconfig has kube-apiserver show.
    Client,
}

impl CertificateKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Authority => "authority",
            Self::PreviousAuthority => "previous_authority",
            Self::Client => "client",
        }
    }
}

/// Why the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// No request came in time.
    NothingAsked,
    /// Nothing was asked any more.
    Idle,
    /// Another one needed its place.
    NoRoom,
}

impl Closed {
    const fn label(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::NothingAsked => "nothing_asked",
            Self::Idle => "idle",
            Self::NoRoom => "no_room",
        }
    }
}

/// The figures of the listener.
#[derive(Clone)]
pub(super) struct ListenerMetrics {
    open: IntGauge,
    closed: IntCounterVec,
    expiry: IntGaugeVec,
    loads: IntCounterVec,
}

impl ListenerMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let metrics = Self {
            open: IntGauge::with_opts(opts("connections", "Connections that are open."))?,
            closed: IntCounterVec::new(
                opts("connections_closed_total", "Connections that the server ended, by why."),
                &["reason"],
            )?,
            expiry: IntGaugeVec::new(
                opts(
                    "certificate_expiry_timestamp_seconds",
                    "When a certificate ends, in seconds since 1970.",
                ),
                &["certificate"],
            )?,
            loads: IntCounterVec::new(
                opts("certificate_loads_total", "Certificates loaded or renewed while the server ran."),
                &["result"],
            )?,
        };
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.closed.clone()))?;
        registry.register(Box::new(metrics.expiry.clone()))?;
        registry.register(Box::new(metrics.loads.clone()))?;
        Ok(metrics)
    }
}

impl Metrics {
    /// Shows how many connections are open, by one more or less.
    pub fn connections(&self, change: i64) {
        self.listener.open.add(change);
    }

    /// Counts a connection that the server ended.
    pub fn connection_closed(&self, why: Closed) {
        self.listener.closed.with_label_values(&[why.label()]).inc();
    }

    /// Counts a TokenReview of a client that had to show a certificate, and did not.
    pub fn uncertified_request(&self, duration: Duration) {
        self.latency.with_label_values(&["malformed_request"]).observe(duration.as_secs_f64());
        self.decisions.with_label_values(&["refused", "no_client_certificate"]).inc();
    }

    /// Shows when a certificate ends; with `None`, that there is none of that kind.
    pub fn certificate_expiry(&self, kind: CertificateKind, until: Option<Timestamp>) {
        let labels = [kind.label()];
        match until {
            Some(until) => self.listener.expiry.with_label_values(&labels).set(until.as_second()),
            // One that was never set is not there, and need not be removed.
            None => drop(self.listener.expiry.remove_label_values(&labels)),
        }
    }

    /// Counts that certificates were loaded or renewed.
    pub fn certificate_loaded(&self) {
        self.listener.loads.with_label_values(&["loaded"]).inc();
    }

    /// Counts certificate files that could not be used.
    pub fn certificate_load_failed(&self) {
        self.listener.loads.with_label_values(&["failed"]).inc();
    }
}
