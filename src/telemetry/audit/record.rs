//! What may be told of a decision. Both the process's log and the audit log are made from this value, and from
//! nothing else: what is not in here is in neither.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    authenticator::Decision,
    identity::{AccountId, Identity},
    mapping::{BackendMode, Origin},
    outcome::Outcome,
    sts::Source,
    token::PresignedRequest,
};

/// What is known of the review itself.
#[derive(Debug, Clone, Copy)]
pub struct Review {
    /// Which review it is.
    pub id: RequestId,
    /// Who asked.
    pub client: SocketAddr,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// From the request's head to the decision.
    pub duration: Duration,
}

/// Stands for one review. No two processes' are likely ever to be the same, and those of one process are numbered
/// without a gap, so that an audit log of several, or over restarts, tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    process: u64,
    number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.process, self.number)
    }
}

/// Gives the reviews of this process their IDs.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Begins with a number that no other process is likely to have.
    #[must_use]
    pub fn new() -> Self {
        Self { process: RandomState::new().build_hasher().finish(), next: AtomicU64::new(0) }
    }

    /// The next one.
    pub fn next(&self) -> RequestId {
        RequestId { process: self.process, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// What may be told of a decision: no part of a token but the access key ID, and of a scrubbed account's principal
/// nothing but what its mapping gives.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) review: Review,
    pub(super) outcome: &'a Outcome,
    /// The caller is, or may be, of a scrubbed account, and is not described.
    pub(super) scrubbed: bool,
    /// The key that signed the token, as the token says itself.
    pub(super) access_key_id: Option<&'a str>,
    pub(super) principal: Option<Caller<'a>>,
    pub(super) user: Option<Given<'a>>,
    pub(super) mapping: Option<Matched<'a>>,
    pub(super) sts: Option<Asked<'a>>,
}

/// Whom STS vouched for.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) arn: String,
    pub(super) canonical_arn: String,
    pub(super) account: AccountId,
    pub(super) identity: &'a Identity,
}

/// What the mapping gives, as far as it may be told.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) username: Option<&'a str>,
    pub(super) uid: Option<&'a str>,
    pub(super) groups: Option<&'a [String]>,
}

/// What matched.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) backend: BackendMode,
    /// Where it was written, as far as it may be told.
    pub(super) origin: Option<&'a Origin>,
}

/// How STS's word came about.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) source: Source,
    /// STS vouched for somebody.
    pub(super) vouched: bool,
}

impl<'a> Record<'a> {
    pub(super) fn of(review: Review, decision: &'a Decision) -> Self {
        let Decision { outcome, request, source, identity, mapped, scrubbed } = decision;
        let scrubbed = *scrubbed;
        let identity = identity.as_deref();
        let access_key_id = request.as_ref().map(PresignedRequest::access_key_id);
        // What a mapping gives a scrubbed account's principal is the mapping's own, and may be told, unless it holds
        // the account (as the canonical ARN does, where the mapping gives no name) or the key's ID
        // ({{AccessKeyID}}).
        let account = identity.map(|identity| identity.principal().account());
        let tells = |text: &str| {
            !scrubbed
                || ![account.as_ref().map(AccountId::as_str), access_key_id]
                    .into_iter()
                    .flatten()
                    .any(|secret| text.contains(secret))
        };
        let user = if let Outcome::Authenticated(user) = outcome { Some(user) } else { None };
        Self {
            review,
            outcome,
            scrubbed,
            access_key_id: access_key_id.filter(|_| !scrubbed),
            principal: identity.filter(|_| !scrubbed).map(|identity| {
                let principal = identity.principal();
                Caller {
                    arn: principal.arn(),
                    canonical_arn: principal.canonical_arn(),
                    account: principal.account(),
                    identity,
                }
            }),
            user: user.map(|user| Given {
                username: Some(user.username.as_str()).filter(|username| tells(username)),
                uid: Some(user.uid.as_str()).filter(|uid| tells(uid)),
                groups: Some(user.groups.as_slice()).filter(|groups| groups.iter().all(|group| tells(group))),
            }),
            mapping: mapped.as_ref().map(|mapped| Matched {
                backend: mapped.backend,
                // People name objects as they like, after an account too.
                origin: Some(&mapped.origin).filter(|origin| match origin {
                    Origin::Object(name) => tells(name),
                    Origin::Listed(_) | Origin::Administrator(_) => true,
                }),
            }),
            sts: request.as_ref().zip(*source).map(|(request, source)| Asked {
                host: request.endpoint().host(),
                source,
                vouched: identity.is_some(),
            }),
        }
    }

    /// Whether somebody was let in.
    pub(super) const fn is_granted(&self) -> bool {
        matches!(self.outcome, Outcome::Authenticated(_))
    }

    /// How long it took, in milliseconds.
    pub(super) fn duration_ms(&self) -> f64 {
        self.review.duration.as_secs_f64() * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::{decision, review};
    use super::*;

    #[test]
    fn the_reviews_of_a_process_are_numbered_and_those_of_another_are_others() {
        let (ids, others) = (RequestIds::new(), RequestIds::new());
        let told: Vec<String> = (0..3).map(|_| ids.next().to_string()).collect();
        let (process, _) = told[0].split_once('-').unwrap();
        assert_eq!(told, [0, 1, 2].map(|number| format!("{process}-{number}")));
        assert_eq!(process.len(), 16);
        assert_ne!(others.next().to_string(), told[0]);
    }

    #[test]
    fn of_a_scrubbed_caller_only_what_does_not_tell_who_it_is_is_told() {
        let mut decision = decision();
        decision.scrubbed = true;
        let record = Record::of(review(), &decision);
        assert!(record.access_key_id.is_none() && record.principal.is_none());
        let user = record.user.as_ref().unwrap();
        assert_eq!((user.username, user.uid), (Some("admin:alice"), None), "the uid names the account");
        assert_eq!(user.groups, None, "one of the groups names the account");
        assert!(record.mapping.as_ref().unwrap().origin.is_some());

        let Outcome::Authenticated(user) = &mut decision.outcome else { panic!("somebody is let in") };
        user.groups.truncate(1);
        user.username = "key:ASIAEXAMPLE123456789".to_owned();
        decision.mapped.as_mut().unwrap().origin = Origin::Object("of-111122223333".into());
        let record = Record::of(review(), &decision);
        let user = record.user.as_ref().unwrap();
        assert_eq!((user.username, user.groups.map(<[String]>::len)), (None, Some(1)));
        let mapping = record.mapping.as_ref().unwrap();
        assert_eq!((mapping.backend, mapping.origin), (BackendMode::EksConfigMap, None));

        decision.mapped.as_mut().unwrap().origin = Origin::Object("admins".into());
        assert!(Record::of(review(), &decision).mapping.unwrap().origin.is_some());
    }
}
