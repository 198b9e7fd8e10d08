//! IAMIdentityMapping objects: what each gives whom, and the rule of updates for them.
//!
//! An object is known by its name. One that is edited into something invalid, or that misspells a template, keeps what
//! it gave before; one that is
//! deleted gives nothing from then on, nor does what it gave pass to another of the same name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Diagnostic, Mapping, Message, Origin, Place, Severity, Snapshot, Subject, Template};
use crate::identity::{Principal, PrincipalKind};

/// An IAMIdentityMapping as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `metadata.name`, which no two have at one time.
    pub name: Arc<str>,
    /// `metadata.uid`: an object deleted and made anew under the same name has another.
    pub uid: Option<String>,
    /// `metadata.creationTimestamp`
    pub created: Option<Timestamp>,
    /// `spec`, or why it cannot be read.
    pub spec: Result<ObjectSpec, String>,
}

/// What an object says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectSpec {
    /// Whom it is about.
    pub arn: String,
    /// The username's template; the canonical ARN where it is empty.
    pub username: String,
    /// The groups' templates, in order.
    pub groups: Vec<String>,
}

/// What an object gives, and by what it is known, as it outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// `metadata.name`
    pub name: Arc<str>,
    /// `metadata.uid`
    pub uid: Option<Arc<str>>,
    /// `metadata.creationTimestamp`
    pub created: Option<Timestamp>,
    /// It is what the object gave before an edit that it keeps nothing of.
    pub is_kept: bool,
    /// Whom it gives what.
    pub gives: Arc<(Subject, Arc<Mapping>)>,
}

/// What all objects give that give anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRecords(pub Vec<ObjectRecord>);

/// The objects as last seen, with what of each is in force.
#[derive(Debug, Default)]
pub struct Objects(BTreeMap<Arc<str>, Known>);

