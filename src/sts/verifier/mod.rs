//! Has STS verify tokens, as seldom as can be and never more often than it may be asked.
//!
//! ```text
//! PresignedRequest ─▶ key ─▶ cache ── said a moment ago ─────────────────────────────────────▶ Verdict
//!                              │ not, or too long ago                                            ▲
//!                              ▼                                                                 │
//!                           flight ── asked right now: wait for that answer ─────────────────────┤
//!                              │ not                                                             │
//!                              ▼                                                                 │
//!                           circuit ─▶ standing ─▶ gate (lanes, bucket) ─▶ client ─▶ STS ────────┤
//!                              │ host gone │ credentials  │ queue full or                        │
//!                              ▼           ▼ too often    ▼ too slow                             │
//!                             503         429            429, each with Retry-After ─────────────┘
//! ```
//!
//! **What is kept.** Identities that STS vouched for, and denials that are final, for a short while and never past
//! the token's own end; never the lack of a verdict. Mappings are no part of it: each answer is mapped anew.
//!
//! **Who goes first.** STS alone tells a forged token from a good one, so that each forgery costs a call, and
//! whoever can reach kube-apiserver can send any number. What tells callers apart before that is what happened
//! before: credentials with which somebody was let in, in the last twelve hours, are *known*; all others are
//! *strangers*. Being vouched for is not enough, since anybody with an AWS account has credentials that STS
//! vouches for. Strangers get half of the rate, of the burst and of the calls under way, and a short queue; all
//! that is known gets the rest, and what strangers leave. Hence no flood of tokens delays those who are known.
//! Newcomers share what strangers have with the flood, and come in as kube-apiserver repeats their reviews.
//!
//! **Whose calls are counted.** Calls are counted by credentials: the access key ID, and the security token where
//! there is one. Roles' sessions, and so nodes, have one, and it is secret: who knows only the ID of their key
//! cannot make a token that counts as theirs. A user's long-term key has none. Who knows its ID can use up its
//! calls (`server.stsAccessKeyQps`) by forgeries, and so delay new tokens of that one user; tokens that STS has
//! vouched for go on, since they are remembered until their end. No refusal of STS lowers anybody's share: it
//! would be a way to shut somebody out by forging tokens in their name.
//!
//! **When STS throttles or fails.** Throttling, which is by account, slows down the lane that meets it by and by,
//! and the rate comes back by itself. A host that cannot be reached is asked only from time to time; the others
//! are not affected. To each host in use a connection is kept open through quiet minutes.

mod bucket;
mod cache;
mod circuit;
mod flight;
mod gate;
mod key;
mod lanes;
mod limits;
mod refusal;
mod standing;
#[cfg(test)]
pub(super) mod tests;
mod warmth;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::lanes::Lane;
use self::{
    cache::{Cache, Known, Moment},
    circuit::{Circuit, Circuits},
    flight::{Arrival, Departure, Flights},
    gate::{Gate, MAX_WAIT, Ticket},
    key::{Keys, TokenKey},
    standing::Standing,
    warmth::Warmth,
};
pub use self::{
    key::NoRandomNumbers,
    limits::Limits,
    refusal::{Refusal, Shed, ShedReason},
};
use super::{CallerIdentity, Client, Endpoints, NoVerdict, StsError};
use crate::{
    identity::{AccountId, CallerError, Identity, Partition},
    outcome::Denial,
    telemetry::{Metrics, VerifierMetrics},
    token::PresignedRequest,
};

/// How long an answer takes at most, the wait for its turn included. kube-apiserver wants it within 10 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(9500);

/// What STS says of a token: whose it is, or why it is nobody's.
pub type Verdict = Result<Arc<Identity>, Refusal>;

/// A verdict, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What is said.
    pub verdict: Verdict,
    /// How it came about.
    pub source: Source,
}

/// How a verdict came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// STS said so a moment ago.
    Cache,
    /// STS was asked by another review of the same token at the same time.
    Shared,
    /// STS was asked, or would have been.
    Sts,
}

impl Source {
    /// The label in metrics and in the audit record.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cache => "hit",
            Self::Shared => "shared",
            Self::Sts => "miss",
        }
    }
}

/// Has STS verify tokens. See the module's page.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    flights: Arc<Flights<TokenKey, Verdict>>,
    standing: Standing,
    circuits: Circuits,
    gate: Arc<Gate>,
    asker: Arc<Asker>,
    metrics: VerifierMetrics,
    _gatekeeper: AbortOnDropHandle<()>,
    _stoker: AbortOnDropHandle<()>,
}

/// What a call needs, which may outlive the review that started it.
#[derive(Debug)]
struct Asker {
    client: Client,
    partition: Partition,
    cache: Cache,
    warmth: Arc<Warmth>,
    metrics: VerifierMetrics,
}

/// A call that may leave when its turn comes.
struct Call {
    asker: Arc<Asker>,
    request: PresignedRequest,
    token: TokenKey,
    lane: Lane,
    circuit: Option<Arc<Circuit>>,
    ticket: Ticket,
    /// When the review brought the token.
    now: Moment,
}

