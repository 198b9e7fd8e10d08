//! The backend DynamicFile: a JSON file of mappings that is read anew whenever it changes.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::{
    aside::{FEW, aside, elsewhere, retire},
    freshness::{Freshness, Stamp},
    json::{self, JsonError},
    watched_file::{Seen, WatchedFile},
};
use crate::{
    mapping::{BackendMode, Diagnostic, Figures, MatchBy, Publisher, Section, Snapshot},
    telemetry::{Diagnosis, Metrics, Quotes},
};

/// Watches the file and publishes what it holds.
#[derive(Debug)]
pub struct DynamicFileSource {
    file: WatchedFile,
    by: MatchBy,
    publisher: Publisher,
    metrics: Metrics,
    last: Option<Arc<Snapshot>>,
    freshness: Freshness,
    diagnosis: Diagnosis,
}

/// What a content comes to.
type Parsed = Result<(Stamp, Snapshot, Vec<Diagnostic>), JsonError>;

impl DynamicFileSource {
    /// A source that publishes by `publisher` what the file at `path` holds.
    #[must_use]
    pub fn new(path: PathBuf, by: MatchBy, publisher: Publisher, metrics: Metrics) -> Self {
        let freshness = Freshness::new("dynamic_file");
        let diagnosis = Diagnosis::new("file of mappings", Some(path.clone()));
        Self { file: WatchedFile::new(path), by, publisher, metrics, last: None, freshness, diagnosis }
    }

    /// The same, whose log lines quote what the file holds, or do not.
    #[must_use]
    pub fn quoting(mut self, quotes: Quotes) -> Self {
        self.diagnosis = self.diagnosis.quoting(quotes);
        self
    }

    /// Watches until it is dropped. Failures are logged and counted, and never end it.
    pub async fn run(mut self) {
        loop {
            match self.file.next().await {
                Seen::Content(content) => self.load(content).await,
                Seen::Absent => {
                    tracing::warn!(path = %self.file.path().display(), "no such file: DynamicFile maps nobody");
                    self.publish(Snapshot::empty(), Vec::new());
                }
                Seen::Unreadable(error) => self.fail(&error),
            }
        }
    }

    async fn load(&mut self, content: Arc<[u8]>) {
        let (last, by) = (self.last.clone(), self.by);
        // A long file takes a while, in which requests are answered.
        let parsed = elsewhere(move || parse(&content, last.as_deref(), by)).await;
        match parsed {
            Ok(Ok((stamp, snapshot, diagnostics))) => {
                self.publish(snapshot, diagnostics);
                self.freshness.loaded(&stamp, Timestamp::now(), &self.metrics);
            }
            Ok(Err(error)) => self.fail(&error),
            Err(error) => self.fail(&error),
        }
    }

    /// What is in force stays. A backend that has never loaded stays without a verdict.
    fn fail(&self, error: &dyn std::fmt::Display) {
        self.metrics.dynamic_file_failure();
        let path = self.file.path().display();
        tracing::error!(%path, %error, "cannot read the file of mappings; what was last good stays in force");
    }

    fn publish(&mut self, snapshot: Snapshot, diagnostics: Vec<Diagnostic>) {
        let Figures { errors, warnings, .. } = snapshot.figures();
        aside(diagnostics.len() > FEW, || self.diagnosis.tell(diagnostics));
        let path = self.file.path().display();
        let mappings = snapshot.index().len();
        tracing::info!(%path, mappings, errors, warnings, "file of mappings loaded");
        self.metrics.backend_loaded(BackendMode::DynamicFile, mappings, errors, warnings);
        self.metrics.snapshot_in_force(BackendMode::DynamicFile, &snapshot, Timestamp::now());
        let snapshot = Arc::new(snapshot);
        self.publisher.publish(Arc::clone(&snapshot));
        if let Some(before) = self.last.replace(snapshot) {
            retire(before);
        }
    }
}

