use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// How many requests are remembered one by one.
const REMEMBERED: usize = 1024;

/// A request as the emulator saw it. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The HTTP method.
    pub method: String,
    /// The `Host` header, as it came.
    pub host: String,
    /// The `x-k8s-aws-id` header, as it came.
    pub cluster_id: Option<String>,
    /// The action asked for.
    pub action: Option<String>,
    /// The instances that it asks about.
    pub instances: Vec<String>,
    /// The access key that the request says it is signed with.
    pub access_key_id: Option<String>,
    /// `Success`, the error's code, or the fault: `Reset`, `Hang`, `Redirect`, `Body`.
    pub outcome: &'static str,
}

/// What an emulator has seen since it started, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Requests, faulty ones included.
    pub calls: u64,
    /// TLS connections.
    pub connections: u64,
    /// How many of the access keys that it knows have been used.
    pub access_keys: usize,
    /// How many requests came to what; see [`Record::outcome`].
    pub outcomes: BTreeMap<String, u64>,
}

impl Seen {
    /// What has come since `before`; access keys are those of all time.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let outcomes = self.outcomes.iter().map(|(name, count)| {
            (name.clone(), count.saturating_sub(before.outcomes.get(name).copied().unwrap_or_default()))
        });
        Self {
            calls: self.calls.saturating_sub(before.calls),
            connections: self.connections.saturating_sub(before.connections),
            access_keys: self.access_keys,
            outcomes: outcomes.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// What an emulator has seen since it started.
#[derive(Debug, Default)]
pub(super) struct StsLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: u64,
    pings: u64,
    connections: u64,
    outcomes: BTreeMap<&'static str, u64>,
    /// Only keys of the table of principals: a flood of invented ones shall not fill the memory.
    access_keys: HashMap<String, u64>,
    last: VecDeque<Record>,
}

impl StsLog {
    pub(super) fn connection(&self) {
        self.state().connections += 1;
    }

    /// Counts a request for nothing, which keeps a connection open.
    pub(super) fn ping(&self) {
        self.state().pings += 1;
    }

    /// Remembers a request; `known` is whether its access key is in the table.
    pub(super) fn request(&self, record: Record, known: bool) {
        let mut seen = self.state();
        seen.calls += 1;
        *seen.outcomes.entry(record.outcome).or_default() += 1;
        if let Some(key) = record.access_key_id.as_ref().filter(|_| known) {
            // Most keys come again: no copy for those.
            match seen.access_keys.get_mut(key) {
                Some(calls) => *calls += 1,
                None => drop(seen.access_keys.insert(key.clone(), 1)),
            }
        }
        if seen.last.len() == REMEMBERED {
            seen.last.pop_front();
        }
        seen.last.push_back(record);
    }

    pub(super) fn seen(&self) -> Seen {
        let state = self.state();
        let outcomes = state.outcomes.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (calls, connections) = (state.calls, state.connections);
        Seen { calls, connections, access_keys: state.access_keys.len(), outcomes }
    }

    /// Requests with an access key that is in the table.
    pub(super) fn calls_of(&self, access_key_id: &str) -> u64 {
        self.state().access_keys.get(access_key_id).copied().unwrap_or_default()
    }

    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(super) fn connections(&self) -> u64 {
        self.state().connections
    }

    pub(super) fn pings(&self) -> u64 {
        self.state().pings
    }

    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        self.state().outcomes.clone()
    }

    pub(super) fn access_keys(&self) -> usize {
        self.state().access_keys.len()
    }

    pub(super) fn last(&self) -> Vec<Record> {
        self.state().last.iter().cloned().collect()
    }

    // Counters stay usable after a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_requests_are_remembered_and_all_are_counted() {
        let log = StsLog::default();
        for number in 0..2000 {
            let record = Record {
                method: "GET".to_owned(),
                host: "sts.amazonaws.com".to_owned(),
                cluster_id: None,
                action: None,
                instances: Vec::new(),
                access_key_id: Some(format!("AKIA{}", number % 10)),
                outcome: if number % 2 == 0 { "Success" } else { "Throttling" },
            };
            log.request(record, number % 10 < 3);
        }
        assert_eq!((log.calls(), log.last().len(), log.access_keys()), (2000, REMEMBERED, 3));
        assert_eq!(log.outcomes(), BTreeMap::from([("Success", 1000), ("Throttling", 1000)]));
        assert_eq!((log.calls_of("AKIA2"), log.calls_of("AKIA3")), (200, 0));
        let before = Seen { calls: 1999, ..log.seen() };
        assert_eq!(log.seen().since(&before), Seen { calls: 1, access_keys: 3, ..Seen::default() });
    }
}