impl Verifier {
    /// A verifier of tokens whose callers belong to `partition`. Needs a tokio runtime's context.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new(
        client: Client,
        partition: Partition,
        endpoints: &Endpoints,
        limits: &Limits,
        metrics: &Metrics,
    ) -> Result<Self, NoRandomNumbers> {
        let metrics = metrics.verifier().clone();
        let ttl = SignedDuration::try_from(limits.cache_ttl).unwrap_or(SignedDuration::ZERO);
        let cache = Cache::new(limits.cache_size.get(), ttl, metrics.clone());
        let (gate, gatekeeper) = Gate::new(limits, metrics.clone());
        let (warmth, stoker) = Warmth::new(endpoints, client.clone());
        Ok(Self {
            keys: Keys::generate()?,
            flights: Arc::new(Flights::new()),
            standing: Standing::new(limits),
            circuits: Circuits::new(endpoints, &metrics),
            gate,
            asker: Arc::new(Asker { client, partition, cache, warmth, metrics: metrics.clone() }),
            metrics,
            _gatekeeper: gatekeeper,
            _stoker: stoker,
        })
    }

    /// What STS says of the token that `request` was parsed from, at `now`.
    pub async fn verify(&self, request: &PresignedRequest, now: Timestamp) -> Verified {
        let verified = self.verdict(request, now).await;
        self.metrics.verified(verified.source);
        verified
    }

    /// Tells that somebody was let in with what `request` is signed with: they are known from now on.
    pub fn let_in(&self, request: &PresignedRequest) {
        self.standing.let_in(self.keys.credentials(request), Instant::now());
    }

    async fn verdict(&self, request: &PresignedRequest, now: Timestamp) -> Verified {
        let now = Moment { wall: now, steady: Instant::now() };
        let token = self.keys.token(request);
        let proven = match self.asker.cache.look_up(token, now) {
            Known::Now(verdict) => return Verified { verdict, source: Source::Cache },
            Known::Once => true,
            Known::Not => false,
        };
        let mut shed = false;
        let arrival = self.flights.join(token, || {
            // A call that was under way at the look-up may have ended since.
            if let Known::Now(verdict) = self.asker.cache.look_up(token, now) {
                return Departure::Ready(verdict);
            }
            match self.call(request, token, proven, now) {
                Ok(call) => Departure::Call(call.make()),
                Err(reason) => {
                    shed = true;
                    Departure::Ready(Err(reason.into()))
                }
            }
        });
        let (verdict, source) = match arrival.await {
            Arrival::Ready(verdict) if shed => (verdict, Source::Sts),
            Arrival::Ready(verdict) => (verdict, Source::Cache),
            Arrival::Own(verdict) => (verdict, Source::Sts),
            Arrival::Shared(verdict) => (verdict, Source::Shared),
            Arrival::Lost => (Err(NoVerdict::Interrupted.into()), Source::Sts),
            Arrival::Full => (Err(Shed::new(ShedReason::Overload, MAX_WAIT, token).into()), Source::Shared),
        };
        Verified { verdict, source }
    }

    /// Takes a place in the queue for a call, unless there is a reason not to make one.
    fn call(
        &self,
        request: &PresignedRequest,
        token: TokenKey,
        proven: bool,
        now: Moment,
    ) -> Result<Call, Shed> {
        let entered = now.steady;
        let caller = self.standing.look_up(self.keys.credentials(request), entered);
        let lane = caller.lane();
        let shed = |reason, wait| {
            self.metrics.shed(reason, lane);
            Shed::new(reason, wait, token)
        };
        let circuit = self.circuits.of(request.endpoint());
        if let Some(circuit) = circuit {
            circuit.check(lane, entered).map_err(|wait| shed(ShedReason::CircuitOpen, wait))?;
        }
        caller.count(proven, entered).map_err(|wait| shed(ShedReason::AccessKey, wait))?;
        let ticket = self.gate.enter(lane).map_err(|wait| shed(ShedReason::Overload, wait))?;
        Ok(Call {
            asker: Arc::clone(&self.asker),
            request: request.clone(),
            token,
            lane,
            circuit: circuit.map(Arc::clone),
            ticket,
            now,
        })
    }
}

impl Call {
    async fn make(self) -> Verdict {
        let Self { asker, request, token, lane, circuit, ticket, now } = self;
        let shed = |reason, wait| {
            asker.metrics.shed(reason, lane);
            Shed::new(reason, wait, token)
        };
        let Some(mut permit) = ticket.turn().await else {
            return Err(shed(ShedReason::Overload, MAX_WAIT).into());
        };
        // The host may have gone while this call waited.
        let passage = match circuit.map(|circuit| circuit.enter(lane, Instant::now())).transpose() {
            Ok(passage) => passage,
            Err(wait) => return Err(shed(ShedReason::CircuitOpen, wait).into()),
        };
        let answer = timeout_at(now.steady + ANSWER_WITHIN, asker.client.get_caller_identity(&request)).await;
        let answer = answer.unwrap_or(Err(StsError::NoVerdict(NoVerdict::Timeout)));
        permit.answered(answer == Err(NoVerdict::Throttled.into()));
        drop(permit);
        asker.warmth.called(request.endpoint(), Instant::now());
        if let Some(passage) = passage {
            passage.answered(&answer, Instant::now());
        }
        if let Err(StsError::NoVerdict(no_verdict)) = &answer
            && *no_verdict != NoVerdict::Throttled
        {
            tracing::warn!(sts_host = request.endpoint().host(), error = %no_verdict, "no verdict from STS");
        }
        let verdict = answer.map_err(Refusal::from).and_then(|answer| {
            identity(asker.partition, &answer, &request)
                .map(Arc::new)
                .map_err(|error| Denial::Caller(error).into())
        });
        asker.cache.keep(token, &verdict, now, request.expires_at());
        verdict
    }
}

/// Reads STS's answer; nothing in it is believed before it is checked against itself.
fn identity(
    partition: Partition,
    answer: &CallerIdentity,
    request: &PresignedRequest,
) -> Result<Identity, CallerError> {
    let account: AccountId = answer.account.parse().map_err(|_| CallerError::Account)?;
    Identity::new(partition, &answer.arn, account, &answer.user_id, request.access_key_id())
}
