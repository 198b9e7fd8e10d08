//! The backend CRD: watches the cluster's IAMIdentityMapping objects.
//!
//! ```text
//! watch ─▶ list, changes ─▶ State::see ─▶ mapping::Objects ─┬▶ Snapshot ─▶ Publisher
//!                                │                         └▶ Keeper: what each gives, on disk
//!                                └▶ status::Queue ─▶ status::write, a few a second ─▶ API server
//! ```
//!
//! Who is mapped is read off `spec` alone, so that it does not wait for the status, nor depend on who may write it.
//! The status is for people and for aws-iam-authenticator, which looks principals up by `status.canonicalARN`: both
//! programs write the same one, so that they can run side by side.
//!
//! What an earlier run saw last is what the first list follows, and is put in force where the API server does not answer,
//! as with aws-auth.
//!
//! A cluster without the CRD has no mappings there: that is loaded, and looked at again within seconds. One that does
//! not let arngate list them may have any: such a backend stays without a verdict.

pub mod definition;
mod status;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::Status,
    runtime::watcher::{self, Event},
};
use serde::Deserialize;

use self::{
    definition::{IamIdentityMapping, IamIdentityMappingSpec, IamIdentityMappingStatus},
    status::{Queue, Wanted},
};
use super::{
    aside::{FEW, aside, retire},
    last_good::{Keeper, LastGood, RESTORE_AFTER},
    watch::{Failure, Sink, watch},
};
use crate::{
    mapping::{
        BackendMode, Diagnostic, Object, ObjectRecords, ObjectSpec, Objects, Publisher, Severity, Snapshot,
    },
    telemetry::{Diagnosis, Metrics, Quotes},
};

/// How many characters of an error about an object's form are told.
const MAX_QUOTED: usize = 200;

/// Watches the objects, publishes what they map, and keeps their status.
#[derive(Debug)]
pub struct CrdSource {
    state: State,
    last_good: Option<LastGood>,
}

impl CrdSource {
    /// A source that publishes by `publisher`, and keeps what was last good in `last_good`.
    #[must_use]
    pub fn new(publisher: Publisher, metrics: Metrics, last_good: Option<LastGood>) -> Self {
        Self {
            state: State {
                publisher,
                metrics,
                objects: Objects::default(),
                last: None,
                listed: Vec::new(),
                diagnosis: Diagnosis::new("IAMIdentityMapping", None),
                is_absent: false,
                statuses: Arc::new(Queue::default()),
                restored: None,
                keeper: None,
            },
            last_good,
        }
    }

    /// The same, whose log lines quote what the objects hold, or do not.
    #[must_use]
    pub fn quoting(mut self, quotes: Quotes) -> Self {
        self.state.diagnosis = self.state.diagnosis.quoting(quotes);
        self
    }

    /// Watches until it is dropped. Failures are logged and counted, and never end it.
    pub async fn run(mut self, client: Client) {
        if let Some(last_good) = self.last_good.take() {
            let (saved, keeper) = last_good.open::<ObjectRecords>(&self.state.metrics).await;
            if let Some(saved) = saved {
                // What is listed follows it, also where that is broken.
                self.state.objects = Objects::from_records(saved.content);
                self.state.restored = Some(saved.confirmed_at);
            }
            self.state.keeper = Some(keeper);
        }
        // One object that is not of the kind's form must not keep the others from being read, so each is read by
        // itself.
        let resource = ApiResource::erase::<IamIdentityMapping>(&());
        let api: Api<DynamicObject> = Api::all_with(client, &resource);
        let statuses = Arc::clone(&self.state.statuses);
        let metrics = self.state.metrics.clone();
        tokio::join!(
            watch(api.clone(), watcher::Config::default(), &mut self.state),
            status::write(&api, &statuses, &metrics),
        );
    }
}

/// What is between the events and the index.
#[derive(Debug)]
struct State {
    publisher: Publisher,
    metrics: Metrics,
    objects: Objects,
    /// What is in force.
    last: Option<Arc<Snapshot>>,
    /// What the list under way has brought.
    listed: Vec<Object>,
    diagnosis: Diagnosis,
    /// The log has been told that the cluster does not have the kind.
    is_absent: bool,
    statuses: Arc<Queue>,
    /// When an earlier run last knew the objects to be in force, while they may still have to be put in force.
    restored: Option<Timestamp>,
    keeper: Option<Keeper<ObjectRecords>>,
}

impl Sink<DynamicObject> for State {
    fn see(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listed = Vec::new(),
            Event::InitApply(object) => {
                if let Some(object) = self.read(object) {
                    self.listed.push(object);
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                aside(listed.len() > FEW, || self.objects.replace(listed));
            }
            Event::Apply(object) => {
                if let Some(object) = self.read(object) {
                    self.objects.apply(object);
                }
            }
            Event::Delete(object) => {
                let name = object.metadata.name.unwrap_or_default();
                self.statuses.forget(&name);
                self.objects.delete(&name);
            }
        }
    }

    fn settle(&mut self) {
        self.is_absent = false;
        let (snapshot, diagnostics) = aside(self.objects.len() > FEW, || self.objects.snapshot());
        self.publish(snapshot, diagnostics);
    }

    fn late_after(&self) -> Option<Duration> {
        self.restored.map(|_| RESTORE_AFTER)
    }

