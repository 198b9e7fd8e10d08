//! The path of one token: parse, have STS verify, read the principal, look it up; and where what matches names the
//! caller's instance, look up that one's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use crate::{
    ec2::{self, InstanceId, ResolveError},
    identity::{AccountId, Identity, PrincipalKind},
    mapping::{CurrentChain, Mapped, MappedUser, RenderError},
    outcome::{Denial, Outcome, Unavailability, User},
    sts::{Endpoints, Source, Verified, Verifier},
    token::{self, PresignedRequest},
};

/// When there is an outcome, whatever is waited for. kube-apiserver wants to be answered within ten seconds.
const WITHIN: Duration = Duration::from_secs(9);

/// Turns a token into an [`Outcome`].
#[derive(Debug)]
pub struct Authenticator {
    /// STS's hosts in the partition whose principals are let in.
    pub endpoints: Endpoints,
    /// What has STS say whose a token is.
    pub verifier: Verifier,
    /// What knows instances' names.
    pub ec2: ec2::Resolver,
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
        let deadline = Instant::now() + WITHIN;
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
        let (outcome, mapped) = map(&self.chain, &self.ec2, &identity, scrubbed, deadline).await;
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
}

/// Looks `identity` up in `chain`, and by `deadline` in EC2 where what matches names the caller's instance.
pub async fn map(
    chain: &CurrentChain,
    ec2: &ec2::Resolver,
    identity: &Identity,
    scrubbed: bool,
    deadline: Instant,
) -> (Outcome, Option<MappedUser>) {
    let mut mapped = chain.get().map(identity);
    if mapped == Mapped::WantsInstanceName
        && let Some(instance) = instance(identity)
    {
        match ec2.private_dns_name(instance, deadline).await {
            // The mappings are looked at anew: what was removed meanwhile counts no more.
            Ok(name) => mapped = chain.get().map_instance(identity, Some(name.as_str())),
            Err(ResolveError::Unknown) => return (Outcome::Denied(Denial::UnknownInstance), None),
            Err(ResolveError::Unavailable(failure)) => {
                return (Outcome::Unavailable(Unavailability::Ec2(failure)), None);
            }
        }
    }
    if mapped == Mapped::WantsInstanceName {
        // Whoever is left here is no instance.
        tracing::warn!(
            canonical_arn = (!scrubbed).then(|| identity.principal().canonical_arn()),
            error = %RenderError::NoInstanceName,
            "a mapping matches, but cannot be rendered"
        );
    }
    (outcome(identity, &mapped, scrubbed), mapped.found())
}

/// What is said of `identity` where the backends say `mapped`. Of a scrubbed account's principal nothing is told but the
/// username and groups that the mapping gives.
#[must_use]
pub fn outcome(identity: &Identity, mapped: &Mapped, scrubbed: bool) -> Outcome {
    match mapped {
        Mapped::Found(mapped) => Outcome::Authenticated(user(identity, mapped, scrubbed)),
        Mapped::NotMapped => Outcome::Denied(Denial::NotMapped),
        Mapped::NotLoaded(backend) => Outcome::Unavailable(Unavailability::NotLoaded(*backend)),
        Mapped::WantsInstanceName => Outcome::Denied(Denial::NotRendered),
        Mapped::Reserved(_) => Outcome::Denied(Denial::Reserved),
    }
}

/// The instance that a role's session is named after, as EC2 names those of an instance profile's role.
fn instance(identity: &Identity) -> Option<InstanceId> {
    match identity.principal().kind() {
        PrincipalKind::AssumedRole { .. } => identity.session_name().parse().ok(),
        _ => None,
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

#[cfg(test)]
mod fail_closed;
