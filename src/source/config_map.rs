//! The backend EKSConfigMap: watches `aws-auth` in `kube-system`.
//!
//! ```text
//! watch ─▶ list, changes ─▶ State::see ─▶ Snapshot::update(last good) ─▶ Publisher
//! ```

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    runtime::watcher::{self, Event},
};

use super::watch::{Failure, Sink, watch};
use crate::{
    mapping::{AwsAuth, BackendMode, Diagnostic, Publisher, Severity, Snapshot},
    telemetry::Metrics,
};

/// Where aws-auth is, which is the same on every cluster.
pub const NAMESPACE: &str = "kube-system";
/// What it is called.
pub const NAME: &str = "aws-auth";

/// How many diagnostics of one update are logged; the metrics count all.
const MAX_TOLD: usize = 50;

/// Watches aws-auth and publishes what it holds.
#[derive(Debug)]
pub struct ConfigMapSource {
    state: State,
}

impl ConfigMapSource {
    /// A source that publishes by `publisher`.
    #[must_use]
    pub const fn new(publisher: Publisher, metrics: Metrics) -> Self {
        Self { state: State { publisher, metrics, last: None, listed: Listed::Not } }
    }

    /// Watches until it is dropped. Failures are logged and counted, and never end it.
    pub async fn run(mut self, client: kube::Client) {
        let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let only_this = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        watch(api, only_this, &mut self.state).await;
    }
}

/// What is between the events and the index.
#[derive(Debug)]
struct State {
    publisher: Publisher,
    metrics: Metrics,
    last: Option<Arc<Snapshot>>,
    listed: Listed,
}

/// What the list under way has brought.
#[derive(Debug)]
enum Listed {
    /// No list is under way.
    Not,
    /// It has not named aws-auth so far.
    Nothing,
    /// It has.
    Found(AwsAuth),
}

impl Sink<ConfigMap> for State {
    fn see(&mut self, event: Event<ConfigMap>) {
        match event {
            Event::Init => self.listed = Listed::Nothing,
            Event::InitApply(object) if is_aws_auth(&object) => {
                self.listed = Listed::Found(held(object));
            }
            Event::InitDone => match std::mem::replace(&mut self.listed, Listed::Not) {
                Listed::Found(aws_auth) => self.update(&aws_auth),
                Listed::Nothing | Listed::Not => self.delete(),
            },
            Event::Apply(object) if is_aws_auth(&object) => self.update(&held(object)),
            Event::Delete(object) if is_aws_auth(&object) => self.delete(),
            // The field selector asks for aws-auth alone; whatever else comes is not believed.
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    /// One object is whole as soon as it is seen.
    fn settle(&mut self) {}

    fn failed(&mut self, failure: &Failure, wait: Duration) {
        self.metrics.watch_failure();
        tracing::warn!(
            error = %failure,
            ?wait,
            "cannot list or watch configmap/aws-auth; will list again"
        );
    }
}

impl State {
    fn update(&mut self, aws_auth: &AwsAuth) {
        let (snapshot, diagnostics) = Snapshot::update(self.last.as_deref(), aws_auth);
        self.publish(snapshot, &diagnostics);
    }

    /// Deleting the ConfigMap is clear: nobody is mapped by it any more.
    fn delete(&mut self) {
        if self.last.as_ref().is_none_or(|last| !last.index().is_empty()) {
            tracing::warn!("there is no configmap/aws-auth in kube-system: this backend maps nobody");
        }
        self.publish(Snapshot::empty(), &[]);
    }

    fn publish(&mut self, snapshot: Snapshot, diagnostics: &[Diagnostic]) {
        let snapshot = Arc::new(snapshot);
        let count =
            |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        for diagnostic in diagnostics.iter().take(MAX_TOLD) {
            match diagnostic.severity {
                Severity::Error => tracing::error!(%diagnostic, "aws-auth"),
                Severity::Warning => tracing::warn!(%diagnostic, "aws-auth"),
            }
        }
        let mappings = snapshot.index().len();
        tracing::info!(mappings, errors, warnings, "aws-auth loaded");
        self.metrics.backend_loaded(BackendMode::EksConfigMap, mappings, errors, warnings);
        self.publisher.publish(Arc::clone(&snapshot));
        self.last = Some(snapshot);
    }
}

fn held(object: ConfigMap) -> AwsAuth {
    AwsAuth {
        data: object.data.unwrap_or_default(),
        binary: object.binary_data.unwrap_or_default().into_keys().collect(),
    }
}

fn is_aws_auth(object: &ConfigMap) -> bool {
    object.metadata.name.as_deref() == Some(NAME) && object.metadata.namespace.as_deref() == Some(NAMESPACE)
}