    fn late(&mut self) {
        self.restore();
    }

    /// The objects are what they were: a watch that had failed would have ended.
    fn quiet(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.confirm(Timestamp::now());
        }
    }

    fn failed(&mut self, failure: &Failure, wait: Duration) {
        if failure.status().is_none_or(|status| !is_unknown_kind(status)) {
            self.restore();
        }
        match failure.status() {
            Some(status) if is_unknown_kind(status) => self.absent(),
            Some(Status { code: 403, .. }) => {
                self.metrics.crd_watch_failure();
                tracing::error!(
                    error = %failure,
                    ?wait,
                    "not allowed to list or watch IAMIdentityMappings, and no verdict on whom no backend before \
                     CRD maps, unless they have been listed before; apply deploy/crd/rbac.yaml, or remove CRD from \
                     backend-mode"
                );
            }
            _ => {
                self.metrics.crd_watch_failure();
                tracing::warn!(error = %failure, ?wait, "cannot list or watch IAMIdentityMappings; will list again");
            }
        }
    }
}

impl State {
    /// Reads an object, and sees to its status.
    fn read(&self, object: DynamicObject) -> Option<Object> {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let (object, status) = read(object)?;
        let name = &object.name;
        match object.spec.as_ref().ok().and_then(|spec| Wanted::status(&spec.arn, &status)) {
            Some(patch) => self.statuses.want(name.to_string(), Wanted { version, status: patch }),
            None => self.statuses.forget(name),
        }
        Some(object)
    }

    /// The cluster does not know the kind: there are no objects, and nobody is mapped by one.
    fn absent(&mut self) {
        if std::mem::replace(&mut self.is_absent, true) {
            return;
        }
        tracing::warn!(
            "the cluster has no IAMIdentityMapping (iamauthenticator.k8s.aws/v1alpha1): this backend maps nobody; \
             apply deploy/crd/iamidentitymapping.yaml, or remove CRD from backend-mode; will look again every few seconds"
        );
        aside(self.objects.len() > FEW, || self.objects = Objects::default());
        self.statuses.forget_all();
        self.publish(Snapshot::empty(), Vec::new());
    }

    /// Puts in force what an earlier run saw last, until the objects have been listed.
    fn restore(&mut self) {
        let Some(confirmed_at) = self.restored.take() else { return };
        let (snapshot, _) = self.objects.snapshot();
        tracing::warn!(
            mappings = snapshot.index().len(),
            %confirmed_at,
            "the IAMIdentityMappings have not been listed yet: serving those that were last good; whom they do not map \
             gets no verdict"
        );
        self.metrics.restored(BackendMode::Crd, true);
        self.publisher.publish_restored(Arc::new(snapshot), confirmed_at);
    }

    fn publish(&mut self, snapshot: Snapshot, diagnostics: Vec<Diagnostic>) {
        let now = Timestamp::now();
        self.restored = None;
        let count =
            |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        aside(diagnostics.len() > FEW, || self.diagnosis.tell(diagnostics));
        let mappings = snapshot.index().len();
        tracing::info!(mappings, errors, warnings, "IAMIdentityMappings loaded");
        self.metrics.backend_loaded(BackendMode::Crd, mappings, errors, warnings);
        self.metrics.snapshot_in_force(BackendMode::Crd, &snapshot, now);
        self.metrics.restored(BackendMode::Crd, false);
        let snapshot = Arc::new(snapshot);
        self.publisher.publish(Arc::clone(&snapshot));
        if let Some(before) = self.last.replace(snapshot) {
            retire(before);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(Arc::new(self.objects.records()), now);
        }
    }
}

/// Whether the API server does not know the kind. Something else before it, a proxy or a load balancer, may answer 404
/// as well, and says nothing of the objects by that.
pub(super) fn is_unknown_kind(status: &Status) -> bool {
    status.code == 404 && (status.reason == "NotFound" || status.message == "404 page not found")
}

/// An object as mappings know it, and its status; one that cannot be read is none. `None` where it has no name, which
/// the API server gives every object.
pub(super) fn read(object: DynamicObject) -> Option<(Object, IamIdentityMappingStatus)> {
    let DynamicObject { metadata, data, .. } = object;
    let (spec, status) = fields(&data);
    let created = metadata.creation_timestamp.map(|time| time.0);
    Some((Object { name: metadata.name?.into(), uid: metadata.uid, created, spec }, status))
}

/// An object's spec, or why it cannot be read, and its status.
fn fields(data: &serde_json::Value) -> (Result<ObjectSpec, String>, IamIdentityMappingStatus) {
    let field = |name| data.get(name).unwrap_or(&serde_json::Value::Null);
    let spec = match field("spec") {
        serde_json::Value::Null => Err("there is none".to_owned()),
        // What serde quotes may be as long as the object.
        spec => IamIdentityMappingSpec::deserialize(spec)
            .map_err(|error| error.to_string().chars().take(MAX_QUOTED).collect()),
    };
    let spec = spec.map(|IamIdentityMappingSpec { arn, username, groups }| ObjectSpec {
        arn,
        username,
        groups: groups.unwrap_or_default(),
    });
    (spec, IamIdentityMappingStatus::deserialize(field("status")).unwrap_or_default())
}

#[cfg(test)]
mod tests;
