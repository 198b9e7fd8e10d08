use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

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

/// What an emulator has seen since it started.
#[derive(Debug, Default)]
pub(super) struct StsLog(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    calls: u64,
    connections: u64,
    outcomes: BTreeMap<&'static str, u64>,
    /// Only keys of the table of principals: a flood of invented ones shall not fill the memory.
    access_keys: HashSet<String>,
    last: VecDeque<Record>,
}

impl StsLog {
    pub(super) fn connection(&self) {
        self.seen().connections += 1;
    }

    /// Remembers a request; `known` is whether its access key is in the table.
    pub(super) fn request(&self, record: Record, known: bool) {
        let mut seen = self.seen();
        seen.calls += 1;
        *seen.outcomes.entry(record.outcome).or_default() += 1;
        if let Some(key) =
            record.access_key_id.as_ref().filter(|key| known && !seen.access_keys.contains(*key))
        {
            seen.access_keys.insert(key.clone());
        }
        if seen.last.len() == REMEMBERED {
            seen.last.pop_front();
        }
        seen.last.push_back(record);
    }

    pub(super) fn calls(&self) -> u64 {
        self.seen().calls
    }

    pub(super) fn connections(&self) -> u64 {
        self.seen().connections
    }

    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        self.seen().outcomes.clone()
    }

    pub(super) fn access_keys(&self) -> usize {
        self.seen().access_keys.len()
    }

    pub(super) fn last(&self) -> Vec<Record> {
        self.seen().last.iter().cloned().collect()
    }

    // Counters stay usable after a panic elsewhere.
    fn seen(&self) -> MutexGuard<'_, Seen> {
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
    }
}
