//! Events on the ConfigMap, so that whoever edits it sees what became of the edit:
//! `kubectl describe -n kube-system configmap/aws-auth`.
//!
//! An event's name is made from what it says, so that the arngates of several control-plane nodes, and one that says
//! the same again, make one event of it. What still holds is told again from time to time, since an API server keeps
//! events for an hour. They are core/v1's, which aws-iam-authenticator's own ClusterRole allows too.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::config_map::{NAME, NAMESPACE};
use crate::{
    mapping::{Diagnostic, Severity},
    telemetry::Metrics,
};

/// Who tells.
const COMPONENT: &str = "arngate";
/// How many diagnostics of one state are told; one more event says how many there are.
const MAX_TOLD: usize = 10;
/// The longest message that an event has, in characters.
const MAX_MESSAGE: usize = 1024;
/// How often what still holds is told again. The API server keeps an event for an hour by default.
const REPEAT: Duration = Duration::from_mins(10);
/// How long after telling of one state the next one waits: of edits in between only the last is told.
const SETTLE: Duration = Duration::from_secs(1);
/// How long one event may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many events there are at most in a burst, and how long it takes until one more is allowed.
const BURST: usize = 30;
const REFILL: Duration = Duration::from_mins(1);

/// What is to be told of aws-auth as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    uid: Option<String>,
    resource_version: Option<String>,
    mappings: usize,
    diagnostics: Vec<Diagnostic>,
}

/// Has the latest state told. When it is dropped, telling ends.
#[derive(Debug)]
pub(super) struct Teller {
    latest: watch::Sender<Option<State>>,
    _task: AbortOnDropHandle<()>,
}

impl Teller {
    /// Starts telling by `client`. Needs a runtime's context.
    #[must_use]
    pub(super) fn start(client: kube::Client, metrics: Metrics) -> Self {
        let (latest, seen) = watch::channel(None);
        let task = tokio::spawn(tell_each(Api::namespaced(client, NAMESPACE), seen, metrics));
        Self { latest, _task: AbortOnDropHandle::new(task) }
    }

    /// Tells of `object`, of which `mappings` are in force.
    pub(super) fn tell(&self, object: &ObjectMeta, mappings: usize, diagnostics: &[Diagnostic]) {
        let (uid, resource_version) = (object.uid.clone(), object.resource_version.clone());
        let mut diagnostics = diagnostics.to_vec();
        diagnostics.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
        self.latest.send_replace(Some(State { uid, resource_version, mappings, diagnostics }));
    }

    /// There is no aws-auth to tell of any more.
    pub(super) fn forget(&self) {
        self.latest.send_replace(None);
    }
}

async fn tell_each(api: Api<Event>, mut seen: watch::Receiver<Option<State>>, metrics: Metrics) {
    let mut budget = Budget::new(Instant::now());
    let mut last: Option<State> = None;
    let mut failing = false;
    loop {
        if let Ok(Err(_)) = timeout(REPEAT, seen.changed()).await {
            return;
        }
        let state = seen.borrow_and_update().clone();
        let events = state.as_ref().map(|state| events(state, last.as_ref(), Timestamp::now()));
        for event in events.into_iter().flatten() {
            if !budget.take(Instant::now()) {
                tracing::debug!("as many events as are sent in a while; the log has the rest");
                break;
            }
            let params = PostParams::default();
            let error = match timeout(TIMEOUT, api.create(&params, &event)).await {
                Ok(Ok(_)) => None,
                // Another arngate, or this one a while ago, has said the same.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", TIMEOUT.as_secs())),
            };
            if let Some(error) = error {
                metrics.event_failure();
                if !failing {
                    tracing::warn!(
                        error,
                        "cannot tell of aws-auth by an event; arngate needs to create events in kube-system"
                    );
                }
                failing = true;
                break;
            }
            failing = false;
        }
        last = state;
        tokio::time::sleep(SETTLE).await;
    }
}

/// How many events may still be sent.
struct Budget {
    left: usize,
    refilled: Instant,
}

