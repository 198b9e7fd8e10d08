mod audit;
mod ec2;
mod listener;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

pub(crate) use self::audit::AuditMetrics;
pub use self::listener::{CertificateKind, Closed};
use self::{ec2::Ec2Metrics, listener::ListenerMetrics};
use prometheus::{
    CounterVec, Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::VerifierMetrics;
use crate::{
    mapping::{BackendMode, Snapshot},
    outcome::Outcome,
    sts::{NoVerdict, StsError},
    webhook::admission::Verdict,
};

/// Everything that `/metrics` shows. Cloning is cheap; clones count into the same figures.
///
/// Names and labels that aws-iam-authenticator has are kept, with its prefix, so that dashboards and alerts go
/// on; new ones stand beside them in the same style. Every label comes from a closed set.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    latency: HistogramVec,
    decisions: IntCounterVec,
    sts_responses: IntCounterVec,
    sts_connection_failures: IntCounterVec,
    sts_throttling: IntCounterVec,
    sts_latency: HistogramVec,
    watch_failures: IntCounter,
    crd_watch_failures: IntCounter,
    crd_status_writes: IntCounterVec,
    ec2: Ec2Metrics,
    listener: ListenerMetrics,
    dynamic_file_failures: IntCounter,
    dynamic_latency: HistogramVec,
    dynamic_file_enabled: IntGauge,
    dynamic_file_only: IntGauge,
    backend_loaded: IntGaugeVec,
    mappings: IntGaugeVec,
    diagnostics: IntGaugeVec,
    entries: IntGaugeVec,
    entries_invalid: IntGaugeVec,
    entries_kept: IntGaugeVec,
    last_good_load: IntGaugeVec,
    restored: IntGaugeVec,
    /// In seconds since 1970, by backend; 0 while there is no snapshot of it on disk.
    snapshots_confirmed_at: Arc<[(BackendMode, AtomicI64); 2]>,
    snapshot_confirmed: IntGaugeVec,
    snapshot_age: IntGaugeVec,
    snapshot_write_failures: IntCounter,
    event_failures: IntCounter,
    admission_reviews: IntCounterVec,
    verifier: VerifierMetrics,
    audit: AuditMetrics,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// What came of writing an IAMIdentityMapping's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWrite {
    /// It was written.
    Written,
    /// The object had changed or gone meanwhile.
    Outdated,
    /// It could not be written.
    Failed,
}

impl StatusWrite {
    const fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Outdated => "outdated",
            Self::Failed => "failed",
        }
    }
}

pub(super) const NAMESPACE: &str = "aws_iam_authenticator";

