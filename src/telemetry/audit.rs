use std::{net::SocketAddr, time::Duration};

use crate::{
    authenticator::Decision,
    identity::{AccountId, Principal},
    outcome::Outcome,
    sts::Source,
    token::PresignedRequest,
};

/// What is known of the review itself.
#[derive(Debug, Clone, Copy)]
pub struct Review {
    /// A number that is this review's alone while the process runs.
    pub id: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// From the request's head to the decision.
    pub duration: Duration,
}

/// Writes the audit record of one decision.
pub fn record(review: Review, decision: &Decision) {
    let Decision { outcome, request, source, identity, mapped, scrubbed } = decision;
    let granted = matches!(outcome, Outcome::Authenticated(_));
    let account = identity.as_ref().map(|identity| identity.principal().account());
    let access_key_id = request.as_ref().map(PresignedRequest::access_key_id);
    // What a mapping gives a scrubbed account's principal is the mapping's own, and may be told, unless it holds the
    // account (as the canonical ARN does, where the mapping gives no name) or the key's ID ({{AccessKeyID}}).
    let secrets: Vec<&str> = if *scrubbed {
        account.as_ref().map(AccountId::as_str).into_iter().chain(access_key_id).collect()
    } else {
        Vec::new()
    };
    let tells = |text: &&str| !secrets.iter().any(|secret| text.contains(secret));
    let user = if let Outcome::Authenticated(user) = outcome { Some(user) } else { None };
    let groups = user.map(|user| user.groups.join(","));
    let principal = identity.as_ref().filter(|_| !scrubbed).map(|identity| identity.principal());
    tracing::info!(
        target: "arngate::audit",
        review = review.id,
        client = %review.client,
        decision = outcome.label(),
        reason = outcome.reason(),
        detail = (!granted).then(|| outcome.message()),
        arn = principal.map(Principal::arn),
        canonical_arn = principal.map(Principal::canonical_arn),
        access_key_id = access_key_id.filter(|_| !scrubbed),
        username = user.map(|user| user.username.as_str()).filter(tells),
        uid = user.map(|user| user.uid.as_str()).filter(tells),
        groups = groups.as_deref().filter(tells),
        backend = mapped.as_ref().map(|mapped| tracing::field::display(mapped.backend)),
        entry = mapped.as_ref().map(|mapped| tracing::field::display(&mapped.origin)),
        sts_host = request.as_ref().map(|request| request.endpoint().host()),
        sts_cache = source.map(Source::label),
        duration_ms = review.duration.as_secs_f64() * 1000.0,
        "token review"
    );
}
