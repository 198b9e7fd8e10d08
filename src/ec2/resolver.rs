//! Where asks come together: what is known is answered, what is being asked about is waited for, the rest is
//! gathered into batches.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Duration, Instant, timeout_at},
};

use super::{
    Failure, InstanceId, Options, PrivateDnsName, ResolveError,
    batch::{Answer, Asker, Source},
    bucket::Bucket,
    client::Client,
    expiring::Expiring,
};
use crate::{sts::ClientError, telemetry::Metrics};

/// How many instances are asked about in one call.
const BATCH: usize = 100;
/// How long the first instance of a batch waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// How long a batch may take, retries included.
const BATCH_WITHIN: Duration = Duration::from_secs(8);
/// How many batches are under way at once.
const BATCHES: usize = 8;
/// How many instances wait to be gathered.
const WAITING: usize = 8192;
/// How long a name is believed. It changes while an instance is stopped, if ever.
const NAME_LIFETIME: Duration = Duration::from_hours(1);
/// How many names are remembered.
const NAMES: usize = 32_768;
/// How long an unknown instance is not asked about again. EC2 may not know a new one for some seconds.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(5);
/// How many unknown instances are remembered.
const UNKNOWN: usize = 8192;

/// Tells instances' private DNS names. Clones share everything.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

struct Shared {
    state: Mutex<State>,
    metrics: Metrics,
}

struct State {
    names: Expiring<InstanceId, PrivateDnsName>,
    unknown: Expiring<InstanceId, ()>,
    /// The instances that are being asked about, and where their answers come.
    pending: HashMap<InstanceId, watch::Receiver<Option<Answer>>>,
}

/// An instance to be asked about, and who waits for it.
struct Ask {
    instance: InstanceId,
    answer: watch::Sender<Option<Answer>>,
}

/// How an ask was met: a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The name was known.
    Known,
    /// That EC2 does not know the instance was known.
    KnownUnknown,
    /// Somebody else had asked already.
    Joined,
    /// EC2 is asked.
    Asked,
    /// Too many wait already.
    Refused,
}

impl Lookup {
    /// The label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::KnownUnknown => "known_unknown",
            Self::Joined => "joined",
            Self::Asked => "asked",
            Self::Refused => "refused",
        }
    }
}

impl Resolver {
    /// Starts it: what gathers ends with the last clone. Needs a tokio runtime's context.
    ///
    /// # Errors
    /// Where the CA bundle or the proxy variables cannot be used. What the AWS configuration lacks is told when the
    /// first instance is asked about.
    pub fn start(options: Options, metrics: Metrics) -> Result<Self, ClientError> {
        let bucket = Bucket::new(options.rate);
        Ok(Self::with_source(Client::new(options)?, bucket, metrics))
    }

    fn with_source(source: impl Source, bucket: Bucket, metrics: Metrics) -> Self {
        let state = State {
            names: Expiring::new(NAME_LIFETIME, NAMES),
            unknown: Expiring::new(UNKNOWN_LIFETIME, UNKNOWN),
            pending: HashMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), metrics: metrics.clone() });
        let (asks, waiting) = mpsc::channel(WAITING);
        let asker = Arc::new(Asker { source, bucket, metrics });
        tokio::spawn(gather(waiting, asker, Arc::clone(&shared)));
        Self { shared, asks }
    }

    /// The private DNS name of `instance`, as EC2 tells until `deadline`.
    ///
    /// An ask that ends early, for the deadline or because nobody waits any more, still has its answer remembered
    /// for whoever asks next.
    ///
    /// # Errors
    /// Where EC2 knows no such instance, or does not say.
    pub async fn private_dns_name(
        &self,
        instance: InstanceId,
        deadline: Instant,
    ) -> Result<PrivateDnsName, ResolveError> {
        let mut answer = self.ask(instance)?;
        let answered = timeout_at(deadline, answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(Failure::Timeout.into())),
            // Nobody answers any more: the task that asked has died.
            Ok(Err(_)) => Err(Failure::Transport.into()),
            Err(_) => Err(Failure::Timeout.into()),
        }
    }

    /// Where the answer comes, or has come.
    fn ask(&self, instance: InstanceId) -> Result<watch::Receiver<Option<Answer>>, Failure> {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let known = if let Some(name) = state.names.get(&instance, now) {
            Some((Ok(name.clone()), Lookup::Known))
        } else {
            state.unknown.get(&instance, now).map(|()| (Err(ResolveError::Unknown), Lookup::KnownUnknown))
        };
        if let Some((answer, lookup)) = known {
            self.shared.metrics.ec2_lookup(lookup);
            return Ok(watch::channel(Some(answer)).1);
        }
        // One whose sender is gone will never be answered.
        if let Some(pending) = state.pending.get(&instance).filter(|pending| pending.has_changed().is_ok()) {
            self.shared.metrics.ec2_lookup(Lookup::Joined);
            return Ok(pending.clone());
        }
        let (answer, pending) = watch::channel(None);
        if self.asks.try_send(Ask { instance, answer }).is_err() {
            self.shared.metrics.ec2_lookup(Lookup::Refused);
            return Err(Failure::Overloaded);
        }
        self.shared.metrics.ec2_lookup(Lookup::Asked);
        state.pending.insert(instance, pending.clone());
        Ok(pending)
    }
}