impl Budget {
    const fn new(now: Instant) -> Self {
        Self { left: BURST, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && now.duration_since(self.refilled) >= REFILL {
            self.left += 1;
            self.refilled += REFILL;
        }
        if self.left == BURST {
            self.refilled = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// The events of `state`, which follows `last`.
fn events(state: &State, last: Option<&State>, now: Timestamp) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut told = BTreeSet::new();
    for diagnostic in state.diagnostics.iter().take(MAX_TOLD) {
        let reason = match diagnostic.severity {
            Severity::Error => "InvalidMapping",
            Severity::Warning => "DoubtfulMapping",
        };
        let message = diagnostic.to_string();
        if !told.contains(&message) {
            events.push(event(state, "Warning", reason, &message, "", now));
            told.insert(message);
        }
    }
    let more = state.diagnostics.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        let message = format!("and {more} more: `arngate lint -n {NAMESPACE} configmap/{NAME}` shows all");
        events.push(event(state, "Warning", "InvalidMapping", &message, "", now));
    }
    let errors = |state: &State| state.diagnostics.iter().any(|found| found.severity == Severity::Error);
    if last.is_some_and(errors) && !errors(state) {
        let message = format!("all that was invalid is mended; {} mappings are in force", state.mappings);
        // Each mending is news.
        let version = state.resource_version.as_deref().unwrap_or_default();
        events.push(event(state, "Normal", "MappingsMended", &message, version, now));
    }
    events
}

fn event(state: &State, kind: &str, reason: &str, message: &str, distinct: &str, now: Timestamp) -> Event {
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    let uid = state.uid.as_deref().unwrap_or_default();
    let digest = Sha256::digest([uid, kind, reason, &message, distinct].join("\n"));
    let name = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{NAME}.{name:016x}")),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            uid: state.uid.clone(),
            resource_version: state.resource_version.clone(),
            ..ObjectReference::default()
        },
        type_: Some(kind.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        ..Event::default()
    }
}

/// What an object's metadata says of it, without its content.
#[must_use]
pub(super) fn metadata(object: &ConfigMap) -> ObjectMeta {
    ObjectMeta {
        uid: object.metadata.uid.clone(),
        resource_version: object.metadata.resource_version.clone(),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Place, Section};

    fn diagnostic(number: usize, severity: Severity) -> Diagnostic {
        Diagnostic {
            severity,
            place: Place::List { section: Section::Roles, entry: Some(number), position: None },
            message: "is wrong".into(),
            advice: "mend it".to_owned(),
        }
    }

    fn state(diagnostics: Vec<Diagnostic>) -> State {
        let (uid, resource_version) = (Some("u".to_owned()), Some("7".to_owned()));
        State { uid, resource_version, mappings: 3, diagnostics }
    }

    fn text(event: &Event) -> (&str, &str, &str) {
        (event.type_.as_deref().unwrap(), event.reason.as_deref().unwrap(), event.message.as_deref().unwrap())
    }

    #[test]
    fn the_same_is_said_by_an_event_of_the_same_name() {
        let broken = state(vec![diagnostic(2, Severity::Error)]);
        let now = Timestamp::UNIX_EPOCH;
        let (first, again) = (events(&broken, None, now), events(&broken, Some(&broken), Timestamp::now()));
        assert_eq!(text(&first[0]), ("Warning", "InvalidMapping", "mapRoles, entry 2: is wrong; mend it"));
        assert_eq!(first[0].metadata.name, again[0].metadata.name);
        let other = events(&state(vec![diagnostic(3, Severity::Error)]), None, now);
        assert_ne!(first[0].metadata.name, other[0].metadata.name);
    }

    #[test]
    fn many_are_told_as_a_few_and_a_number_and_mending_is_told_once() {
        let broken = state((0..25).map(|number| diagnostic(number, Severity::Error)).collect());
        let told = events(&broken, None, Timestamp::UNIX_EPOCH);
        assert_eq!(told.len(), 11);
        assert!(text(&told[10]).2.starts_with("and 15 more: `arngate lint"));
        let good = state(vec![diagnostic(1, Severity::Warning)]);
        let told = events(&good, Some(&broken), Timestamp::UNIX_EPOCH);
        assert_eq!(text(&told[0]).1, "DoubtfulMapping");
        assert_eq!(
            text(&told[1]),
            ("Normal", "MappingsMended", "all that was invalid is mended; 3 mappings are in force")
        );
        assert_eq!(events(&good, Some(&good), Timestamp::UNIX_EPOCH).len(), 1);
    }

    #[test]
    fn there_are_as_many_as_the_budget_has() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!((0..BURST).all(|_| budget.take(start)));
        assert!(!budget.take(start));
        assert!(budget.take(start + REFILL) && !budget.take(start + REFILL));
        assert_eq!((0..10).filter(|_| budget.take(start + REFILL * 4)).count(), 3);
    }
}
