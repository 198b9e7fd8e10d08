//! The path of one token: parse, have STS verify, read the principal, look it up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    identity::{AccountId, Identity},
    mapping::{CurrentChain, Mapped, MappedUser},
    outcome::{Denial, Outcome, Unavailability, User},
    sts::{Endpoints, Source, Verified, Verifier},
    token::{self, PresignedRequest},
};

/// Turns a token into an [`Outcome`].
#[derive(Debug)]
pub struct Authenticator {
    /// STS's hosts in the partition whose principals are let in.
    pub endpoints: Endpoints,
    /// What has STS say whose a token is.
    pub verifier: Verifier,
    /// The backends, in their order.
    pub chain: Arc<CurrentChain>,
    /// Accounts whose principals are neither logged nor described to Kubernetes.
    pub scrubbed_accounts: BTreeSet<AccountId>,
}

/// An outcome with what is known of the caller, for the audit record.
#[derive(Debug)]
pub struct Decision {
    /// What is said of the token.
    pub outcome: Outcome,
    /// The parsed token, where it parsed.
    pub request: Option<PresignedRequest>,
    /// How STS's word came about, where it was needed.
    pub source: Option<Source>,
    /// Whom STS vouched for, where it did.
    pub identity: Option<Arc<Identity>>,
    /// What matched, where something did.
    pub mapped: Option<MappedUser>,
    /// The caller is, or may be, of a scrubbed account: nothing that tells of it may be logged.
    pub scrubbed: bool,
}

impl Decision {
    /// An outcome that came before the token was looked at.
    #[must_use]
    pub const fn without_caller(outcome: Outcome) -> Self {
        Self { outcome, request: None, source: None, identity: None, mapped: None, scrubbed: false }
    }
}

impl Authenticator {
    /// Says whose `token` is, at `now`.
    pub async fn authenticate(&self, token: &str, now: Timestamp) -> Decision {
        let request = match token::parse(token, &self.endpoints, now) {
            Ok(request) => request,
            Err(error) => return Decision::without_caller(Outcome::Denied(Denial::Token(error))),
        };
        let Verified { verdict, source } = self.verifier.verify(&request, now).await;
        let identity = match verdict {
            Ok(identity) => identity,
            Err(refusal) => {
                return Decision {
                    outcome: refusal.into(),
                    request: Some(request),
                    source: Some(source),
                    identity: None,
                    mapped: None,
                    // Whose it is, is not known; an access key ID would tell the account.
                    scrubbed: !self.scrubbed_accounts.is_empty(),
                };
            }
        };
        let scrubbed = self.scrubbed_accounts.contains(&identity.principal().account());
        // Whatever STS's word came from: what it maps to is looked up now.
        let (outcome, mapped) = self.map(&identity, scrubbed);
        if source != Source::Cache && matches!(outcome, Outcome::Authenticated(_)) {
            self.verifier.let_in(&request);
        }
        Decision {
            outcome,
            request: Some(request),
            source: Some(source),
            identity: Some(identity),
            mapped,
            scrubbed,
        }
    }

    fn map(&self, identity: &Identity, scrubbed: bool) -> (Outcome, Option<MappedUser>) {
        match self.chain.get().map(identity) {
            Mapped::Found(mapped) => {
                (Outcome::Authenticated(user(identity, &mapped, scrubbed)), Some(mapped))
            }
            Mapped::NotMapped => (Outcome::Denied(Denial::NotMapped), None),
            Mapped::NotLoaded(backend) => (Outcome::Unavailable(Unavailability::NotLoaded(backend)), None),
            Mapped::Failed(error) => {
                tracing::warn!(
                    canonical_arn = (!scrubbed).then(|| identity.principal().canonical_arn()),
                    %error,
                    "a mapping matches, but cannot be rendered"
                );
                (Outcome::Denied(Denial::NotRendered), None)
            }
            Mapped::Reserved(_) => (Outcome::Denied(Denial::Reserved), None),
        }
    }
}

/// The user as aws-iam-authenticator describes it, so that authorizers and audit logs go on.
///
/// Of a scrubbed account's principal nothing is told but the username that the mapping gives.
fn user(identity: &Identity, mapped: &MappedUser, scrubbed: bool) -> User {
    let principal = identity.principal();
    if scrubbed {
        return User {
            username: mapped.username.clone(),
            uid: format!("aws-iam-authenticator:administrative:{}", mapped.username),
            groups: mapped.groups.clone(),
            extra: BTreeMap::new(),
        };
    }
    User {
        username: mapped.username.clone(),
        uid: format!("aws-iam-authenticator:{}:{}", principal.account(), identity.user_id()),
        groups: mapped.groups.clone(),
        extra: BTreeMap::from([
            ("arn", principal.arn()),
            ("canonicalArn", principal.canonical_arn()),
            ("sessionName", identity.session_name().to_owned()),
            ("accessKeyId", identity.access_key_id().to_owned()),
            ("principalId", identity.user_id().to_owned()),
            ("sigs.k8s.io/aws-iam-authenticator/principalId", identity.user_id().to_owned()),
        ]),
    }
}