/// Makes batches of what comes, and has each asked about in a task of its own, until nobody can ask any more.
async fn gather<S: Source>(mut asks: mpsc::Receiver<Ask>, asker: Arc<Asker<S>>, shared: Arc<Shared>) {
    let under_way = Arc::new(Semaphore::new(BATCHES));
    while let Some(first) = asks.recv().await {
        let until = Instant::now() + GATHER;
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let Ok(Some(ask)) = timeout_at(until, asks.recv()).await else { break };
            batch.push(ask);
        }
        // Never closed.
        let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
        let (asker, shared) = (Arc::clone(&asker), Arc::clone(&shared));
        tokio::spawn(async move {
            let instances = batch.iter().map(|ask| ask.instance).collect();
            let answers = asker.ask(instances, Instant::now() + BATCH_WITHIN).await;
            shared.settle(batch, answers);
            drop(permit);
        });
    }
}

impl Shared {
    /// Remembers what there is to remember, and tells those who wait.
    fn settle(&self, batch: Vec<Ask>, mut answers: HashMap<InstanceId, Answer>) {
        let now = Instant::now();
        let mut state = self.lock();
        for Ask { instance, answer } in batch {
            let found = answers.remove(&instance).unwrap_or(Err(Failure::Unreadable.into()));
            match &found {
                Ok(name) => state.names.set(instance, name.clone(), now),
                Err(ResolveError::Unknown) => state.unknown.set(instance, (), now),
                Err(ResolveError::Unavailable(_)) => {}
            }
            state.pending.remove(&instance);
            answer.send_replace(Some(found));
        }
        self.metrics.ec2_names(state.names.len());
    }

