//! aws-auth in the cluster: read, edited, and written back unless somebody else wrote in between.

use std::{collections::BTreeMap, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

use super::{
    EditError,
    undo::{ANNOTATION, Undo, UndoError},
};
use crate::{
    mapping::{self, Section},
    source::config_map::{NAME, NAMESPACE},
};

/// Its data.
pub(super) type Data = BTreeMap<String, String>;

/// How often a write is tried where others write at the same time.
pub(super) const MAX_TRIES: usize = 8;
/// How long one request may take.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What an edit would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The data as it is; none where there is no aws-auth, and the edit makes it.
    pub before: Option<Data>,
    /// The data as it would be.
    pub after: Data,
    /// Whether it can be undone: what it replaces is short enough to be kept.
    pub undoable: bool,
    /// How many times it has been tried before, and somebody else was faster.
    pub tries: usize,
}

/// Why aws-auth is not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refuses, or is not reached.
    #[error("cannot {what} configmap/aws-auth in kube-system: {source}")]
    Kubernetes {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// It does not answer.
    #[error("cannot {what} configmap/aws-auth in kube-system: no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// What was tried.
        what: &'static str,
    },
    /// Others write all the time.
    #[error(
        "others have written configmap/aws-auth in each of {MAX_TRIES} tries; nothing is changed: try again"
    )]
    Conflict,
    /// It would make a list beside one that the server keeps.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// There is nothing to undo.
    #[error(transparent)]
    Undo(#[from] UndoError),
}

/// The object in the cluster.
#[derive(Debug, Clone)]
pub struct AwsAuth {
    api: Api<ConfigMap>,
}

impl AwsAuth {
    /// aws-auth, by this client.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { api: Api::namespaced(client, NAMESPACE) }
    }

    /// Its data; none where there is no such object.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn data(&self) -> Result<Option<Data>, WriteError> {
        Ok(self.get().await?.map(|object| object.data.unwrap_or_default()))
    }

    /// Writes what `edit` makes of the data, unless `confirm` says no to it. Where somebody else writes in between,
    /// both are called again, with what is there then. `false` where nothing was to be done, or `confirm` said no.
    ///
    /// # Errors
    /// Those of `edit` and `confirm`, and see [`WriteError`].
    pub async fn edit<E: From<WriteError>>(
        &self,
        edit: impl Fn(&Data) -> Result<Data, E>,
        confirm: impl FnMut(&Change) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let checked = |object: &ConfigMap| {
            let data = edit(object.data.as_ref().unwrap_or(&Data::new()))?;
            clear(object, &data).map_err(WriteError::from)?;
            Ok(data)
        };
        self.write(checked, confirm).await
    }

    /// Writes what was there before the last edit. Where a list has been edited by others since, only with `force`.
    ///
    /// # Errors
    /// As [`edit`](Self::edit), and where nothing is kept to be undone.
    pub async fn undo<E: From<WriteError>>(
        &self,
        force: bool,
        confirm: impl FnMut(&Change) -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.write(|object| undone(object, force).map_err(E::from), confirm).await
    }

    async fn write<E: From<WriteError>>(
        &self,
        edit: impl Fn(&ConfigMap) -> Result<Data, E>,
        mut confirm: impl FnMut(&Change) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut waits = waits();
        for tries in 0.. {
            let found = self.get().await?;
            let exists = found.is_some();
            let mut object = found.unwrap_or_else(|| ConfigMap {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                ..ConfigMap::default()
            });
            let after = edit(&object)?;
            let before = object.data.take().unwrap_or_default();
            if exists && before == after {
                return Ok(false);
            }
            let annotations = object.metadata.annotations.get_or_insert_default();
            let annotation = Undo::annotation(&before, &after, annotations);
            let change = Change {
                before: exists.then_some(before),
                after: after.clone(),
                undoable: annotation.is_some(),
                tries,
            };
            if !confirm(&change)? {
                return Ok(false);
            }
            match annotation {
                Some(text) => annotations.insert(ANNOTATION.to_owned(), text),
                None => annotations.remove(ANNOTATION),
            };
            object.data = Some(after);
            if self.put(&object, exists).await? {
                return Ok(true);
            }
            let Some(wait) = waits.next() else { break };
            tokio::time::sleep(wait).await;
        }
        Err(WriteError::Conflict.into())
    }

    async fn get(&self) -> Result<Option<ConfigMap>, WriteError> {
        within("read", self.api.get_opt(NAME)).await?.map_err(failed("read"))
    }

    /// Writes the object, whose resource version says what was read; `false` where another has been written since.
    async fn put(&self, object: &ConfigMap, exists: bool) -> Result<bool, WriteError> {
        let params = PostParams { field_manager: Some("arngate".to_owned()), ..PostParams::default() };
        let written = if exists {
            within("write", self.api.replace(NAME, &params, object)).await?
        } else {
            within("write", self.api.create(&params, object)).await?
        };
        match written {
            Ok(_) => Ok(true),
            // It was written, made, or taken away meanwhile.
            Err(kube::Error::Api(status)) if status.code == StatusCode::CONFLICT.as_u16() => Ok(false),
            Err(kube::Error::Api(status)) if exists && status.code == StatusCode::NOT_FOUND.as_u16() => {
                Ok(false)
            }
            Err(error) => Err(failed("write")(error)),
        }
    }
}

