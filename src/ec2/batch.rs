//! One batch of instances: asked about together, in as few calls as will do.

use std::collections::HashMap;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::{Failure, InstanceId, PrivateDnsName, ResolveError, bucket::Bucket, xml::Page};
use crate::telemetry::Metrics;

/// How many pages an answer may have. Instances that are asked about by their IDs come on one.
const MAX_PAGES: usize = 16;

/// How often a call is made again. kube-apiserver asks again as well.
const REPETITIONS: usize = 3;

/// What is said of an instance.
pub(super) type Answer = Result<PrivateDnsName, ResolveError>;

/// What makes one call of DescribeInstances.
pub(super) trait Source: Send + Sync + 'static {
    /// The page about `instances` that follows `next_token`, or the first.
    fn page(
        &self,
        instances: &[InstanceId],
        next_token: Option<&str>,
    ) -> impl Future<Output = Result<Page, CallError>> + Send;
}

/// Why a call told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// EC2 does not know all of the instances, and tells of none of them for that. Those that it names.
    Bad(Vec<InstanceId>),
    /// There is no answer.
    Failed(Failure),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Asks about batches.
#[derive(Debug)]
pub(super) struct Asker<S> {
    pub(super) source: S,
    pub(super) bucket: Bucket,
    pub(super) metrics: Metrics,
}

impl<S: Source> Asker<S> {
    /// What EC2 says of each of `instances` until `deadline`. There is an answer for each.
    pub(super) async fn ask(
        &self,
        instances: Vec<InstanceId>,
        deadline: Instant,
    ) -> HashMap<InstanceId, Answer> {
        let mut answers = HashMap::with_capacity(instances.len());
        let mut left = vec![instances];
        while let Some(mut instances) = left.pop() {
            match self.all_pages(&instances, deadline).await {
                Ok(mut found) => {
                    let named = |id| (id, found.remove(&id).ok_or(ResolveError::Unknown));
                    answers.extend(instances.into_iter().map(named));
                }
                Err(CallError::Bad(bad)) => {
                    let unknown = |id| (id, Err(ResolveError::Unknown));
                    let (bad, good): (Vec<_>, Vec<_>) =
                        instances.iter().copied().partition(|id| bad.contains(id));
                    if !bad.is_empty() {
                        answers.extend(bad.into_iter().map(unknown));
                        left.extend(Some(good).filter(|good| !good.is_empty()));
                    } else if instances.len() > 1 {
                        // It does not say which: halves find out.
                        left.push(instances.split_off(instances.len() / 2));
                        left.push(instances);
                    } else {
                        answers.extend(instances.into_iter().map(unknown));
                    }
                }
                Err(CallError::Failed(failure)) => {
                    tracing::warn!(instances = instances.len(), %failure, "no private DNS names from EC2");
                    let failed = |id| (id, Err(ResolveError::Unavailable(failure)));
                    answers.extend(instances.into_iter().map(failed));
                }
            }
        }
        answers
    }

