//! The real parts, put together for one sequence, and what they say held against the model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use proptest::test_runner::TestCaseError;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    api_server::ApiServer,
    model::{Expected, Model, Moment, TTL, is_in_time},
    principals::{Token, Who},
    steps::{Content, Pick, Question, Sequence, Step, Word},
    sts::ScriptedSts,
};
use crate::{
    authenticator::{Authenticator, Decision},
    ec2,
    identity::Partition,
    mapping::{BackendMode, Chain, CurrentChain, Snapshot},
    outcome::{Outcome, User},
    source::ConfigMapSource,
    sts::{Client, ClientOptions, Endpoint, Endpoints, Limits, Source, Verifier},
    telemetry::Metrics,
};

/// How long it takes, by a clock that stands still while anybody has something to do, until an edit is in force.
const SETTLED: Duration = Duration::from_millis(20);
/// And until the API server is asked anew after a failure, at the latest.
const ASKED_ANEW: Duration = Duration::from_secs(15);

/// What is the same for every sequence, and would take time to make: the figures, and EC2, which no mapping here names.
static SHARED: LazyLock<(tokio::runtime::Runtime, Metrics, ec2::Resolver)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let metrics = Metrics::new();
    let options = ec2::Options {
        role: None,
        source: None,
        region: None,
        rate: ec2::Rate::new(1, 1).unwrap(),
        ec2: ClientOptions::default(),
        sts: ClientOptions::default(),
    };
    let resolver = {
        let _context = runtime.enter();
        ec2::Resolver::start(options, metrics.clone()).unwrap()
    };
    (runtime, metrics, resolver)
});

/// How often each kind of thing happened.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    const KINDS: [&str; 8] = [
        "let in, STS asked",
        "let in, remembered",
        "let in, shared",
        "let in by what an edit left as it was",
        "vouched for, and not mapped",
        "denied",
        "no verdict",
        "an edit while STS was asked",
    ];

    fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// Each kind that must happen, and how often it did.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::KINDS.into_iter().map(|kind| (kind, self.0.get(kind).copied().unwrap_or_default()))
    }
}

/// One sequence under way.
pub(super) struct World {
    authenticator: Arc<Authenticator>,
    api: ApiServer,
    sts: Arc<ScriptedSts>,
    model: Model,
    /// The clock on the wall.
    wall: Timestamp,
    tokens: Vec<Token>,
    tally: Tally,
    _source: AbortOnDropHandle<()>,
}

/// A review that is under way or over.
struct Asked {
    token: Token,
    at: Moment,
}

impl World {
    /// Plays a sequence through.
    pub(super) async fn play(sequence: &Sequence) -> Result<Tally, TestCaseError> {
        let mut world = Self::new(sequence);
        world.see_api_server().await;
        for (number, step) in sequence.steps.iter().enumerate() {
            world.step(step).await.map_err(|error| match error {
                TestCaseError::Fail(reason) => TestCaseError::fail(format!("step {number}: {reason}")),
                reject @ TestCaseError::Reject(_) => reject,
            })?;
        }
        Ok(world.tally)
    }

    fn new(sequence: &Sequence) -> Self {
        let (_, metrics, ec2) = &*SHARED;
        let endpoints = Endpoints::of(&Endpoint::regional("us-east-1").unwrap());
        let sts = Arc::new(ScriptedSts::new());
        let client = Client::scripted(sts.clone(), &"cluster".parse().unwrap(), metrics.clone());
        // What is not asked for lack of a place says nothing here.
        let limits = Limits { cache_ttl: TTL, rate: None, access_key_rate: None, ..Limits::default() };
        let verifier = Verifier::new(client, Partition::Aws, &endpoints, &limits, metrics).unwrap();

        let api = ApiServer::new(sequence.content.clone(), sequence.reachable);
        let (aws_auth, publisher) = BackendMode::EksConfigMap.backend();
        let source = tokio::spawn(ConfigMapSource::new(publisher, metrics.clone(), None).run(api.client()));
        let (file, publisher) = BackendMode::MountedFile.backend();
        let roles =
            format!("[{{rolearn: {}, username: of-the-file, groups: [file]}}]", Who::Alpha.mapped_arn());
        let lists = BTreeMap::from([("mapRoles".to_owned(), roles)]);
        publisher.publish(Arc::new(Snapshot::update(None, &lists.into()).0));
        let chain = Arc::new(CurrentChain::new(Chain::new(vec![aws_auth, file])));
        let authenticator = Authenticator {
            endpoints,
            verifier,
            ec2: ec2.clone(),
            chain,
            scrubbed_accounts: BTreeSet::new(),
        };
        Self {
            authenticator: Arc::new(authenticator),
            api,
            sts,
            model: Model::default(),
            wall: "2026-01-15T12:00:00Z".parse().unwrap(),
            tokens: Vec::new(),
            tally: Tally::default(),
            _source: AbortOnDropHandle::new(source),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Edit(content) => self.edit(content).await,
            Step::ApiServerGoes => {
                self.api.set_reachable(false);
                self.pass(SETTLED).await;
            }
            Step::ApiServerIsBack => {
                self.api.set_reachable(true);
                self.see_api_server().await;
            }
            Step::WatchEnds => {
                self.api.end_watches();
                self.see_api_server().await;
            }
            Step::WatchExpires => {
                self.api.expire_watches();
                self.see_api_server().await;
            }
            Step::Review(question) => self.race(std::slice::from_ref(question), None).await?,
            Step::Race(questions, content) => self.race(questions, Some(content)).await?,
            Step::Wait(seconds) => self.pass(Duration::from_secs(*seconds)).await,
            Step::SetClock(seconds) => self.wall += SignedDuration::from_secs(*seconds),
        }
        Ok(())
    }