#[derive(Debug)]
struct Known {
    uid: Option<Arc<str>>,
    created: Option<Timestamp>,
    /// What it gives; nothing where it has never been valid.
    gives: Option<Arc<(Subject, Arc<Mapping>)>>,
    /// That is what it gave before an edit made it invalid, or doubtful.
    is_kept: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Objects {
    /// Takes in that `object` was made or changed.
    pub fn apply(&mut self, object: Object) {
        let before =
            self.0.remove(&object.name).filter(|before| before.uid.as_deref() == object.uid.as_deref());
        let known = Known::new(&object, before);
        self.0.insert(object.name, known);
    }

    /// Takes in that the object called `name` was deleted.
    pub fn delete(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Takes in that `objects` are all that there are.
    pub fn replace(&mut self, objects: Vec<Object>) {
        let mut before = std::mem::take(&mut self.0);
        for object in objects {
            if let Some((name, known)) = before.remove_entry(&object.name) {
                self.0.insert(name, known);
            }
            self.apply(object);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each of them gives.
    #[must_use]
    pub fn records(&self) -> ObjectRecords {
        let record = |(name, known): (&Arc<str>, &Known)| {
            let Known { uid, created, gives, is_kept, .. } = known;
            let (name, uid, gives) = (Arc::clone(name), uid.clone(), gives.clone()?);
            Some(ObjectRecord { name, uid, created: *created, is_kept: *is_kept, gives })
        };
        ObjectRecords(self.0.iter().filter_map(record).collect())
    }

    /// The objects as `records` have them: what an edit that is invalid now leaves in force.
    #[must_use]
    pub fn from_records(records: ObjectRecords) -> Self {
        let known = |ObjectRecord { name, uid, created, is_kept, gives }| {
            (name, Known { uid, created, gives: Some(gives), is_kept, diagnostics: Vec::new() })
        };
        Self(records.0.into_iter().map(known).collect())
    }

    /// What all of them give together, and what is wrong or odd with them.
    ///
    /// Where two are about the same principal, a valid one counts before one that keeps what it gave, then the older
    /// before the younger, as with Kubernetes' own kinds that can be at odds: a new object cannot take over
    /// somebody's mapping. (<https://gateway-api.sigs.k8s.io/guides/api-design/#conflicts>)
    #[must_use]
    pub fn snapshot(&self) -> (Snapshot, Vec<Diagnostic>) {
        let mut counting: HashMap<&Subject, (&Arc<str>, &Known)> = HashMap::with_capacity(self.0.len());
        // Objects come in the order of their names, which decides where nothing else does.
        for (name, known) in &self.0 {
            if let Some((subject, _)) = known.gives.as_deref() {
                let first = counting.entry(subject).or_insert((name, known));
                if known.rank() < first.1.rank() {
                    *first = (name, known);
                }
            }
        }
        let mut diagnostics = Vec::new();
        for (name, known) in &self.0 {
            diagnostics.extend(known.diagnostics.iter().cloned());
            let counts = known.gives.as_deref().and_then(|(subject, _)| counting.get(subject));
            if let Some((winner, counts)) = counts.filter(|(winner, _)| *winner != name) {
                let why = if known.is_kept != counts.is_kept {
                    "since it is valid"
                } else if known.created != counts.created {
                    "since it is older"
                } else {
                    "since its name comes first"
                };
                diagnostics.push(Diagnostic {
                    severity: Severity::Warning,
                    place: Place::Object(Arc::clone(name)),
                    message: format!(
                        "maps whom IAMIdentityMapping {winner} maps too; {winner} counts, {why}"
                    )
                    .into(),
                    advice: "make one object of the two, with the groups of both".to_owned(),
                });
            }
        }
        let entries = counting.values().filter_map(|(_, known)| known.gives.as_deref());
        let invalid = self.0.values().filter(|known| known.is_kept).count();
        let kept = counting.values().filter(|(_, known)| known.is_kept).count();
        (Snapshot::of_entries(entries).with_figures(invalid, kept, &diagnostics), diagnostics)
    }
}

impl Known {
    fn new(object: &Object, before: Option<Self>) -> Self {
        let mut reader = Reader { name: &object.name, diagnostics: Vec::new(), is_doubtful: false };
        let read = reader.read(object);
        let gave = before.and_then(|before| before.gives);
        let is_kept;
        let gives = match read {
            Ok(valid) => {
                let of_the_same = gave.filter(|gave| reader.is_doubtful && gave.0 == valid.0);
                is_kept = of_the_same.is_some();
                Some(of_the_same.unwrap_or_else(|| Arc::new(valid)))
            }
            Err(invalid) => {
                is_kept = true;
                let consequence =
                    if gave.is_some() { "it keeps what it last gave" } else { "it maps nobody" };
                reader.diagnostics.push(Diagnostic {
                    severity: Severity::Error,
                    place: Place::Object(Arc::clone(&object.name)),
                    message: invalid.message.and("; ").and(consequence),
                    advice: invalid.advice.to_owned(),
                });
                gave
            }
        };
        let (uid, diagnostics) = (object.uid.as_deref().map(Into::into), reader.diagnostics);
        Self { uid, created: object.created, gives, is_kept, diagnostics }
    }

    /// Lower counts first.
    fn rank(&self) -> (bool, bool, Option<Timestamp>) {
        (self.is_kept, self.created.is_none(), self.created)
    }
}

/// What makes an object invalid.
struct Invalid {
    message: Message,
    advice: &'static str,
}

/// Reads an object, and gathers what is odd about it.
struct Reader<'a> {
    name: &'a Arc<str>,
    diagnostics: Vec<Diagnostic>,
    /// It may well not be what was meant. It counts, as today, only where the object gave its principal nothing before.
    is_doubtful: bool,
}

impl Reader<'_> {
    fn warn(&mut self, message: impl Into<Message>, advice: impl Into<String>) {
        self.tell(Severity::Warning, message, advice);
    }

    fn tell(&mut self, severity: Severity, message: impl Into<Message>, advice: impl Into<String>) {
        let place = Place::Object(Arc::clone(self.name));
        self.diagnostics.push(Diagnostic { severity, place, message: message.into(), advice: advice.into() });
    }

    fn read(&mut self, object: &Object) -> Result<(Subject, Arc<Mapping>), Invalid> {
        let spec = object.spec.as_ref().map_err(|error| Invalid {
            message: Message::quoting("spec cannot be read: ", error, ""),
            advice: "want spec with the texts arn and username, and a list of texts groups",
        })?;
        let subject = self.subject(&spec.arn)?;
        let username = if spec.username.is_empty() {
            self.warn(
                "spec.username is empty; the canonical ARN is taken".to_owned(),
                "set spec.username".to_owned(),
            );
            None
        } else {
            Some(self.template("spec.username", &spec.username))
        };
        let mut groups = Vec::with_capacity(spec.groups.len());
        for group in &spec.groups {
            if group.is_empty() {
                self.warn(
                    "spec.groups has an empty name, which is left out".to_owned(),
                    "remove it".to_owned(),
                );
            } else {
                groups.push(self.template("spec.groups", group));
            }
        }
        let origin = Origin::Object(Arc::clone(self.name));
        let mapping = Mapping { username, groups: groups.into(), user_id: None, also: None, origin };
        Ok((subject, Arc::new(mapping)))
    }

    fn subject(&mut self, arn: &str) -> Result<Subject, Invalid> {
        let principal = Principal::parse_mapped(arn.trim()).map_err(|error| Invalid {
            message: Message::quoting(
                "spec.arn \"",
                arn,
                format!("\" is no ARN that can be mapped: {error}"),
            ),
            advice: "write it as arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME",
        })?;
        if matches!(principal.kind(), PrincipalKind::AssumedRole { .. }) {
            self.warn(
                "an assumed role's ARN stands for every session of the role".to_owned(),
                "write the role's ARN in spec.arn: arn:aws:iam::ACCOUNT:role/NAME".to_owned(),
            );
        }
        Ok(Subject::Principal(principal.match_key()))
    }

    fn template(&mut self, field: &str, text: &str) -> Template {
        for (name, meant) in Template::unknown(text) {
            let after = format!("}}}} in {field} is no template, and stays as it is");
            let message = Message::quoting("{{", name, after);
            if let Some(meant) = meant {
                self.is_doubtful = true;
                let message =
                    message.and("; what it last gave counts, and where that is nothing, what is written");
                self.tell(Severity::Error, message, format!("did you mean {{{{{meant}}}}}?"));
            } else {
                self.warn(message, format!("there are {}", Template::names()));
            }
        }
        Template::parse(text)
    }
}

#[cfg(test)]
mod tests;
