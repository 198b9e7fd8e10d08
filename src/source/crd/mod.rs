//! The backend CRD: watches the cluster's IAMIdentityMapping objects.
//!
//! ```text
//! watch ─▶ list, changes ─▶ State::see ─▶ mapping::Objects ─▶ Snapshot ─▶ Publisher
//!                                │
//!                                └▶ status::Queue ─▶ status::write, a few a second ─▶ API server
//! ```
//!
//! Who is mapped is read off `spec` alone, so that it does not wait for the status, nor depend on who may write it.
//! The status is for people and for aws-iam-authenticator, which looks principals up by `status.canonicalARN`: both
//! programs write the same one, so that they can run side by side.
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
use super::watch::{Failure, Sink, watch};
use crate::{
    mapping::{BackendMode, Diagnostic, Object, ObjectSpec, Objects, Publisher, Severity, Snapshot},
    telemetry::{Diagnosis, Metrics, Quotes},
};

/// How many characters of an error about an object's form are told.
const MAX_QUOTED: usize = 200;

/// Watches the objects, publishes what they map, and keeps their status.
#[derive(Debug)]
pub struct CrdSource {
    state: State,
}

impl CrdSource {
    /// A source that publishes by `publisher`.
    #[must_use]
    pub fn new(publisher: Publisher, metrics: Metrics) -> Self {
        Self {
            state: State {
                publisher,
                metrics,
                objects: Objects::default(),
                listed: Vec::new(),
                diagnosis: Diagnosis::new("IAMIdentityMapping", None),
                is_absent: false,
                statuses: Arc::new(Queue::default()),
            },
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
    /// What the list under way has brought.
    listed: Vec<Object>,
    diagnosis: Diagnosis,
    /// The log has been told that the cluster does not have the kind.
    is_absent: bool,
    statuses: Arc<Queue>,
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
            Event::InitDone => self.objects.replace(std::mem::take(&mut self.listed)),
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
        let (snapshot, diagnostics) = self.objects.snapshot();
        self.publish(snapshot, diagnostics);
    }

    fn failed(&mut self, failure: &Failure, wait: Duration) {
        match failure.status() {
            Some(status) if is_unknown_kind(status) => self.absent(),
            Some(Status { code: 403, .. }) => {
                self.metrics.crd_watch_failure();
                tracing::error!(
                    error = %failure,
                    ?wait,
                    "not allowed to list or watch IAMIdentityMappings, and no verdict on whom no backend before \
                     CRD maps, unless they have been listed before; apply deploy/rbac.yaml, or remove CRD from \
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
             apply deploy/iamidentitymapping.yaml, or remove CRD from backend-mode; will look again every few seconds"
        );
        self.objects = Objects::default();
        self.statuses.forget_all();
        self.publish(Snapshot::empty(), Vec::new());
    }

    fn publish(&mut self, snapshot: Snapshot, diagnostics: Vec<Diagnostic>) {
        let count =
            |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        self.diagnosis.tell(diagnostics);
        let mappings = snapshot.index().len();
        tracing::info!(mappings, errors, warnings, "IAMIdentityMappings loaded");
        self.metrics.backend_loaded(BackendMode::Crd, mappings, errors, warnings);
        self.metrics.snapshot_in_force(BackendMode::Crd, &snapshot, Timestamp::now());
        self.publisher.publish(Arc::new(snapshot));
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
