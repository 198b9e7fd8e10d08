use std::{net::SocketAddr, time::Duration};

use crate::{
    authenticator::Decision,
    identity::Principal,
    outcome::{Outcome, User},
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
    // A scrubbed account's username is the mapping's own, and may be told, unless it holds the account (as the
    // canonical ARN does, where the mapping gives no other name).
    let tells =
        |user: &&User| !scrubbed || account.is_none_or(|account| !user.username.contains(account.as_str()));
    let user = if let Outcome::Authenticated(user) = outcome { Some(user).filter(tells) } else { None };
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
        access_key_id = request.as_ref().filter(|_| !scrubbed).map(PresignedRequest::access_key_id),
        username = user.map(|user| user.username.as_str()),
        uid = user.map(|user| user.uid.as_str()),
        groups = user.map(|user| user.groups.join(",")),
        backend = mapped.as_ref().map(|mapped| tracing::field::display(mapped.backend)),
        entry = mapped.as_ref().map(|mapped| tracing::field::display(&mapped.origin)),
        sts_host = request.as_ref().map(|request| request.endpoint().host()),
        sts_cache = source.map(Source::label),
        duration_ms = review.duration.as_secs_f64() * 1000.0,
        "token review"
    );
}