/// The data of `object` without arngate's last edit.
fn undone(object: &ConfigMap, force: bool) -> Result<Data, WriteError> {
    let annotations = object.metadata.annotations.as_ref();
    let undo = Undo::parse(annotations.and_then(|annotations| annotations.get(ANNOTATION)))?;
    let data = undo.apply(object.data.as_ref().unwrap_or(&Data::new()), force)?;
    clear(object, &data)?;
    Ok(data)
}

/// Refuses an edit of a list of which it is not clear where it is, or would not be: the server leaves such a list as it
/// last was.
fn clear(object: &ConfigMap, after: &Data) -> Result<(), EditError> {
    let before = mapping::AwsAuth {
        data: object.data.clone().unwrap_or_default(),
        binary: object.binary_data.iter().flatten().map(|(key, _)| key.clone()).collect(),
    };
    let texts = |data: &Data, section: Section| -> Vec<String> {
        let alike = data.iter().filter(|(key, _)| key.eq_ignore_ascii_case(section.key()));
        alike.map(|(_, text)| text.clone()).collect()
    };
    let mut edited =
        Section::ALL.into_iter().filter(|section| texts(&before.data, *section) != texts(after, *section));
    let after = mapping::AwsAuth { data: after.clone(), binary: before.binary.clone() };
    let unclear = edited.find_map(|section| before.unclear(section).or_else(|| after.unclear(section)));
    unclear.map_or(Ok(()), |unclear| Err(EditError::Unclear(Box::new(unclear))))
}

/// How long to wait before each try after the first.
pub(super) fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .with_max_times(MAX_TRIES - 1)
        .build()
}

async fn within<T>(what: &'static str, request: impl Future<Output = T>) -> Result<T, WriteError> {
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.map_err(|_| WriteError::Timeout { what })
}

fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> WriteError {
    move |source| WriteError::Kubernetes { what, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn no_list_is_made_beside_one_that_is_binary() {
        let object = |binary: &str| ConfigMap {
            binary_data: Some([(binary.to_owned(), ByteString(vec![0xff]))].into()),
            ..ConfigMap::default()
        };
        let after = Data::from([("mapRoles".to_owned(), "- rolearn: x".to_owned())]);
        let refused = clear(&object("maproles"), &after).unwrap_err().to_string();
        assert!(
            refused.contains("maproles is in binaryData") && refused.contains("kubectl edit"),
            "{refused}"
        );
        assert_eq!(clear(&object("mapUsers"), &after), Ok(()));
        assert_eq!(clear(&object("logo.png"), &after), Ok(()));
    }

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn an_edit_is_not_undone_where_it_is_unclear_which_list_is_which() {
        let data = |pairs: Pairs| -> Data {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let object = |edit: (Pairs, Pairs), now: Pairs| {
            let annotation = Undo::annotation(&data(edit.0), &data(edit.1), &data(&[])).unwrap();
            let annotations = Some(data(&[(ANNOTATION, &annotation)]));
            let metadata = ObjectMeta { annotations, ..ObjectMeta::default() };
            ConfigMap { metadata, data: Some(data(now)), ..ConfigMap::default() }
        };
        let edit: (Pairs, Pairs) = (&[("mapRoles", "[old]")], &[("mapRoles", "[new]")]);
        assert_eq!(undone(&object(edit, edit.1), false).unwrap(), data(edit.0));
        // Somebody has renamed the list since, which the server keeps for that.
        let renamed = undone(&object(edit, &[("map_roles", "[new]")]), true).unwrap_err().to_string();
        assert!(renamed.contains("there is no mapRoles, but map_roles; the list stays"), "{renamed}");
        // To take the list away would leave one whose name may be meant for it.
        let made: (Pairs, Pairs) = (&[], &[("mapRoles", "[new]")]);
        let beside = [("mapRoles", "[new]"), ("map_roles", "[other]")];
        let left = undone(&object(made, &beside), false).unwrap_err().to_string();
        assert!(left.contains("there is no mapRoles, but map_roles; the list stays"), "{left}");
        // A list that is not what it is about may be as unclear as it likes.
        let users = [("mapRoles", "[new]"), ("map_users", "[x]")];
        assert_eq!(undone(&object(edit, &users), false).unwrap(), data(&[("mapRoles", "[old]"), users[1]]));
    }
}
