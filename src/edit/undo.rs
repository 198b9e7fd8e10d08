//! What the last edit replaced, kept with the object itself: whoever may edit aws-auth may undo, from any machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::aws_auth::Data;

/// The annotation.
pub(super) const ANNOTATION: &str = "arngate/undo";
/// The longest value of it.
const MAX_LEN: usize = 128 * 1024;
/// How many bytes all annotations of an object may have together, their keys and values.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>
const MAX_ANNOTATIONS_LEN: usize = 256 * 1024;

/// Why nothing is undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// No edit is kept.
    #[error(
        "configmap/aws-auth keeps no edit of arngate's that could be undone (the annotation {ANNOTATION} is not there)"
    )]
    Nothing,
    /// The annotation is not what arngate writes.
    #[error("the annotation {ANNOTATION} of configmap/aws-auth is damaged: {0}")]
    Damaged(String),
    /// Somebody has edited the list since.
    #[error(
        "{0} has been edited since arngate's last edit, which undoing would lose; see it with --dry-run --force, and do \
         it with --force"
    )]
    EditedSince(String),
}

/// An edit that can be undone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Undo {
    lists: BTreeMap<String, Replaced>,
}

/// One data key of it.
#[derive(Debug, Serialize, Deserialize)]
struct Replaced {
    /// What was there; nothing where the key was not.
    before: Option<String>,
    /// What the edit wrote: its SHA-256, in hexadecimal digits; nothing where it took the key away.
    after: Option<String>,
}

impl Undo {
    /// The edit from `before` to `after`.
    fn of(before: &Data, after: &Data) -> Self {
        let keys = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
        let replaced = |key: &String| Replaced {
            before: before.get(key).cloned(),
            after: after.get(key).map(|text| digest(text)),
        };
        Self { lists: keys.map(|key| (key.clone(), replaced(key))).collect() }
    }

    /// The annotation's value for the edit from `before` to `after`; none where it would be too long by itself, or
    /// beside the object's other `annotations`: the API server would refuse the edit for it.
    pub(super) fn annotation(
        before: &Data,
        after: &Data,
        annotations: &BTreeMap<String, String>,
    ) -> Option<String> {
        let text = serde_json::to_string(&Self::of(before, after)).ok()?;
        let others = annotations.iter().filter(|(key, _)| *key != ANNOTATION);
        let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        let room = MAX_ANNOTATIONS_LEN.saturating_sub(others + ANNOTATION.len());
        (text.len() <= MAX_LEN.min(room)).then_some(text)
    }

    pub(super) fn parse(annotation: Option<&String>) -> Result<Self, UndoError> {
        let text = annotation.ok_or(UndoError::Nothing)?;
        serde_json::from_str(text).map_err(|error| UndoError::Damaged(error.to_string()))
    }

    /// What was there before, in the place of what the edit wrote into `data`.
    pub(super) fn apply(self, data: &Data, force: bool) -> Result<Data, UndoError> {
        let mut data = data.clone();
        for (key, replaced) in self.lists {
            if !force && data.get(&key).map(|text| digest(text)) != replaced.after {
                return Err(UndoError::EditedSince(key));
            }
            match replaced.before {
                Some(text) => data.insert(key, text),
                None => data.remove(&key),
            };
        }
        Ok(data)
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn an_edit_is_undone_unless_somebody_came_after_it() {
        let before = data(&[("mapRoles", "a"), ("mapAccounts", "x"), ("other", "o")]);
        let after = data(&[("mapRoles", "b"), ("mapUsers", "c"), ("other", "o")]);
        let annotation = Undo::annotation(&before, &after, &data(&[])).unwrap();
        assert!(!annotation.contains("other"), "{annotation}");
        let undo = || Undo::parse(Some(&annotation)).unwrap();
        assert_eq!(undo().apply(&after, false), Ok(before.clone()));
        let mut since = after.clone();
        since.insert("mapUsers".to_owned(), "d".to_owned());
        assert_eq!(undo().apply(&since, false), Err(UndoError::EditedSince("mapUsers".to_owned())));
        assert_eq!(undo().apply(&since, true), Ok(before));
    }

    #[test]
    fn what_is_no_edit_is_told() {
        assert!(matches!(Undo::parse(None), Err(UndoError::Nothing)));
        assert!(matches!(Undo::parse(Some(&"x".to_owned())), Err(UndoError::Damaged(_))));
        let long = data(&[("mapRoles", &"x".repeat(MAX_LEN))]);
        assert_eq!(Undo::annotation(&long, &data(&[]), &data(&[])), None);
    }

    #[test]
    fn an_edit_is_kept_where_the_other_annotations_leave_room() {
        let (before, none) = (data(&[("mapRoles", &"x".repeat(100 * 1024))]), data(&[]));
        let own = Undo::annotation(&before, &none, &none).unwrap();
        let room = MAX_ANNOTATIONS_LEN - ANNOTATION.len() - own.len() - "note".len();
        let with = |len: usize| data(&[("note", &"x".repeat(len)), (ANNOTATION, &own)]);
        assert_eq!(Undo::annotation(&before, &none, &with(room)), Some(own.clone()));
        assert_eq!(Undo::annotation(&before, &none, &with(room + 1)), None);
        assert_eq!(Undo::annotation(&before, &none, &with(2 * MAX_ANNOTATIONS_LEN)), None);
    }
}
