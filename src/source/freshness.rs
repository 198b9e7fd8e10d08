//! How old a change was when it was put in force.

use jiff::{SignedDuration, Timestamp};

use crate::{telemetry::Metrics, yaml::Node};

use super::json;

/// Counts how long each change took, but for the first content: that is as old as it is, not late.
#[derive(Debug)]
pub(super) struct Freshness {
    kind: &'static str,
    is_first: bool,
}

impl Freshness {
    /// `kind` is the metric's label.
    pub(super) const fn new(kind: &'static str) -> Self {
        Self { kind, is_first: true }
    }

    /// Counts a change that is in force since `now`.
    pub(super) fn loaded(&mut self, fields: &[(Node, Node)], now: Timestamp, metrics: &Metrics) {
        if std::mem::replace(&mut self.is_first, false) {
            return;
        }
        let version = json::text(fields, "Version").unwrap_or_default();
        if let Some(latency) = age(fields, now) {
            metrics.dynamic_latency(self.kind, latency);
            tracing::info!(kind = self.kind, version, ?latency, "in force");
        } else {
            tracing::warn!(
                kind = self.kind,
                version,
                "LastUpdatedDateTime is no past time in seconds since 1970; how long the change took is not known"
            );
        }
    }
}

fn age(fields: &[(Node, Node)], now: Timestamp) -> Option<std::time::Duration> {
    let seconds = json::text(fields, "LastUpdatedDateTime")?.parse().ok()?;
    let since = Timestamp::from_second(seconds).ok()?.duration_until(now);
    // The maker writes whole seconds.
    std::time::Duration::try_from(since.max(SignedDuration::from_secs(-1))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_a_past_time_in_seconds() {
        let now = Timestamp::from_second(1_000).unwrap();
        for (json, wanted) in [
            (r#"{"LastUpdatedDateTime": "990"}"#, Some(10)),
            (r#"{"LastUpdatedDateTime": "1001"}"#, None),
            (r#"{"LastUpdatedDateTime": "yesterday"}"#, None),
            ("{}", None),
        ] {
            let fields = json::fields(json.as_bytes()).unwrap();
            assert_eq!(age(&fields, now).map(|age| age.as_secs()), wanted, "{json}");
        }
    }
}