/// Reads what the file holds, where `last` was in force before.
pub(super) fn parse(content: &[u8], last: Option<&Snapshot>, by: MatchBy) -> Parsed {
    let fields = json::fields(content)?;
    let lists = Section::ALL.map(|section| json::field(&fields, section.key()));
    let (snapshot, diagnostics) = Snapshot::update_from_nodes(last, lists, by);
    Ok((Stamp::of(&fields), snapshot, diagnostics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Identity, Partition},
        mapping::Match,
    };

    fn maps(json: &str, by: MatchBy) -> bool {
        let (_, snapshot, _) = parse(json.as_bytes(), None, by).unwrap();
        let arn = "arn:aws:sts::111122223333:assumed-role/R/s";
        let account = "111122223333".parse().unwrap();
        let identity = Identity::new(Partition::Aws, arn, account, "AROAEXAMPLE:s", "ASIAEXAMPLE").unwrap();
        matches!(snapshot.index().look_up(&identity), Some(Match::Entry(_)))
    }

    #[test]
    fn by_user_id_a_given_arn_must_match_as_well() {
        for (entry, wanted) in [
            (r#""userid": "AROAEXAMPLE""#, true),
            (r#""userid": "AROAEXAMPLE", "rolearn": """#, true),
            (r#""userid": "AROAEXAMPLE", "rolearn": "arn:aws:iam::111122223333:role/R""#, true),
            (r#""userid": "AROAEXAMPLE", "rolearn": "arn:aws:iam::111122223333:role/a/path/r""#, true),
            (r#""userid": "AROAEXAMPLE", "rolearn": "arn:aws:iam::111122223333:role/S""#, false),
            (r#""userid": "AROAEXAMPLE", "rolearn": "R""#, false),
            (r#""userid": "AROAOTHER", "rolearn": "arn:aws:iam::111122223333:role/R""#, false),
            (r#""rolearn": "arn:aws:iam::111122223333:role/R""#, false),
        ] {
            let json = format!(r#"{{"mapRoles": [{{"username": "u", {entry}}}]}}"#);
            assert_eq!(maps(&json, MatchBy::UserId), wanted, "{entry}");
        }
    }

    #[test]
    fn a_malformed_arn_does_not_keep_what_the_user_id_had() {
        let good = br#"{"mapRoles": [{"username": "u", "userid": "AROAEXAMPLE"}]}"#;
        let (_, last, _) = parse(good, None, MatchBy::UserId).unwrap();
        assert_eq!(last.index().len(), 1);
        let bad = br#"{"mapRoles": [{"username": "u", "userid": "AROAEXAMPLE", "rolearn": "R"}]}"#;
        let (_, next, diagnostics) = parse(bad, Some(&last), MatchBy::UserId).unwrap();
        assert_eq!((next.index().len(), diagnostics.len()), (0, 1));
    }

    #[test]
    fn otherwise_an_entry_is_found_by_its_arn() {
        let role = r#""rolearn": "arn:aws:iam::111122223333:role/R", "username": "u""#;
        assert!(maps(&format!(r#"{{"maproles": [{{{role}}}]}}"#), MatchBy::ArnAlone));
        assert!(!maps(r#"{"mapRoles": [{"userid": "AROAEXAMPLE", "username": "u"}]}"#, MatchBy::ArnAlone));
    }

    #[test]
    fn a_list_that_cannot_be_read_stays_as_it_was() {
        let role = r#"{"rolearn": "arn:aws:iam::111122223333:role/R", "username": "u"}"#;
        let good = format!(r#"{{"mapRoles": [{role}], "mapAccounts": ["111122223333"]}}"#);
        let (_, last, _) = parse(good.as_bytes(), None, MatchBy::ArnAlone).unwrap();
        let (_, next, _) = parse(br#"{"mapRoles": "x"}"#, Some(&last), MatchBy::ArnAlone).unwrap();
        assert_eq!(next.index().len(), 1);
    }
}
