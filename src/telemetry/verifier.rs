use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::NAMESPACE;
use crate::sts::{Lane, ShedReason, Source};

/// What the verifier shows of itself. Cloning is cheap; clones count into the same figures.
#[derive(Clone)]
pub(crate) struct VerifierMetrics {
    verified: IntCounterVec,
    identities: IntGauge,
    denials: IntGauge,
    shed: IntCounterVec,
    circuits_open: IntGaugeVec,
    known: LaneGauges,
    stranger: LaneGauges,
}

/// The gauges of one lane, looked up once.
#[derive(Clone)]
struct LaneGauges {
    waiting: IntGauge,
    running: IntGauge,
    share: Gauge,
}

impl std::fmt::Debug for VerifierMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifierMetrics")
    }
}

impl VerifierMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
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
        let share = GaugeVec::new(
            opts(
                "sts_rate_share",
                "The part of the configured rate that STS's throttling has left, by lane.",
            ),
            &["lane"],
        )?;
        registry.register(Box::new(share.clone()))?;
        let waiting = gauges("sts_calls_waiting", "STS calls that wait for their turn, by lane.", &["lane"])?;
        let running = gauges("sts_calls_under_way", "STS calls under way, by lane.", &["lane"])?;
        let lane = |lane: Lane| {
            let share = share.with_label_values(&[lane.label()]);
            share.set(1.0);
            LaneGauges {
                waiting: waiting.with_label_values(&[lane.label()]),
                running: running.with_label_values(&[lane.label()]),
                share,
            }
        };
        let entries = gauges("sts_cache_entries", "What is remembered of STS's answers.", &["kind"])?;
        Ok(Self {
            verified: counters(
                "sts_cache_lookups_total",
                "Tokens by where their verdict came from: remembered (hit), shared with a review at the same \
                 time (shared), or asked for (miss).",
                &["result"],
            )?,
            identities: entries.with_label_values(&["identity"]),
            denials: entries.with_label_values(&["denial"]),
            shed: counters(
                "sts_calls_shed_total",
                "STS calls that were not made, by reason and lane.",
                &["reason", "lane"],
            )?,
            circuits_open: gauges(
                "sts_circuits_open",
                "STS hosts of the region that are asked only from time to time, since they cannot be reached.",
                &["StsRegion"],
            )?,
            known: lane(Lane::Known),
            stranger: lane(Lane::Stranger),
        })
    }

    pub(crate) fn verified(&self, source: Source) {
        self.verified.with_label_values(&[source.label()]).inc();
    }

    pub(crate) fn cached(&self, identities: usize, denials: usize) {
        self.identities.set(i64::try_from(identities).unwrap_or(i64::MAX));
        self.denials.set(i64::try_from(denials).unwrap_or(i64::MAX));
    }

    /// Counts a call that is not made.
    pub(crate) fn shed(&self, reason: ShedReason, lane: Lane) {
        self.shed.with_label_values(&[reason.label(), lane.label()]).inc();
    }

    pub(crate) fn lane(&self, lane: Lane, waiting: usize, running: usize, share: f64) {
        let gauges = match lane {
            Lane::Known => &self.known,
            Lane::Stranger => &self.stranger,
        };
        gauges.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        gauges.running.set(i64::try_from(running).unwrap_or(i64::MAX));
        gauges.share.set(share);
    }

    pub(crate) fn circuit_opened(&self, region: &str) {
        self.circuits_open.with_label_values(&[region]).inc();
    }

    pub(crate) fn circuit_closed(&self, region: &str) {
        self.circuits_open.with_label_values(&[region]).dec();
    }
}
