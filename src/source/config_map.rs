//! The backend EKSConfigMap: watches `aws-auth` in `kube-system`.
//!
//! ```text
//! list ─▶ Init, InitApply, InitDone ─┐
//! watch ─▶ Apply, Delete ────────────┴▶ State::see ─▶ Snapshot::update(last good) ─▶ Publisher
//!   └ failure ─▶ wait (jittered, 0.5 s to 5 s) ─▶ watch or list again
//! ```

use std::{pin::pin, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    runtime::watcher::{self, Event},
};

use crate::{
    mapping::{AwsAuth, BackendMode, Diagnostic, Publisher, Severity, Snapshot},
    telemetry::Metrics,
};

/// Where aws-auth is, which is the same on every cluster.
pub const NAMESPACE: &str = "kube-system";
/// What it is called.
pub const NAME: &str = "aws-auth";

/// How long one watch lasts, in seconds; then a new one begins where it ended.
const WATCH_SECONDS: u32 = 120;
/// How long a watch may be silent before it counts as broken. Longer than a watch lasts.
pub const QUIET: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// How long a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest wait between two tries, before jitter.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How many diagnostics of one update are logged; the metrics count all.
const MAX_TOLD: usize = 50;

/// Watches aws-auth and publishes what it holds.
#[derive(Debug)]
pub struct ConfigMapSource {
    state: State,
    metrics: Metrics,
}

impl ConfigMapSource {
    /// A source that publishes by `publisher`.
    #[must_use]
    pub const fn new(publisher: Publisher, metrics: Metrics) -> Self {
        Self { state: State { publisher, metrics_of: None, last: None, listed: Listed::Not }, metrics }
    }

    /// Watches until it is dropped. Failures are logged and counted, and never end it.
    pub async fn run(mut self, client: kube::Client) {
        self.state.metrics_of = Some(self.metrics.clone());
        let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let only_this =
            watcher::Config::default().fields(&format!("metadata.name={NAME}")).timeout(WATCH_SECONDS);
        let mut patience = patience();
        loop {
            let failure = self.follow(&api, &only_this, &mut patience).await;
            self.metrics.watch_failure();
            let wait = patience.next().unwrap_or(MAX_WAIT);
            tracing::warn!(
                error = failure,
                ?wait,
                "cannot list or watch configmap/aws-auth; will list again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Lists, then watches, until something fails: what, in words. Each failure leads to a new list, since a watch
    /// that cannot go on where it ended would never show what was missed.
    async fn follow(
        &mut self,
        api: &Api<ConfigMap>,
        only_this: &watcher::Config,
        patience: &mut ExponentialBackoff,
    ) -> String {
        let mut events = pin!(watcher::watcher(api.clone(), only_this.clone()));
        let mut listed = false;
        loop {
            let limit = if listed { QUIET } else { LIST_TIMEOUT };
            let event = match tokio::time::timeout(limit, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return "the watch ended".to_owned(),
                // Debug would print whole requests; Display is a line.
                Ok(Err(error)) => return error.to_string(),
                // A watch without an event is the rule: aws-auth changes seldom.
                Err(_) if listed => continue,
                Err(_) => return format!("no list within {} s", LIST_TIMEOUT.as_secs()),
            };
            if matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_)) {
                listed = true;
                *patience = self::patience();
            }
            self.state.see(event);
        }
    }
}

/// What is between the events and the index.
#[derive(Debug)]
struct State {
    publisher: Publisher,
    metrics_of: Option<Metrics>,
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

impl State {
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
        if let Some(metrics) = &self.metrics_of {
            metrics.backend_loaded(BackendMode::EksConfigMap, mappings, errors, warnings);
        }
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

/// How long to wait after a failure: doubling from half a second to five, each with jitter, so that the
/// authenticators of several control-plane nodes do not come back at the same moment. Short at the end, since
/// one small list is cheap for an API server and a stale aws-auth is dear for its users.
fn patience() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(MAX_WAIT)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