    /// Edits aws-auth, and waits until arngate has seen it, where it can.
    async fn edit(&mut self, content: &Content) {
        self.api.edit(content.clone());
        self.pass(SETTLED).await;
        if self.api.is_reachable() {
            self.model.sees(content);
        }
    }

    /// Waits until arngate has seen what aws-auth holds, where it can.
    async fn see_api_server(&mut self) {
        self.pass(ASKED_ANEW).await;
        if self.api.is_reachable() {
            self.model.sees(&self.api.content());
        }
    }

    /// Time passes, by both clocks.
    async fn pass(&mut self, time: Duration) {
        let before = Instant::now();
        sleep(time).await;
        self.wall += SignedDuration::try_from(before.elapsed()).unwrap();
    }

    fn pick(&mut self, pick: &Pick) -> Token {
        let token = match pick {
            Pick::Again(index) if !self.tokens.is_empty() => return index.get(&self.tokens).clone(),
            Pick::Forged(index) if !self.tokens.is_empty() => index.get(&self.tokens).clone(),
            Pick::Again(_) | Pick::Forged(_) => {
                Token { key: Who::Beta, signed_at: self.second(), signature: 0 }
            }
            Pick::Fresh(key, seconds) => {
                let signed_at = self.second() + SignedDuration::from_secs(*seconds);
                Token { key: *key, signed_at, signature: 0 }
            }
        };
        // No token has another's signature.
        let token = Token { signature: u32::try_from(self.tokens.len()).unwrap(), ..token };
        self.tokens.push(token.clone());
        token
    }

    /// The second that it is: tokens are signed at whole ones.
    fn second(&self) -> Timestamp {
        Timestamp::from_second(self.wall.as_second()).unwrap()
    }

    /// Reviews of `questions` at one time; before STS answers any, aws-auth is edited, where `edit` says so.
    async fn race(&mut self, questions: &[Question], edit: Option<&Content>) -> Result<(), TestCaseError> {
        let tokens: Vec<Token> = questions.iter().map(|question| self.pick(&question.token)).collect();
        self.sts.begin(tokens.iter().zip(questions).map(|(token, question)| (token, question.word)));
        self.sts.answers(edit.is_none());
        let at = Moment { wall: self.wall, steady: Instant::now() };
        let mut reviews: Vec<_> = tokens
            .into_iter()
            .map(|token| {
                let (authenticator, text) = (Arc::clone(&self.authenticator), token.text());
                let review = tokio::spawn(async move { authenticator.authenticate(&text, at.wall).await });
                (Asked { token, at }, review)
            })
            .collect();
        if let Some(content) = edit {
            sleep(Duration::from_millis(1)).await;
            // Whoever did not have to wait for STS is told before the edit.
            let (over, under_way): (Vec<_>, Vec<_>) =
                reviews.into_iter().partition(|(_, review)| review.is_finished());
            for (asked, review) in over {
                self.judge(&asked, &review.await.unwrap())?;
            }
            if !under_way.is_empty() {
                self.tally.count("an edit while STS was asked");
            }
            self.edit(content).await;
            self.sts.answers(true);
            reviews = under_way;
        }
        let (asked, reviews): (Vec<_>, Vec<_>) = reviews.into_iter().unzip();
        let decisions = join_all(reviews).await;
        // What STS has said is heard once, before any of those that were let in by it are judged.
        for asked in &asked {
            if let Some(word) = self.sts.said(&asked.token) {
                self.model.hears(&asked.token, word, asked.at);
            }
        }
        for (asked, decision) in asked.iter().zip(decisions) {
            self.judge(asked, &decision.unwrap())?;
        }
        Ok(())
    }

    /// Holds what is said of a token against what may be.
    fn judge(&mut self, asked: &Asked, decision: &Decision) -> Result<(), TestCaseError> {
        let Asked { token, at } = asked;
        let fail = |why: String| {
            TestCaseError::fail(format!("{why}: {token:?} at {at:?} is {decision:?}\n{:?}", self.model))
        };
        let said = self.sts.said(token);
        // Whom STS vouches for: now, or not long ago.
        let who = match said {
            Some(Word::Vouches(who)) if is_in_time(token, *at) => Some(who),
            Some(_) => None,
            None => self.model.remembered(token, *at),
        };
        let may_be = who.and_then(|who| self.model.user(who, token));
        let is = if let Outcome::Authenticated(user) = &decision.outcome {
            let User { username, groups, uid, .. } = user.clone();
            Some(Expected { username, groups, uid })
        } else {
            None
        };
        match (&is, &may_be) {
            (Some(_), None) => return Err(fail(format!("let in, and STS vouches for {who:?}"))),
            (Some(is), Some(may_be)) if is != may_be => {
                return Err(fail(format!("let in as another than {may_be:?}")));
            }
            // It is closed, and it is no wall: whom STS was asked about, and whom a mapping names, is let in.
            (None, Some(may_be)) if said.is_some() => {
                return Err(fail(format!("not let in as {may_be:?}")));
            }
            _ => {}
        }
        let kind = match (&decision.outcome, decision.source) {
            (Outcome::Authenticated(_), Some(Source::Cache)) => "let in, remembered",
            (Outcome::Authenticated(_), Some(Source::Shared)) => "let in, shared",
            (Outcome::Authenticated(_), _) => "let in, STS asked",
            (Outcome::Denied(_), _) if decision.identity.is_some() => "vouched for, and not mapped",
            (Outcome::Denied(_), _) => "denied",
            (Outcome::Unavailable(_), _) => "no verdict",
        };
        self.tally.count(kind);
        if is.is_some() && who.is_some_and(|who| self.model.is_kept(who)) {
            self.tally.count("let in by what an edit left as it was");
        }
        Ok(())
    }
}
