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
    identity::{AccountId, CallerError, Identity, Partition, PrincipalKind},
    mapping::{CurrentChain, Mapped, MappedUser, RenderError},
    outcome::{Denial, Outcome, Unavailability, User},
    sts::{CallerIdentity, Client, Endpoints, NoVerdict, StsError},
    token::{self, PresignedRequest},
};

/// When there is an outcome, whatever is waited for. kube-apiserver wants to be answered within ten seconds.
const WITHIN: Duration = Duration::from_secs(9);

/// Turns a token into an [`Outcome`].
#[derive(Debug)]
pub struct Authenticator {
    /// The partition whose principals are let in.
    pub partition: Partition,
    /// STS's hosts in that partition.
    pub endpoints: Endpoints,
    /// What asks STS.
    pub sts: Client,
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
    /// Whom STS vouched for, where it did.
    pub identity: Option<Identity>,
    /// What matched, where something did.
    pub mapped: Option<MappedUser>,
    /// The caller is, or may be, of a scrubbed account: nothing that tells of it may be logged.
    pub scrubbed: bool,
}

impl Decision {
    /// An outcome that came before the token was looked at.
    #[must_use]
    pub const fn without_caller(outcome: Outcome) -> Self {
        Self { outcome, request: None, identity: None, mapped: None, scrubbed: false }
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
        let answer = self.sts.get_caller_identity(&request).await;
        let identity = answer.map_err(refused).and_then(|answer| self.identity(&answer, &request));
        let identity = match identity {
            Ok(identity) => identity,
            Err(outcome) => {
                // Whose it is, is not known; an access key ID would tell the account.
                let scrubbed = !self.scrubbed_accounts.is_empty();
                return Decision { outcome, request: Some(request), identity: None, mapped: None, scrubbed };
            }
        };
        let scrubbed = self.scrubbed_accounts.contains(&identity.principal().account());
        let (outcome, mapped) = self.map(&identity, scrubbed, deadline).await;
        Decision { outcome, request: Some(request), identity: Some(identity), mapped, scrubbed }
    }

    /// Reads STS's answer; nothing in it is believed before it is checked against itself.
    fn identity(&self, answer: &CallerIdentity, request: &PresignedRequest) -> Result<Identity, Outcome> {
        let account: AccountId =
            answer.account.parse().map_err(|_| Outcome::Denied(Denial::Caller(CallerError::Account)))?;
        Identity::new(self.partition, &answer.arn, account, &answer.user_id, request.access_key_id())
            .map_err(|error| Outcome::Denied(Denial::Caller(error)))
    }

    async fn map(
        &self,
        identity: &Identity,
        scrubbed: bool,
        deadline: Instant,
    ) -> (Outcome, Option<MappedUser>) {
        let mut mapped = self.chain.get().map(identity);
        if mapped == Mapped::WantsInstanceName
            && let Some(instance) = instance(identity)
        {
            match self.ec2.private_dns_name(instance, deadline).await {
                // The mappings are looked at anew: what was removed meanwhile counts no more.
                Ok(name) => mapped = self.chain.get().map_instance(identity, Some(name.as_str())),
                Err(ResolveError::Unknown) => return (Outcome::Denied(Denial::UnknownInstance), None),
                Err(ResolveError::Unavailable(failure)) => {
                    return (Outcome::Unavailable(Unavailability::Ec2(failure)), None);
                }
            }
        }
        match mapped {
            Mapped::Found(mapped) => {
                (Outcome::Authenticated(user(identity, &mapped, scrubbed)), Some(mapped))
            }
            Mapped::NotMapped => (Outcome::Denied(Denial::NotMapped), None),
            Mapped::NotLoaded(backend) => (Outcome::Unavailable(Unavailability::NotLoaded(backend)), None),
            // Whoever is left here is no instance.
            Mapped::WantsInstanceName => Self::not_rendered(identity, scrubbed, &RenderError::NoInstanceName),
            Mapped::Failed(error) => Self::not_rendered(identity, scrubbed, &error),
            Mapped::Reserved(_) => (Outcome::Denied(Denial::Reserved), None),
        }
    }

    fn not_rendered(
        identity: &Identity,
        scrubbed: bool,
        error: &RenderError,
    ) -> (Outcome, Option<MappedUser>) {
        tracing::warn!(
            canonical_arn = (!scrubbed).then(|| identity.principal().canonical_arn()),
            %error,
            "a mapping matches, but cannot be rendered"
        );
        (Outcome::Denied(Denial::NotRendered), None)
    }
}

/// The instance that a role's session is named after, as EC2 names those of an instance profile's role.
fn instance(identity: &Identity) -> Option<InstanceId> {
    match identity.principal().kind() {
        PrincipalKind::AssumedRole { .. } => identity.session_name().parse().ok(),
        _ => None,
    }
}

fn refused(error: StsError) -> Outcome {
    match error {
        StsError::Rejected(rejection) => Outcome::Denied(Denial::Rejected(rejection)),
        StsError::NoVerdict(no_verdict) => {
            if no_verdict != NoVerdict::Throttled {
                tracing::warn!(error = %no_verdict, "no verdict from STS");
            }
            Outcome::Unavailable(Unavailability::Sts(no_verdict))
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
