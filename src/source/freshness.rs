//! How old a change was when it was put in force.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{telemetry::Metrics, yaml::Node};

use super::json;

/// Counts how long each change took, but for the first content: that is as old as it is, not late.
#[derive(Debug)]
pub(super) struct Freshness {
    kind: &'static str,
    is_first: bool,
}

/// What a file says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    version: String,
    updated: Option<Timestamp>,
}

impl Stamp {
    /// What these fields say.
    pub(super) fn of(fields: &[(Node, Node)]) -> Self {
        let seconds = json::text(fields, "LastUpdatedDateTime").and_then(|text| text.parse().ok());
        Self {
            version: json::text(fields, "Version").unwrap_or_default().to_owned(),
            updated: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        }
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        // The maker writes whole seconds.
        Duration::try_from(self.updated?.duration_until(now).max(SignedDuration::from_secs(-1))).ok()
    }
}

impl Freshness {
    /// `kind` is the metric's label.
    pub(super) const fn new(kind: &'static str) -> Self {
        Self { kind, is_first: true }
    }

    /// Counts a change that is in force since `now`.
    pub(super) fn loaded(&mut self, stamp: &Stamp, now: Timestamp, metrics: &Metrics) {
        if std::mem::replace(&mut self.is_first, false) {
            return;
        }
        let version = &stamp.version;
        if let Some(latency) = stamp.age(now) {
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
            assert_eq!(Stamp::of(&fields).age(now).map(|age| age.as_secs()), wanted, "{json}");
        }
    }
}