    async fn all_pages(
        &self,
        instances: &[InstanceId],
        deadline: Instant,
    ) -> Result<HashMap<InstanceId, PrivateDnsName>, CallError> {
        let mut found = HashMap::new();
        let mut next_token = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(instances, next_token.as_deref(), deadline).await?;
            found.extend(page.names);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(found);
            }
        }
        Err(Failure::Unreadable.into())
    }

    /// One page, asked for again where that may help.
    async fn page(
        &self,
        instances: &[InstanceId],
        next_token: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, CallError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(REPETITIONS)
            .with_jitter()
            .build();
        loop {
            if !self.bucket.take(deadline).await {
                self.metrics.ec2_failure(Failure::Overloaded);
                return Err(Failure::Overloaded.into());
            }
            let page = timeout_at(deadline, self.source.page(instances, next_token));
            let page = page.await.unwrap_or(Err(Failure::Timeout.into()));
            if !matches!(page, Err(CallError::Failed(Failure::Region | Failure::Credentials))) {
                self.metrics.ec2_call();
            }
            let Err(CallError::Failed(failure)) = page else { return page };
            self.metrics.ec2_failure(failure);
            match pauses.next() {
                Some(pause) if failure.passes() && Instant::now() + pause < deadline => sleep(pause).await,
                _ => return Err(failure.into()),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::Mutex,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::ec2::Rate;

    /// EC2 as it behaves: it knows some instances, tells of none where one of them is unknown, and does what a test
    /// says beside that.
    #[derive(Debug, Default)]
    pub(in crate::ec2) struct Ec2 {
        pub(in crate::ec2) known: BTreeSet<String>,
        /// How long a call takes.
        pub(in crate::ec2) takes: Duration,
        /// What comes of the next calls.
        pub(in crate::ec2) fails: Mutex<Vec<Failure>>,
        /// How many bad IDs an error names.
        pub(in crate::ec2) names: usize,
        /// Instances on a page; 0 is all.
        pub(in crate::ec2) page: usize,
        pub(in crate::ec2) calls: Mutex<Vec<Vec<InstanceId>>>,
    }

    pub(in crate::ec2) fn id(number: u32) -> InstanceId {
        format!("i-{number:017x}").parse().unwrap()
    }

    pub(in crate::ec2) fn name(id: InstanceId) -> PrivateDnsName {
        PrivateDnsName::parse(&format!("{id}.ec2.internal")).unwrap()
    }

    pub(in crate::ec2) fn knows(numbers: impl IntoIterator<Item = u32>) -> Ec2 {
        let known = numbers.into_iter().map(|number| id(number).to_string()).collect();
        Ec2 { known, names: usize::MAX, takes: Duration::from_millis(20), ..Ec2::default() }
    }

    impl Source for std::sync::Arc<Ec2> {
        async fn page(&self, instances: &[InstanceId], next: Option<&str>) -> Result<Page, CallError> {
            self.calls.lock().unwrap().push(instances.to_vec());
            sleep(self.takes).await;
            if let Some(failure) = self.fails.lock().unwrap().pop() {
                return Err(failure.into());
            }
            let is_bad = |id: &&InstanceId| !self.known.contains(&id.to_string());
            let bad: Vec<_> = instances.iter().filter(is_bad).copied().collect();
            if !bad.is_empty() {
                return Err(CallError::Bad(bad.into_iter().take(self.names).collect()));
            }
            let begin: usize = next.map_or(0, |next| next.parse().unwrap());
            let end = if self.page == 0 { instances.len() } else { begin + self.page };
            let names = instances.iter().skip(begin).take(end - begin).map(|id| (*id, name(*id)));
            let next_token = (end < instances.len()).then(|| end.to_string());
            Ok(Page { names: names.collect(), next_token })
        }
    }

    async fn ask(ec2: Ec2, numbers: impl IntoIterator<Item = u32>) -> (BTreeMap<String, Answer>, Vec<usize>) {
        let ec2 = std::sync::Arc::new(ec2);
        let bucket = Bucket::new(Rate::new(15, 5).unwrap());
        let asker = Asker { source: std::sync::Arc::clone(&ec2), bucket, metrics: Metrics::new() };
        let deadline = Instant::now() + Duration::from_secs(8);
        let answers = asker.ask(numbers.into_iter().map(id).collect(), deadline).await;
        assert!(Instant::now() <= deadline + Duration::from_millis(1));
        let calls = ec2.calls.lock().unwrap().iter().map(Vec::len).collect();
        (answers.into_iter().map(|(id, answer)| (id.to_string(), answer)).collect(), calls)
    }

    const UNKNOWN: Answer = Err(ResolveError::Unknown);

    fn failed(failure: Failure) -> Answer {
        Err(ResolveError::Unavailable(failure))
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_one_call() {
        let (answers, calls) = ask(knows(0..100), 0..100).await;
        assert_eq!(calls, [100]);
        assert!((0..100).all(|number| answers[&id(number).to_string()] == Ok(name(id(number)))));
    }

    #[tokio::test(start_paused = true)]
    async fn bad_ones_are_taken_out_and_the_good_ones_asked_again() {
        let (answers, calls) = ask(knows(0..98), 0..100).await;
        assert_eq!(calls, [100, 98]);
        assert_eq!(answers.values().filter(|answer| **answer == UNKNOWN).count(), 2);
        assert_eq!(answers[&id(97).to_string()], Ok(name(id(97))));

        let (answers, calls) = ask(knows([]), 0..3).await;
        assert_eq!(calls, [3], "nothing is left to ask about");
        assert!(answers.values().all(|answer| *answer == UNKNOWN));
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_bad_ones_are_not_named_halves_find_them() {
        let (answers, calls) = ask(Ec2 { names: 0, ..knows(0..7) }, 0..8).await;
        assert_eq!(calls, [8, 4, 4, 2, 2, 1, 1]);
        assert_eq!(answers.values().filter(|answer| **answer == UNKNOWN).count(), 1);
        assert_eq!(answers[&id(7).to_string()], UNKNOWN);
    }

    #[tokio::test(start_paused = true)]
    async fn every_page_is_asked_for_and_not_without_end() {
        let (answers, calls) = ask(Ec2 { page: 3, ..knows(0..8) }, 0..8).await;
        assert_eq!((answers.len(), calls), (8, vec![8, 8, 8]));
        assert!(answers.values().all(Result::is_ok));
        let (answers, calls) = ask(Ec2 { page: 1, ..knows(0..40) }, 0..40).await;
        assert_eq!(calls.len(), MAX_PAGES);
        assert!(answers.values().all(|answer| *answer == failed(Failure::Unreadable)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_what_does_not_is_told_at_once() {
        let with = |fails: Vec<Failure>| Ec2 { fails: Mutex::new(fails), ..knows(0..1) };
        for passing in [Failure::Throttled, Failure::ServerError(503), Failure::Connect, Failure::Transport] {
            let (answers, calls) = ask(with(vec![passing; REPETITIONS]), [0]).await;
            assert_eq!(
                (calls.len(), answers.into_values().next().unwrap().is_ok()),
                (1 + REPETITIONS, true),
                "{passing}"
            );
            let (answers, calls) = ask(with(vec![passing; 99]), [0]).await;
            assert_eq!(answers.into_values().next(), Some(failed(passing)));
            assert_eq!(calls.len(), 1 + REPETITIONS);
        }
        for lasting in [Failure::Refused, Failure::Credentials, Failure::Region, Failure::Unreadable] {
            let (answers, calls) = ask(with(vec![lasting]), [0]).await;
            assert_eq!((answers.into_values().next(), calls.len()), (Some(failed(lasting)), 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_it() {
        let begin = Instant::now();
        let (answers, calls) = ask(Ec2 { takes: Duration::from_mins(1), ..knows(0..1) }, [0]).await;
        assert_eq!((answers.into_values().next(), calls.len()), (Some(failed(Failure::Timeout)), 1));
        assert_eq!(begin.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_limit_is_told_apart() {
        // Some two hundred calls in eight seconds are more than 5 and 15 a second.
        let (answers, calls) = ask(Ec2 { names: 0, ..knows([]) }, 0..100).await;
        assert!(calls.len() <= 5 + 8 * 15 + 1, "{}", calls.len());
        let told = |want: &Answer| answers.values().filter(|answer| *answer == want).count();
        let (unknown, overloaded) = (told(&UNKNOWN), told(&failed(Failure::Overloaded)));
        // The one under way at the deadline is no more than late.
        assert!(overloaded > 0 && unknown + overloaded + told(&failed(Failure::Timeout)) == 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is known, whatever EC2 names of it: every instance has its own answer, and one that is known
        /// never has that of one that is not.
        #[test]
        fn every_instance_has_its_own_answer(
            known in prop::collection::btree_set(0..40_u32, 0..40),
            asked in prop::collection::btree_set(0..40_u32, 1..30),
            names in prop_oneof![Just(0), Just(1), Just(3), Just(usize::MAX)],
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let ec2 = Ec2 { names, ..knows(known.clone()) };
            let (answers, _) = runtime.unwrap().block_on(ask(ec2, asked.clone()));
            prop_assert_eq!(answers.len(), asked.len());
            for number in asked {
                let want = if known.contains(&number) { Ok(name(id(number))) } else { UNKNOWN };
                prop_assert_eq!(&answers[&id(number).to_string()], &want);
            }
        }
    }
}
