//! The backend EKSConfigMap: watches `aws-auth` in `kube-system`.
//!
//! ```text
//! watch ─▶ list, changes ─▶ State::see ─▶ Snapshot::update(last good) ─┬▶ Publisher
//!                                                                      ├▶ Keeper: the last good snapshot, on disk
//!                                                                      └▶ Teller: events on the ConfigMap
//! ```
//!
//! At the start, what an earlier run saw last is what the first list follows, so that a broken aws-auth keeps what was
//! good. It is put in force itself only where the API server does not answer: a mapping that was removed meanwhile
//! does not come back for as long as a list takes.

use std::{sync::Arc, time::Duration};

use super::{
    aside::{aside, retire},
    events::{self, Teller},
    last_good::{Keeper, LastGood, RESTORE_AFTER},
    watch::{Failure, Sink, watch},
};
use crate::{
    mapping::{AwsAuth, BackendMode, Figures, Publisher, Snapshot},
    telemetry::{Diagnosis, Metrics, Quotes},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    runtime::watcher::{self, Event},
};

/// Where aws-auth is, which is the same on every cluster.
pub const NAMESPACE: &str = "kube-system";
/// What it is called.
pub const NAME: &str = "aws-auth";

/// How many bytes of aws-auth are read in the watch's own task, which takes a millisecond or so.
const AT_ONCE: usize = 64 * 1024;

/// Watches aws-auth and publishes what it holds.
#[derive(Debug)]
pub struct ConfigMapSource {
    state: State,
    last_good: Option<LastGood>,
}

impl ConfigMapSource {
    /// A source that publishes by `publisher`, and keeps what was last good in `last_good`.
    #[must_use]
    pub fn new(publisher: Publisher, metrics: Metrics, last_good: Option<LastGood>) -> Self {
        let state = State {
            publisher,
            metrics,
            last: None,
            listed: Listed::Not,
            restored: None,
            keeper: None,
            teller: None,
            diagnosis: Diagnosis::new("aws-auth", None),
        };
        Self { state, last_good }
    }

    /// The same, whose log lines and events quote what aws-auth holds, or do not.
    #[must_use]
    pub fn quoting(mut self, quotes: Quotes) -> Self {
        self.state.diagnosis = self.state.diagnosis.quoting(quotes);
        self
    }

    /// Watches until it is dropped. Failures are logged and counted, and never end it.
    pub async fn run(mut self, client: kube::Client) {
        if let Some(last_good) = self.last_good.take() {
            self.read_last_good(last_good).await;
        }
        self.state.teller = Some(Teller::start(client.clone(), self.state.metrics.clone()));
        let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let only_this = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        watch(api, only_this, &mut self.state).await;
    }

    async fn read_last_good(&mut self, last_good: LastGood) {
        let (saved, keeper) = last_good.open::<Snapshot>(&self.state.metrics).await;
        if let Some(saved) = saved {
            let snapshot = Arc::new(saved.content);
            // What aws-auth holds now follows it, also where that is broken.
            self.state.last = Some(Arc::clone(&snapshot));
            self.state.restored = Some((snapshot, saved.confirmed_at));
        }
        self.state.keeper = Some(keeper);
    }
}

/// What is between the events and the index.
#[derive(Debug)]
struct State {
    publisher: Publisher,
    metrics: Metrics,
    last: Option<Arc<Snapshot>>,
    listed: Listed,
    /// What an earlier run saw last, and when, while it may still have to be put in force.
    restored: Option<(Arc<Snapshot>, Timestamp)>,
    keeper: Option<Keeper<Snapshot>>,
    teller: Option<Teller>,
    diagnosis: Diagnosis,
}

/// What the list under way has brought.
#[derive(Debug)]
enum Listed {
    /// No list is under way.
    Not,
    /// It has not named aws-auth so far.
    Nothing,
    /// It has.
    Found(Box<ConfigMap>),
}

