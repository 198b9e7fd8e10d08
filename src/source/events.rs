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
    /// At most [`MAX_TOLD`] diagnostics, errors first.
    told: Vec<Diagnostic>,
    /// How many more there are.
    more: usize,
}

impl State {
    fn new(object: &ObjectMeta, mappings: usize, diagnostics: &[Diagnostic]) -> Self {
        let of = |severity| diagnostics.iter().filter(move |diagnostic| diagnostic.severity == severity);
        let told: Vec<_> = of(Severity::Error).chain(of(Severity::Warning)).take(MAX_TOLD).cloned().collect();
        Self {
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            mappings,
            more: diagnostics.len() - told.len(),
            told,
        }
    }

    fn has_errors(&self) -> bool {
        self.told.first().is_some_and(|diagnostic| diagnostic.severity == Severity::Error)
    }
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
        self.latest.send_replace(Some(State::new(object, mappings, diagnostics)));
    }

    /// There is no aws-auth to tell of any more.
    pub(super) fn forget(&self) {
        self.latest.send_replace(None);
    }
}

async fn tell_each(api: Api<Event>, mut seen: watch::Receiver<Option<State>>, metrics: Metrics) {
    let mut telling = Telling { budget: Budget::new(Instant::now()), last: None, failing: false, metrics };
    loop {
        if let Ok(Err(_)) = timeout(REPEAT, seen.changed()).await {
            return;
        }
        let state = seen.borrow_and_update().clone();
        telling.tell(state, |event| create(api.clone(), event)).await;
        tokio::time::sleep(SETTLE).await;
    }
}

async fn create(api: Api<Event>, event: Event) -> Result<(), String> {
    match timeout(TIMEOUT, api.create(&PostParams::default(), &event)).await {
        Ok(Ok(_)) => Ok(()),
        // Another arngate, or this one a while ago, has said the same.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// How far the telling is.
struct Telling {
    budget: Budget,
    /// The last state that was told whole.
    last: Option<State>,
    failing: bool,
    metrics: Metrics,
}

impl Telling {
    /// Tells of `state` by `send`, as far as that works. What was not told is told at the next time.
    async fn tell<F: Future<Output = Result<(), String>>>(
        &mut self,
        state: Option<State>,
        send: impl Fn(Event) -> F,
    ) {
        let events = state.as_ref().map(|state| events(state, self.last.as_ref(), Timestamp::now()));
        for event in events.into_iter().flatten() {
            if !self.budget.take(Instant::now()) {
                tracing::debug!("as many events as are sent in a while; the log has the rest");
                return;
            }
            if let Err(error) = send(event).await {
                self.metrics.event_failure();
                if !self.failing {
                    tracing::warn!(
                        error,
                        "cannot tell of aws-auth by an event; arngate needs to create events in kube-system"
                    );
                }
                self.failing = true;
                return;
            }
            self.failing = false;
        }
        self.last = state;
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
    // It comes first, since it is news, and the rest may have been told before.
    if last.is_some_and(State::has_errors) && !state.has_errors() {
        let message = format!("all that was invalid is mended; {} mappings are in force", state.mappings);
        // Each mending is news.
        let version = state.resource_version.as_deref().unwrap_or_default();
        events.push(event(state, "Normal", "MappingsMended", &message, version, now));
    }
    let mut told = BTreeSet::new();
    for diagnostic in &state.told {
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
    if state.more > 0 {
        let message =
            format!("and {} more: `arngate lint -n {NAMESPACE} configmap/{NAME}` shows all", state.more);
        events.push(event(state, "Warning", "InvalidMapping", &message, "", now));
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
    use std::future::ready;

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

    fn state(diagnostics: &[Diagnostic]) -> State {
        let (uid, resource_version) = (Some("u".to_owned()), Some("7".to_owned()));
        State::new(&ObjectMeta { uid, resource_version, ..ObjectMeta::default() }, 3, diagnostics)
    }

    fn text(event: &Event) -> (&str, &str, &str) {
        (event.type_.as_deref().unwrap(), event.reason.as_deref().unwrap(), event.message.as_deref().unwrap())
    }

    #[test]
    fn the_same_is_said_by_an_event_of_the_same_name() {
        let broken = state(&[diagnostic(2, Severity::Error)]);
        let now = Timestamp::UNIX_EPOCH;
        let (first, again) = (events(&broken, None, now), events(&broken, Some(&broken), Timestamp::now()));
        assert_eq!(text(&first[0]), ("Warning", "InvalidMapping", "mapRoles, entry 2: is wrong; mend it"));
        assert_eq!(first[0].metadata.name, again[0].metadata.name);
        let other = events(&state(&[diagnostic(3, Severity::Error)]), None, now);
        assert_ne!(first[0].metadata.name, other[0].metadata.name);
    }

    #[test]
    fn many_are_told_as_a_few_and_a_number_and_mending_is_told_once() {
        let broken = state(&(0..25).map(|number| diagnostic(number, Severity::Error)).collect::<Vec<_>>());
        let told = events(&broken, None, Timestamp::UNIX_EPOCH);
        assert_eq!(told.len(), 11);
        assert!(text(&told[10]).2.starts_with("and 15 more: `arngate lint"));
        let good = state(&[diagnostic(1, Severity::Warning)]);
        let told = events(&good, Some(&broken), Timestamp::UNIX_EPOCH);
        assert_eq!(text(&told[1]).1, "DoubtfulMapping");
        assert_eq!(
            text(&told[0]),
            ("Normal", "MappingsMended", "all that was invalid is mended; 3 mappings are in force")
        );
        assert_eq!(events(&good, Some(&good), Timestamp::UNIX_EPOCH).len(), 1);
    }

    #[test]
    fn of_many_a_few_are_held_errors_first() {
        let warnings = (0..5000).map(|number| diagnostic(number, Severity::Warning));
        let many = state(&warnings.chain([diagnostic(5000, Severity::Error)]).collect::<Vec<_>>());
        assert_eq!((many.told.len(), many.more), (MAX_TOLD, 5001 - MAX_TOLD));
        assert!(many.has_errors() && many.told[0] == diagnostic(5000, Severity::Error));
        let told = events(&many, None, Timestamp::UNIX_EPOCH);
        assert!(text(&told[10]).2.starts_with("and 4991 more"), "{told:?}");
    }

    #[tokio::test]
    async fn what_could_not_be_told_is_told_at_the_next_time() {
        let budget = Budget::new(Instant::now());
        let mut telling = Telling { budget, last: None, failing: false, metrics: Metrics::new() };
        let told = std::cell::RefCell::new(Vec::new());
        let send = |event: Event| {
            told.borrow_mut().push(event.reason.unwrap());
            ready(Ok(()))
        };
        let fail = |_| ready(Err("no".to_owned()));
        let (broken, good) = (state(&[diagnostic(1, Severity::Error)]), state(&[]));
        telling.tell(Some(broken.clone()), send).await;
        telling.tell(Some(good.clone()), fail).await;
        telling.tell(Some(good.clone()), send).await;
        assert_eq!(told.take(), ["InvalidMapping", "MappingsMended"]);

        telling.tell(Some(broken), send).await;
        telling.budget.left = 0;
        telling.tell(Some(good.clone()), send).await;
        telling.budget.left = BURST;
        telling.tell(Some(good.clone()), send).await;
        telling.tell(Some(good), send).await;
        assert_eq!(told.take(), ["InvalidMapping", "MappingsMended"], "and it is told once");
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
