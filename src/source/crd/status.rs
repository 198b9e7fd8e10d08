//! The status of IAMIdentityMappings: written where it is not what it should be, a few a second, at leisure.
//!
//! Every arngate and every aws-iam-authenticator of a cluster does the same. A write names the version of the object
//! that it was made from, so that the API server refuses it where somebody was faster; what the object is then comes by
//! the watch.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::definition::IamIdentityMappingStatus;
use crate::{
    identity::Principal,
    telemetry::{Metrics, StatusWrite},
};

/// As whom the API server has it in `metadata.managedFields`.
const FIELD_MANAGER: &str = "arngate";
/// The shortest time between two writes: a cluster of ten thousand objects is done in half an hour, and no API server
/// notices.
const BETWEEN_WRITES: Duration = Duration::from_millis(200);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait after a failure, before jitter.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// A status that an object should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The `metadata.resourceVersion` that it was made from.
    pub(super) version: String,
    /// The status.
    pub(super) status: IamIdentityMappingStatus,
}

impl Wanted {
    /// What the status of an object whose `spec.arn` is `arn` should be; nothing where `has` is that already, or where
    /// the ARN cannot be read.
    ///
    /// `canonicalARN` is what aws-iam-authenticator makes of the ARN, a role's path included. `userID` stays as it is,
    /// or is empty: that program writes none either.
    pub(super) fn status(arn: &str, has: &IamIdentityMappingStatus) -> Option<IamIdentityMappingStatus> {
        let canonical_arn = Principal::parse_mapped(arn.trim()).ok()?.canonical_arn().to_ascii_lowercase();
        if has.canonical_arn.as_ref() == Some(&canonical_arn) {
            return None;
        }
        Some(IamIdentityMappingStatus {
            canonical_arn: Some(canonical_arn),
            user_id: Some(has.user_id.clone().unwrap_or_default()),
        })
    }
}

/// The objects whose status is to be written, each once, in the order in which they came. No longer than there are
/// objects.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    by_name: HashMap<String, (u64, Wanted)>,
    /// The same names by the number that each was given when it came.
    order: BTreeMap<u64, String>,
    numbers: u64,
}

impl Waiting {
    fn insert(&mut self, name: String, wanted: Wanted) {
        self.remove(&name);
        self.numbers += 1;
        self.order.insert(self.numbers, name.clone());
        self.by_name.insert(name, (self.numbers, wanted));
    }

    fn remove(&mut self, name: &str) {
        if let Some((number, _)) = self.by_name.remove(name) {
            self.order.remove(&number);
        }
    }

    fn pop(&mut self) -> Option<(String, Wanted)> {
        let (_, name) = self.order.pop_first()?;
        let (_, wanted) = self.by_name.remove(&name)?;
        Some((name, wanted))
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the object called `name` in, in the place of what it had there before.
    pub(super) fn want(&self, name: String, wanted: Wanted) {
        self.lock().insert(name, wanted);
        self.changed.notify_one();
    }

    /// Takes the object called `name` out: its status is right, or it is gone.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Takes all objects out.
    pub(super) fn forget_all(&self) {
        *self.lock() = Waiting::default();
    }

    /// The first one, once there is one, taken out.
    pub(super) async fn next(&self) -> (String, Wanted) {
        loop {
            let first = self.lock().pop();
            match first {
                Some(first) => return first,
                None => self.changed.notified().await,
            }
        }
    }

    /// Puts one that could not be written behind the others, unless there is a newer one of it.
    fn put_back(&self, name: String, wanted: Wanted) {
        let mut waiting = self.lock();
        if !waiting.by_name.contains_key(&name) {
            waiting.insert(name, wanted);
        }
    }
}

/// Writes what `queue` has, until it is dropped. Failures are logged and counted, and tried again behind the others.
pub(super) async fn write(api: &Api<DynamicObject>, queue: &Queue, metrics: &Metrics) {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut pace = tokio::time::interval(BETWEEN_WRITES);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut patience = patience();
    loop {
        let (name, wanted) = queue.next().await;
        pace.tick().await;
        // With the version, the API server takes it only where nobody else has written since.
        let patch = json!({"metadata": {"resourceVersion": &wanted.version}, "status": &wanted.status});
        let patch = Patch::Merge(patch);
        let (error, is_final) =
            match tokio::time::timeout(WRITE_TIMEOUT, api.patch_status(&name, &params, &patch)).await {
                Ok(Ok(_)) => {
                    metrics.crd_status_write(StatusWrite::Written);
                    patience = self::patience();
                    continue;
                }
                // Changed or gone since; the watch brings what it is now.
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                    metrics.crd_status_write(StatusWrite::Outdated);
                    continue;
                }
                // The object itself does not hold, and will not before it is changed.
                Ok(Err(error @ kube::Error::Api(_))) if is_invalid(&error) => (error.to_string(), true),
                Ok(Err(error)) => (error.to_string(), false),
                Err(_) => (format!("no answer within {} s", WRITE_TIMEOUT.as_secs()), false),
            };
        metrics.crd_status_write(StatusWrite::Failed);
        if is_final {
            tracing::warn!(name, error, "the API server does not take the status of an IAMIdentityMapping");
            continue;
        }
        let wait = patience.next().unwrap_or(MAX_WAIT);
        tracing::warn!(
            name,
            error,
            ?wait,
            "cannot write the status of an IAMIdentityMapping, by which nobody is authenticated here; will try again"
        );
        queue.put_back(name, wanted);
        tokio::time::sleep(wait).await;
    }
}

fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

fn patience() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        // Jitter adds up to as much again.
        .with_max_delay(MAX_WAIT / 2)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(canonical_arn: &str) -> IamIdentityMappingStatus {
        IamIdentityMappingStatus { canonical_arn: Some(canonical_arn.to_owned()), user_id: None }
    }

    fn wanted(version: &str) -> Wanted {
        Wanted { version: version.to_owned(), status: status("arn") }
    }

    #[test]
    fn the_canonical_arn_is_the_one_that_aws_iam_authenticator_writes() {
        for (arn, wanted) in [
            ("arn:aws:iam::111122223333:role/Team/Admin", "arn:aws:iam::111122223333:role/team/admin"),
            ("arn:aws:sts::111122223333:assumed-role/Admin/alice", "arn:aws:iam::111122223333:role/admin"),
            ("arn:aws:iam::111122223333:user/Ops/Bob", "arn:aws:iam::111122223333:user/ops/bob"),
            ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
            ("arn:aws:sts::111122223333:federated-user/Bob", "arn:aws:sts::111122223333:federated-user/bob"),
        ] {
            let written = Wanted::status(arn, &IamIdentityMappingStatus::default()).unwrap();
            assert_eq!(written.canonical_arn.as_deref(), Some(wanted));
            assert_eq!(written.user_id.as_deref(), Some(""));
            assert_eq!(Wanted::status(arn, &written), None, "it is right, and stays");
            assert_eq!(Wanted::status(arn, &status(wanted)), None, "whether or not there is a user ID");
        }
        let none = IamIdentityMappingStatus::default();
        assert_eq!(Wanted::status("arn:aws:iam::111122223333:group/Admins", &none), None);
    }

    #[test]
    fn a_user_id_that_somebody_wrote_stays() {
        let has = IamIdentityMappingStatus { user_id: Some("AIDAEXAMPLE".to_owned()), ..status("arn") };
        let written = Wanted::status("arn:aws:iam::111122223333:user/bob", &has).unwrap();
        assert_eq!(written.user_id.as_deref(), Some("AIDAEXAMPLE"));
    }

    #[tokio::test]
    async fn each_object_waits_once_with_what_it_wanted_last() {
        let queue = Queue::default();
        queue.want("a".to_owned(), wanted("1"));
        queue.want("b".to_owned(), wanted("2"));
        queue.want("gone".to_owned(), wanted("3"));
        queue.want("a".to_owned(), wanted("4"));
        queue.forget("gone");
        assert_eq!(queue.next().await, ("b".to_owned(), wanted("2")));
        queue.want("c".to_owned(), wanted("5"));
        queue.put_back("b".to_owned(), wanted("2"));
        queue.put_back("c".to_owned(), wanted("1"));
        for (name, version) in [("a", "4"), ("c", "5"), ("b", "2")] {
            assert_eq!(queue.next().await, (name.to_owned(), wanted(version)));
        }
        assert!(queue.lock().by_name.is_empty() && queue.lock().order.is_empty());
    }
}