impl Sink<ConfigMap> for State {
    fn see(&mut self, event: Event<ConfigMap>) {
        let now = Timestamp::now();
        match event {
            Event::Init => self.listed = Listed::Nothing,
            Event::InitApply(object) if is_aws_auth(&object) => {
                self.listed = Listed::Found(Box::new(object));
            }
            Event::InitDone => match std::mem::replace(&mut self.listed, Listed::Not) {
                Listed::Found(object) => self.update(*object, now),
                Listed::Nothing | Listed::Not => self.delete(now),
            },
            Event::Apply(object) if is_aws_auth(&object) => self.update(object, now),
            Event::Delete(object) if is_aws_auth(&object) => self.delete(now),
            // The field selector asks for aws-auth alone; whatever else comes is not believed.
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    /// One object is whole as soon as it is seen.
    fn settle(&mut self) {}

    fn late_after(&self) -> Option<Duration> {
        self.restored.as_ref().map(|_| RESTORE_AFTER)
    }

    fn late(&mut self) {
        self.restore();
    }

    fn quiet(&mut self) {
        self.confirm(Timestamp::now());
    }

    fn failed(&mut self, failure: &Failure, wait: Duration) {
        self.metrics.watch_failure();
        self.restore();
        tracing::warn!(
            error = %failure,
            ?wait,
            "cannot list or watch configmap/aws-auth; will list again"
        );
    }
}

impl State {
    fn update(&mut self, object: ConfigMap, now: Timestamp) {
        let metadata = events::metadata(&object);
        let aws_auth = held(object);
        let last = self.last.as_deref();
        let is_long = aws_auth.data.values().map(String::len).sum::<usize>() > AT_ONCE;
        let (snapshot, diagnostics) = aside(is_long, || Snapshot::update(last, &aws_auth));
        let diagnostics = aside(is_long, || self.diagnosis.tell(diagnostics));
        if let Some(teller) = &self.teller {
            teller.tell(&metadata, snapshot.index().len(), &diagnostics);
        }
        self.publish(snapshot, now);
    }

    /// Deleting the ConfigMap is clear: nobody is mapped by it any more.
    fn delete(&mut self, now: Timestamp) {
        if self.last.as_ref().is_none_or(|last| !last.index().is_empty()) {
            tracing::warn!("there is no configmap/aws-auth in kube-system: this backend maps nobody");
        }
        if let Some(teller) = &self.teller {
            teller.forget();
        }
        self.diagnosis.tell(Vec::new());
        self.publish(Snapshot::empty(), now);
    }

    fn publish(&mut self, snapshot: Snapshot, now: Timestamp) {
        let snapshot = Arc::new(snapshot);
        self.restored = None;
        self.publisher.publish(Arc::clone(&snapshot));
        let Figures { invalid, kept, errors, warnings } = snapshot.figures();
        let mappings = snapshot.index().len();
        tracing::info!(mappings, invalid, kept, errors, warnings, "aws-auth loaded");
        self.metrics.backend_loaded(BackendMode::EksConfigMap, mappings, errors, warnings);
        self.metrics.snapshot_in_force(BackendMode::EksConfigMap, &snapshot, now);
        self.metrics.restored(BackendMode::EksConfigMap, false);
        let before = self.last.replace(snapshot);
        self.keep(now);
        if let Some(before) = before {
            retire(before);
        }
    }

    /// Puts in force what an earlier run saw last, until aws-auth has been read.
    fn restore(&mut self) {
        let Some((snapshot, confirmed_at)) = self.restored.take() else { return };
        tracing::warn!(
            mappings = snapshot.index().len(),
            %confirmed_at,
            "the API server has not answered yet: serving the last good snapshot of aws-auth; whom it does not map \
             gets no verdict"
        );
        self.metrics.restored(BackendMode::EksConfigMap, true);
        self.publisher.publish_restored(snapshot, confirmed_at);
    }

    /// aws-auth is what it was: a watch that had failed would have ended.
    fn confirm(&mut self, now: Timestamp) {
        if let Some(keeper) = &mut self.keeper {
            keeper.confirm(now);
        }
    }

    fn keep(&mut self, now: Timestamp) {
        if let (Some(keeper), Some(last)) = (&mut self.keeper, &self.last) {
            keeper.keep(Arc::clone(last), now);
        }
    }
}

/// What the object says.
pub(super) fn held(object: ConfigMap) -> AwsAuth {
    AwsAuth {
        data: object.data.unwrap_or_default(),
        binary: object.binary_data.unwrap_or_default().into_keys().collect(),
    }
}

/// Whether it is aws-auth and no other.
pub(super) fn is_aws_auth(object: &ConfigMap) -> bool {
    object.metadata.name.as_deref() == Some(NAME) && object.metadata.namespace.as_deref() == Some(NAMESPACE)
}