impl Metrics {
    /// New figures, all zero.
    ///
    /// # Panics
    /// Never: names and labels are constants, each registered once in a registry made here.
    #[must_use]
    #[expect(
        clippy::unreachable,
        reason = "names and labels are constants, each registered once in a registry made here; every test that \
                  makes a server would fail otherwise"
    )]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|error| unreachable!("metric definitions are constants: {error}"))
    }

    #[expect(clippy::too_many_lines, reason = "one definition after the other")]
    fn try_new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(opts(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(opts(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let histograms = HistogramVec::new(HistogramOpts::from(opts(name, help)), labels)?;
            registry.register(Box::new(histograms.clone()))?;
            Ok::<_, prometheus::Error>(histograms)
        };
        let watch_failures = IntCounter::with_opts(opts(
            "configmap_watch_failures_total",
            "Failures to list or watch the aws-auth ConfigMap.",
        ))?;
        registry.register(Box::new(watch_failures.clone()))?;
        let crd_watch_failures = IntCounter::with_opts(opts(
            "crd_watch_failures_total",
            "Failures to list or watch IAMIdentityMappings, other than that the cluster has no such kind.",
        ))?;
        registry.register(Box::new(crd_watch_failures.clone()))?;
        let dynamic_file_failures = IntCounter::with_opts(opts(
            "dynamicfile_failures_total",
            "Times that a file of mappings or of backends could not be read or watched.",
        ))?;
        registry.register(Box::new(dynamic_file_failures.clone()))?;
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let dynamic_latency = HistogramVec::new(
            HistogramOpts::from(opts(
                "dynamic_e2e_latency_seconds",
                "Time from a file's LastUpdatedDateTime until it was in force, by type of file.",
            ))
            .buckets(vec![1.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0]),
            &["type"],
        )?;
        registry.register(Box::new(dynamic_latency.clone()))?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        registry.register(Box::new(build_info()?))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            verifier: VerifierMetrics::register(&registry)?,
            audit: AuditMetrics::register(&registry)?,
            latency: histograms(
                "authenticate_latency_seconds",
                "Time to answer a TokenReview.",
                &["result"],
            )?,
            decisions: counters(
                "decisions_total",
                "TokenReviews answered, by outcome and reason.",
                &["outcome", "reason"],
            )?,
            sts_responses: counters(
                "sts_responses_total",
                "Answers of STS, by HTTP status.",
                &["ResponseCode", "StsRegion"],
            )?,
            sts_connection_failures: counters(
                "sts_connection_failures_total",
                "STS calls that failed to connect, broke or timed out.",
                &["StsRegion"],
            )?,
            sts_throttling: counters(
                "sts_throttling_total",
                "STS calls that STS throttled.",
                &["StsRegion"],
            )?,
            sts_latency: histograms("sts_latency_seconds", "Time that STS calls took.", &["StsRegion"])?,
            ec2: Ec2Metrics::register(&registry)?,
            listener: ListenerMetrics::register(&registry)?,
            backend_loaded: gauges(
                "backend_loaded",
                "1 once the backend has loaded its mappings, 0 before.",
                &["backend"],
            )?,
            mappings: gauges("mappings", "Mappings in force, by backend.", &["backend"])?,
            diagnostics: gauges(
                "mapping_diagnostics",
                "What is wrong or odd in the backend's mappings as last seen.",
                &["backend", "severity"],
            )?,
            entries: gauges("mapping_entries", "Mappings in force, by kind.", &["backend", "kind"])?,
            entries_invalid: gauges(
                "mapping_entries_invalid",
                "Entries that are there, but invalid.",
                &["backend"],
            )?,
            entries_kept: gauges(
                "mapping_entries_kept",
                "Mappings in force that were kept from what was last good.",
                &["backend"],
            )?,
            last_good_load: gauges(
                "mappings_last_good_load_timestamp_seconds",
                "When the backend last loaded mappings of which none was invalid, in seconds since 1970.",
                &["backend"],
            )?,
            restored: gauges(
                "mappings_restored",
                "1 while the backend serves what an earlier run saw last, 0 otherwise.",
                &["backend"],
            )?,
            snapshots_confirmed_at: Arc::new(
                [BackendMode::EksConfigMap, BackendMode::Crd].map(|backend| (backend, AtomicI64::new(0))),
            ),
            snapshot_confirmed: gauges(
                "snapshot_confirmed_timestamp_seconds",
                "When the mappings in the snapshot on disk were last known to be in force, in seconds since 1970.",
                &["backend"],
            )?,
            snapshot_age: gauges(
                "snapshot_age_seconds",
                "How long ago the mappings in the snapshot on disk were last known to be in force.",
                &["backend"],
            )?,
            snapshot_write_failures: counter(
                "snapshot_write_failures_total",
                "Times that the snapshot could not be written to disk.",
            )?,
            event_failures: counter(
                "event_failures_total",
                "Events on the ConfigMap that the API server did not take.",
            )?,
            admission_reviews: counters(
                "admission_reviews_total",
                "Edits of aws-auth that were looked at before they were made, by what was said.",
                &["verdict"],
            )?,
            dynamic_file_enabled: gauge(
                "dynamic_file_enabled",
                "1 while DynamicFile is one of several backends, 0 otherwise.",
            )?,
            dynamic_file_only: gauge(
                "dynamic_file_only",
                "1 while DynamicFile is the only backend, 0 otherwise.",
            )?,
            dynamic_file_failures,
            dynamic_latency,
            crd_status_writes: counters(
                "crd_status_writes_total",
                "Writes of IAMIdentityMappings' status, by what came of them.",
                &["result"],
            )?,
            crd_watch_failures,
            watch_failures,
            registry,
        })
    }

    /// Counts a decision.
    pub fn decision(&self, outcome: &Outcome, duration: Duration) {
        self.latency.with_label_values(&[outcome.legacy_result()]).observe(duration.as_secs_f64());
        self.decisions.with_label_values(&[outcome.label(), outcome.reason()]).inc();
    }

    /// Counts a request that is no TokenReview.
    pub fn malformed_request(&self, duration: Duration) {
        self.latency.with_label_values(&["malformed_request"]).observe(duration.as_secs_f64());
        self.decisions.with_label_values(&["refused", "malformed_request"]).inc();
    }

    /// Counts an answer of STS. `region` is one of the endpoints' labels.
    pub fn sts_response(&self, region: &str, status: u16) {
        self.sts_responses.with_label_values(&[&status.to_string(), region]).inc();
    }

    /// Counts a call of STS that has ended, however it did.
    pub fn sts_call<T>(&self, region: &str, duration: Duration, result: &Result<T, StsError>) {
        self.sts_latency.with_label_values(&[region]).observe(duration.as_secs_f64());
        match result {
            Err(StsError::NoVerdict(NoVerdict::Throttled)) => {
                self.sts_throttling.with_label_values(&[region]).inc();
            }
            Err(StsError::NoVerdict(NoVerdict::Connect | NoVerdict::Timeout | NoVerdict::Transport)) => {
                self.sts_connection_failures.with_label_values(&[region]).inc();
            }
            _ => {}
        }
    }

    /// What the verifier counts into.
    pub(crate) const fn verifier(&self) -> &VerifierMetrics {
        &self.verifier
    }

    /// Counts a failed list or watch of aws-auth.
    pub fn watch_failure(&self) {
        self.watch_failures.inc();
    }

    /// Counts a failed list or watch of IAMIdentityMappings.
    pub fn crd_watch_failure(&self) {
        self.crd_watch_failures.inc();
    }

    /// Counts a write of an IAMIdentityMapping's status.
    pub fn crd_status_write(&self, result: StatusWrite) {
        self.crd_status_writes.with_label_values(&[result.label()]).inc();
    }

    /// Counts that a file of mappings or of backends could not be read or watched.
    pub fn dynamic_file_failure(&self) {
        self.dynamic_file_failures.inc();
    }

    /// Counts how long a change of a file took from its maker's clock to here. `kind` is a constant.
    pub fn dynamic_latency(&self, kind: &'static str, latency: Duration) {
        self.dynamic_latency.with_label_values(&[kind]).observe(latency.as_secs_f64());
    }

    /// Shows what part DynamicFile has in the chain `modes`.
    pub fn chain(&self, modes: &[BackendMode]) {
        let only = modes == [BackendMode::DynamicFile];
        self.dynamic_file_only.set(only.into());
        self.dynamic_file_enabled.set((!only && modes.contains(&BackendMode::DynamicFile)).into());
    }

    /// Shows no longer a backend that is none any more.
    pub fn backend_removed(&self, backend: BackendMode) {
        // A gauge that was never set is not there, and need not be removed.
        let _ = self.backend_loaded.remove_label_values(&[backend.name()]);
        self.set_confirmed_at(backend, 0);
        for gauges in [
            &self.mappings,
            &self.entries_invalid,
            &self.entries_kept,
            &self.last_good_load,
            &self.restored,
            &self.snapshot_confirmed,
            &self.snapshot_age,
        ] {
            let _ = gauges.remove_label_values(&[backend.name()]);
        }
        for (kind, _) in Snapshot::empty().index().by_kind() {
            let _ = self.entries.remove_label_values(&[backend.name(), kind]);
        }
        for severity in ["error", "warning"] {
            let _ = self.diagnostics.remove_label_values(&[backend.name(), severity]);
        }
    }

    /// Shows a backend that has not loaded yet.
    pub fn backend_waiting(&self, backend: BackendMode) {
        self.backend_loaded.with_label_values(&[backend.name()]).set(0);
    }

    /// Shows what a backend has in force now.
    pub fn backend_loaded(&self, backend: BackendMode, mappings: usize, errors: usize, warnings: usize) {
        let set = |gauges: &IntGaugeVec, labels: &[&str], value: usize| {
            gauges.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let backend = backend.name();
        set(&self.backend_loaded, &[backend], 1);
        set(&self.mappings, &[backend], mappings);
        set(&self.diagnostics, &[backend, "error"], errors);
        set(&self.diagnostics, &[backend, "warning"], warnings);
    }

    /// Shows the snapshot that a backend has put in force at `now`.
    pub fn snapshot_in_force(&self, backend: BackendMode, snapshot: &Snapshot, now: Timestamp) {
        let set = |gauges: &IntGaugeVec, labels: &[&str], value: usize| {
            gauges.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let (backend, figures) = (backend.name(), snapshot.figures());
        for (kind, count) in snapshot.index().by_kind() {
            set(&self.entries, &[backend, kind], count);
        }
        set(&self.entries_invalid, &[backend], figures.invalid);
        set(&self.entries_kept, &[backend], figures.kept);
        if figures.errors == 0 {
            self.last_good_load.with_label_values(&[backend]).set(now.as_second());
        }
    }

    /// Shows whether a backend serves what an earlier run saw last.
    pub fn restored(&self, backend: BackendMode, restored: bool) {
        self.restored.with_label_values(&[backend.name()]).set(restored.into());
    }

    /// Shows that the snapshot of a backend on disk was known to be in force at `confirmed_at`.
    pub fn snapshot_kept(&self, backend: BackendMode, confirmed_at: Timestamp) {
        self.set_confirmed_at(backend, confirmed_at.as_second());
    }

    fn set_confirmed_at(&self, backend: BackendMode, seconds: i64) {
        for (_, confirmed_at) in self.snapshots_confirmed_at.iter().filter(|(of, _)| *of == backend) {
            confirmed_at.store(seconds, Ordering::Relaxed);
        }
    }

    /// Counts a snapshot that could not be written.
    pub fn snapshot_write_failure(&self) {
        self.snapshot_write_failures.inc();
    }

    /// Counts an edit that was looked at before it was made.
    pub fn admission_review(&self, verdict: Verdict) {
        self.admission_reviews.with_label_values(&[verdict.label()]).inc();
    }

    /// Counts an event that the API server did not take.
    pub fn event_failure(&self) {
        self.event_failures.inc();
    }

    /// The text that Prometheus scrapes at `now`, with its content type.
    ///
    /// # Errors
    /// Where a figure cannot be written, which is a bug.
    pub fn render(&self, now: Timestamp) -> Result<(Vec<u8>, String), prometheus::Error> {
        // Before there is a snapshot on disk there are no figures of it.
        for (backend, confirmed) in self.snapshots_confirmed_at.iter() {
            let confirmed = confirmed.load(Ordering::Relaxed);
            if confirmed != 0 {
                let age = (now.as_second() - confirmed).max(0);
                self.snapshot_confirmed.with_label_values(&[backend.name()]).set(confirmed);
                self.snapshot_age.with_label_values(&[backend.name()]).set(age);
            }
        }
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        Ok((text, encoder.format_type().to_owned()))
    }
}

fn build_info() -> Result<CounterVec, prometheus::Error> {
    let opts = Opts::new("build_info", "1, with the program's name and version.").namespace(NAMESPACE);
    let build = CounterVec::new(opts, &["program", "version"])?;
    build.with_label_values(&["arngate", env!("CARGO_PKG_VERSION")]).inc();
    Ok(build)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
