use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{Metrics, NAMESPACE};
use crate::ec2::{Failure, Lookup};

/// The figures about EC2.
#[derive(Clone)]
pub(super) struct Ec2Metrics {
    calls: IntCounter,
    failures: IntCounterVec,
    lookups: IntCounterVec,
    names: IntGauge,
}

impl Ec2Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace(NAMESPACE);
        let metrics = Self {
            calls: IntCounter::with_opts(opts(
                "ec2_describe_instances_calls_total",
                "Calls of ec2:DescribeInstances, repetitions included.",
            ))?,
            failures: IntCounterVec::new(
                opts(
                    "ec2_describe_instances_failures_total",
                    "Calls of ec2:DescribeInstances that failed, or were not made for our own limit, by reason.",
                ),
                &["reason"],
            )?,
            lookups: IntCounterVec::new(
                opts(
                    "ec2_name_lookups_total",
                    "Look-ups of instances' private DNS names, by how they were met.",
                ),
                &["result"],
            )?,
            names: IntGauge::with_opts(opts("ec2_names", "Instances' private DNS names remembered."))?,
        };
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.lookups.clone()))?;
        registry.register(Box::new(metrics.names.clone()))?;
        Ok(metrics)
    }
}

impl Metrics {
    /// Counts a call of DescribeInstances.
    pub fn ec2_call(&self) {
        self.ec2.calls.inc();
    }

    /// Counts a call of DescribeInstances that told nothing, or that was not made.
    pub fn ec2_failure(&self, failure: Failure) {
        self.ec2.failures.with_label_values(&[failure.label()]).inc();
    }

    /// Counts a look-up of an instance's name.
    pub(crate) fn ec2_lookup(&self, lookup: Lookup) {
        self.ec2.lookups.with_label_values(&[lookup.label()]).inc();
    }

    /// Shows how many instances' names are remembered.
    pub fn ec2_names(&self, names: usize) {
        self.ec2.names.set(i64::try_from(names).unwrap_or(i64::MAX));
    }
}
