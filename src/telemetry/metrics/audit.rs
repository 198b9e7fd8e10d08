use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::{Metrics, NAMESPACE};

/// The figures about the audit log.
#[derive(Clone)]
pub(crate) struct AuditMetrics {
    written: IntCounter,
    suppressed: IntCounter,
    queue_full: IntCounter,
    write_failed: IntCounter,
    failures: IntCounter,
}

impl std::fmt::Debug for AuditMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditMetrics")
    }
}

impl AuditMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let records = IntCounterVec::new(
            opts(
                "audit_records_total",
                "Decisions by what became of their record in the audit log: written, or only counted there since there \
                 were too many denials of the same reason (suppressed), since the queue was full (queue_full), or \
                 since it could not be written (write_failed).",
            ),
            &["result"],
        )?;
        registry.register(Box::new(records.clone()))?;
        let failures = IntCounter::with_opts(opts(
            "audit_write_failures_total",
            "Times that the audit log could not be opened or written.",
        ))?;
        registry.register(Box::new(failures.clone()))?;
        let result = |label: &str| records.with_label_values(&[label]);
        Ok(Self {
            written: result("written"),
            suppressed: result("suppressed"),
            queue_full: result("queue_full"),
            write_failed: result("write_failed"),
            failures,
        })
    }

    pub(crate) fn written(&self) {
        self.written.inc();
    }

    pub(crate) fn suppressed(&self) {
        self.suppressed.inc();
    }

    pub(crate) fn queue_full(&self) {
        self.queue_full.inc();
    }

    pub(crate) fn write_failed(&self) {
        self.write_failed.inc();
    }

    /// Counts a time that the audit log could not be opened or written.
    pub(crate) fn failure(&self) {
        self.failures.inc();
    }
}

impl Metrics {
    /// What the audit log counts into.
    pub(crate) const fn audit(&self) -> &AuditMetrics {
        &self.audit
    }
}
