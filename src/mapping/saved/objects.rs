//! IAMIdentityMapping objects, each with what it gives.
//!
//! Those that have never been valid give nothing, and are not written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Head, Lasting, SaveError};
use crate::{
    identity::Principal,
    mapping::{Mapping, ObjectRecord, ObjectRecords, Origin, Subject, Template},
};

/// What is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    #[serde(rename = "clusterID")]
    cluster_id: String,
    confirmed_at: String,
    objects: Vec<Object>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Object {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// It is what the object gave before an edit made it invalid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
    arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

impl Lasting for ObjectRecords {
    /// Room for some 150,000 objects of the usual length.
    const MAX_LEN: usize = 32 * 1024 * 1024;
    type Document = Document;

    fn document(&self, Head { cluster_id, confirmed_at }: Head) -> Result<Document, SaveError> {
        let objects = self.0.iter().map(Object::new).collect::<Result<_, _>>()?;
        Ok(Document { cluster_id, confirmed_at, objects })
    }

    fn read(Document { cluster_id, confirmed_at, objects }: Document) -> Result<(Head, Self), String> {
        let records = objects.into_iter().map(Object::read).collect::<Result<_, _>>()?;
        Ok((Head { cluster_id, confirmed_at }, Self(records)))
    }
}

impl Object {
    fn new(record: &ObjectRecord) -> Result<Self, SaveError> {
        let (subject, mapping) = &*record.gives;
        let Subject::Principal(key) = subject else { return Err(SaveError::Foreign) };
        Ok(Self {
            name: record.name.to_string(),
            uid: record.uid.as_deref().map(str::to_owned),
            created: record.created.map(|created| created.to_string()),
            kept: record.is_kept,
            arn: key.as_str().to_owned(),
            username: mapping.username.as_ref().map(Template::to_string),
            groups: mapping.groups.iter().map(Template::to_string).collect(),
        })
    }

    fn read(self) -> Result<ObjectRecord, String> {
        let principal = Principal::parse(&self.arn).map_err(|error| error.to_string())?;
        let created = self.created.map(|created| created.parse()).transpose();
        let name: Arc<str> = self.name.into();
        let mapping = Mapping {
            username: self.username.as_deref().map(Template::parse),
            groups: self.groups.iter().map(|group| Template::parse(group)).collect(),
            user_id: None,
            also: None,
            origin: Origin::Object(Arc::clone(&name)),
        };
        Ok(ObjectRecord {
            name,
            uid: self.uid.map(Into::into),
            created: created.map_err(|error: jiff::Error| error.to_string())?,
            is_kept: self.kept,
            gives: Arc::new((Subject::Principal(principal.match_key()), Arc::new(mapping))),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::mapping::{self, ObjectSpec, Objects, Saved, Snapshot};

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn object(name: &str, arn: &str) -> mapping::Object {
        let (username, groups) =
            ("u:{{SessionName}}".to_owned(), vec!["g".to_owned(), "{{AccountID}}".to_owned()]);
        mapping::Object {
            name: name.into(),
            uid: Some(format!("uid-of-{name}")),
            created: Some(AT),
            spec: Ok(ObjectSpec { arn: arn.to_owned(), username, groups }),
        }
    }

    fn objects() -> Objects {
        let mut objects = Objects::default();
        objects.apply(object("a", "arn:aws:iam::111122223333:role/team/A"));
        objects.apply(object("b", "arn:aws:iam::111122223333:user/ops/B"));
        objects.apply(object("b", "oops"));
        objects.apply(object("never-valid", "oops"));
        objects
    }

    #[test]
    fn what_is_written_is_read_again_object_by_object() {
        let records = objects().records();
        assert_eq!(
            records.0.iter().map(|record| (&*record.name, record.is_kept)).collect::<Vec<_>>(),
            [("a", false), ("b", true)]
        );
        let text = Saved::to_text(&records, "c", AT).unwrap();
        let saved = Saved::<ObjectRecords>::from_text(&text, "c").unwrap();
        assert_eq!((&saved.content, saved.confirmed_at), (&records, AT));
        assert!(
            Saved::<ObjectRecords>::from_text(&text.replace("\"g\"", "\"system:masters\""), "c").is_err()
        );
    }

    #[test]
    fn neither_file_is_taken_for_the_other() {
        let objects = Saved::to_text(&objects().records(), "c", AT).unwrap();
        let aws_auth = Saved::to_text(&Snapshot::empty(), "c", AT).unwrap();
        let refused = Saved::<Snapshot>::from_text(&objects, "c").unwrap_err();
        assert!(refused.to_string().contains("not of the form"), "{refused}");
        let refused = Saved::<ObjectRecords>::from_text(&aws_auth, "c").unwrap_err();
        assert!(refused.to_string().contains("not of the form"), "{refused}");
    }

    #[test]
    fn more_than_there_is_room_for_is_not_written() {
        let mut objects = Objects::default();
        let mut long = object("long", "arn:aws:iam::111122223333:role/A");
        let spec = long.spec.as_mut().unwrap();
        spec.groups = vec!["x".repeat(1024 * 1024); 32];
        objects.apply(long);
        let refused = Saved::to_text(&objects.records(), "c", AT).unwrap_err();
        assert!(matches!(refused, SaveError::TooLong(ObjectRecords::MAX_LEN)), "{refused}");
    }
}
