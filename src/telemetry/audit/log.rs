use super::record::{Asked, Caller, Given, Record};

/// The target of these lines.
const TARGET: &str = "arngate::audit";

/// Whether the process's log shows decisions.
pub(super) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// Tells the process's log of a decision.
pub(super) fn tell(record: &Record<'_>) {
    if !is_on() {
        return;
    }
    let Record { review, outcome, scrubbed: _, access_key_id, principal, user, mapping, sts } = record;
    let Given { username, uid, groups } =
        user.as_ref().unwrap_or(&Given { username: None, uid: None, groups: None });
    let groups = groups.map(|groups| groups.join(","));
    let origin = mapping.as_ref().and_then(|mapping| mapping.origin);
    let (arn, canonical_arn) = principal
        .as_ref()
        .map(|Caller { arn, canonical_arn, .. }| (arn.as_str(), canonical_arn.as_str()))
        .unzip();
    let (host, source) = sts.as_ref().map(|Asked { host, source, .. }| (*host, source.label())).unzip();
    tracing::info!(
        target: TARGET,
        request_id = %review.id,
        client = %review.client,
        decision = outcome.label(),
        reason = outcome.reason(),
        detail = (!record.is_granted()).then(|| outcome.message()),
        arn,
        canonical_arn,
        access_key_id,
        username,
        uid,
        groups,
        backend = mapping.as_ref().map(|mapping| tracing::field::display(mapping.backend)),
        entry = origin.map(tracing::field::display),
        sts_host = host,
        sts_cache = source,
        duration_ms = record.duration_ms(),
        "token review"
    );
}