    // What is in there holds after a panic elsewhere: each change is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::ec2::{
        Rate,
        batch::tests::{Ec2, id, knows, name},
    };

    fn resolver(ec2: Ec2) -> (Resolver, Arc<Ec2>) {
        let ec2 = Arc::new(ec2);
        let bucket = Bucket::new(Rate::new(15, 5).unwrap());
        (Resolver::with_source(Arc::clone(&ec2), bucket, Metrics::new()), ec2)
    }

    async fn resolve(resolver: &Resolver, number: u32) -> Answer {
        resolver.private_dns_name(id(number), Instant::now() + Duration::from_secs(9)).await
    }

    async fn resolve_all(resolver: &Resolver, numbers: impl IntoIterator<Item = u32>) -> Vec<Answer> {
        join_all(numbers.into_iter().map(|number| resolve(resolver, number))).await
    }

    fn calls(ec2: &Ec2) -> Vec<usize> {
        ec2.calls.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn asks_within_the_span_are_one_call() {
        let (resolver, ec2) = resolver(knows(0..200));
        let begin = Instant::now();
        let later = async {
            tokio::time::sleep(Duration::from_millis(199)).await;
            resolve(&resolver, 2).await
        };
        let (first, second, third) = tokio::join!(resolve(&resolver, 0), resolve(&resolver, 1), later);
        assert_eq!([first, second, third], [0, 1, 2].map(|number| Ok(name(id(number)))));
        assert_eq!(calls(&ec2), [3]);
        assert_eq!(begin.elapsed(), GATHER + ec2.takes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_goes_at_once() {
        let (resolver, ec2) = resolver(knows(0..250));
        let begin = Instant::now();
        assert!(resolve_all(&resolver, 0..100).await.iter().all(Result::is_ok));
        assert_eq!(begin.elapsed(), ec2.takes);
        assert!(resolve_all(&resolver, 0..250).await.iter().all(Result::is_ok));
        assert_eq!(calls(&ec2), [100, 100, 50], "a hundred were known");
    }

    #[tokio::test(start_paused = true)]
    async fn one_instance_is_asked_about_once_however_many_ask() {
        let (resolver, ec2) = resolver(knows(0..1));
        let asks = join_all((0..500_u64).map(|number| {
            let resolver = resolver.clone();
            async move {
                // Before the call, during it, and after it.
                tokio::time::sleep(Duration::from_millis(number)).await;
                resolve(&resolver, 0).await
            }
        }));
        assert!(asks.await.iter().all(|answer| *answer == Ok(name(id(0)))));
        assert_eq!(calls(&ec2), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_believed_for_its_time() {
        let (resolver, ec2) = resolver(knows(0..1));
        resolve(&resolver, 0).await.unwrap();
        tokio::time::advance(Duration::from_mins(59)).await;
        resolve(&resolver, 0).await.unwrap();
        assert_eq!(calls(&ec2).len(), 1);
        tokio::time::advance(Duration::from_mins(1)).await;
        resolve(&resolver, 0).await.unwrap();
        assert_eq!(calls(&ec2).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_instance_is_remembered_briefly_and_spoils_nobodys_answer() {
        let (resolver, ec2) = resolver(knows(0..3));
        let unknown = Err(ResolveError::Unknown);
        let answers = resolve_all(&resolver, 0..4).await;
        assert_eq!(answers[3], unknown);
        assert!(answers[..3].iter().all(Result::is_ok));
        assert_eq!(calls(&ec2), [4, 3]);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(resolve(&resolver, 3).await, unknown);
        assert_eq!(calls(&ec2).len(), 2, "not asked again");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(resolve(&resolver, 3).await, unknown);
        assert_eq!(calls(&ec2).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_all_who_wait_and_not_remembered() {
        let (resolver, ec2) = resolver(knows(0..2));
        *ec2.fails.lock().unwrap() = vec![Failure::Refused];
        let answers = resolve_all(&resolver, [0, 1, 0]).await;
        assert!(answers.iter().all(|answer| *answer == Err(Failure::Refused.into())), "{answers:?}");
        assert!(resolve_all(&resolver, [0, 1]).await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_early_leaves_the_answer_to_the_next() {
        let (resolver, ec2) = resolver(Ec2 { takes: Duration::from_secs(2), ..knows(0..1) });
        let begin = Instant::now();
        let early = resolver.private_dns_name(id(0), begin + Duration::from_secs(1)).await;
        assert_eq!((early, begin.elapsed()), (Err(Failure::Timeout.into()), Duration::from_secs(1)));
        assert_eq!(resolve(&resolver, 0).await, Ok(name(id(0))));
        assert_eq!(calls(&ec2), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_asks_are_bounded_and_everybody_is_answered_in_time() {
        let (resolver, ec2) = resolver(Ec2 { takes: Duration::from_mins(1), ..knows([]) });
        let begin = Instant::now();
        let answers = resolve_all(&resolver, 0..10_000).await;
        let told = |failure: Failure| answers.iter().filter(|answer| **answer == Err(failure.into())).count();
        assert_eq!(told(Failure::Overloaded) + told(Failure::Timeout), 10_000);
        assert!(told(Failure::Overloaded) >= 10_000 - WAITING - BATCH * (BATCHES + 1));
        assert!(begin.elapsed() <= Duration::from_secs(9) + Duration::from_millis(1));
        // Eight at once, for eight seconds each.
        assert!(calls(&ec2).len() <= 2 * BATCHES);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ask_whose_task_died_is_asked_anew() {
        struct Dies;
        impl Source for Dies {
            async fn page(
                &self,
                _: &[InstanceId],
                _: Option<&str>,
            ) -> Result<crate::ec2::xml::Page, crate::ec2::batch::CallError> {
                panic!("as a bug would")
            }
        }
        let bucket = Bucket::new(Rate::new(15, 5).unwrap());
        let resolver = Resolver::with_source(Dies, bucket, Metrics::new());
        for _ in 0..20 {
            assert_eq!(resolve(&resolver, 0).await, Err(Failure::Transport.into()));
        }
    }
}
