//! aws-auth as a file: a manifest as kubectl takes it, or aws-auth's data alone; and what is wrong in it, each with
//! its line and column in the file.

use std::collections::BTreeMap;

use super::{AwsAuth, Diagnostic, Message, Place, Section, Severity, Snapshot};
use crate::yaml::{self, Limits, Node, Position, Value, YamlError};

/// The longest file that is read, in bytes.
pub const MAX_LEN: usize = 16 * 1024 * 1024;
/// How many values that are no texts are told one by one.
const MAX_TOLD: usize = 1000;
/// How many `ConfigMap`s are named where none is aws-auth.
const MAX_OTHERS: usize = 5;
/// What it is called.
const NAME: &str = "aws-auth";
/// Where it is.
const NAMESPACE: &str = "kube-system";

/// A file that aws-auth was found in.
#[derive(Debug)]
pub struct Manifest {
    /// What the ConfigMap would hold.
    pub aws_auth: AwsAuth,
    /// Lists that the file has where a ConfigMap has texts.
    lists: BTreeMap<Section, Node>,
    /// The mappings, where nothing was in force before.
    pub snapshot: Snapshot,
    /// What is wrong or odd, in the order of the lines.
    pub findings: Vec<Finding>,
    /// What is wrong with the namespace that it is in, so that no server reads it; one of the findings.
    pub elsewhere: Option<Finding>,
    /// Which list the file is, where it is nothing else.
    pub list_alone: Option<Section>,
}

/// What is wrong or odd in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where in the file; absent where it is about something that is not there.
    pub position: Option<Position>,
    /// Which list and entry it is about; empty where it is about the file.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

/// Why nothing can be said of a file.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no YAML.
    #[error("{0}")]
    Yaml(YamlError),
    /// It holds no aws-auth.
    #[error(
        "holds no ConfigMap aws-auth, and no mapRoles, mapUsers or mapAccounts at its top either; want the ConfigMap, its \
         data, or one of those lists{}", others(.0)
    )]
    NoAwsAuth(
        /// The `ConfigMap`s that it holds instead, each with its line; some of them, where they are many.
        Vec<(String, usize)>,
    ),
    /// It holds several.
    #[error("holds the ConfigMap aws-auth twice, at line {0} and at line {1}")]
    Twice(usize, usize),
}

impl Manifest {
    /// Reads `text`: manifests, parted by `---`, of which one is `configmap/aws-auth`; a `List` with it; aws-auth's data
    /// alone, whose lists may be lists here; or one of those lists alone.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(text: &str) -> Result<Self, ManifestError> {
        // Some editors begin a file by a byte order mark, which kubectl takes.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut found: Option<Data> = None;
        let (mut bare, mut others) = (None, Vec::new());
        for (line, document) in documents(text) {
            let shift = |mut error: YamlError| {
                error.position.line += line;
                ManifestError::Yaml(error)
            };
            let Some(node) = yaml::parse(document, Limits::for_bytes(MAX_LEN)).map_err(shift)? else {
                continue;
            };
            if node.get("kind").is_none() && node.get("items").is_none() {
                if bare.is_none() {
                    bare = Data::bare(node, line);
                }
                continue;
            }
            for data in aws_auths(node, line, None, &mut others) {
                if let Some(first) = &found {
                    return Err(ManifestError::Twice(first.line, data.line));
                }
                found = Some(data);
            }
        }
        let data = found.or(bare).ok_or(ManifestError::NoAwsAuth(others))?;
        Ok(data.lint(text))
    }

    /// Looks at what an API server holds: positions are those in each value.
    #[must_use]
    pub fn of(aws_auth: AwsAuth) -> Self {
        let (snapshot, diagnostics) = Snapshot::update(None, &aws_auth);
        let findings = diagnostics.into_iter().map(Finding::from).collect();
        Self { aws_auth, lists: BTreeMap::new(), snapshot, findings, elsewhere: None, list_alone: None }
    }

    /// The mappings where `previous` was in force before: what is broken keeps what was good.
    #[must_use]
    pub fn following(&self, previous: &Snapshot) -> Snapshot {
        Snapshot::update_in_file(Some(previous), &self.aws_auth, &self.lists, |_, position| position).0
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl From<Diagnostic> for Finding {
    fn from(diagnostic: Diagnostic) -> Self {
        let (position, place) = match diagnostic.place {
            Place::List { section, entry, position } => {
                let entry = entry.map(|entry| format!(", entry {entry}")).unwrap_or_default();
                (position, format!("{}{entry}", section.key()))
            }
            Place::Object(name) => (None, name.to_string()),
        };
        let Diagnostic { severity, message, advice, .. } = diagnostic;
        Self { severity, position, place, message: message.to_string(), advice }
    }
}

/// The documents of a file, each with how many lines are before it.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_marker = line.trim_end() == "---" || line.starts_with("--- ");
        let before = text.get(start..at).unwrap_or_default();
        // A line %YAML belongs to the document that begins after it.
        let is_content = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', '%']);
        if is_marker && before.lines().any(is_content) {
            documents.push((first_line, before));
            (start, first_line) = (at, index);
        }
        at += line.len();
    }
    documents.push((first_line, text.get(start..).unwrap_or_default()));
    documents
}

/// aws-auth's data in a document.
struct Data {
    /// How many lines of the file are before the document.
    offset: usize,
    /// The line of the file where it begins.
    line: usize,
    fields: Vec<(Node, Node)>,
    binary: Vec<String>,
    /// The namespace that is written beside its name.
    namespace: Option<Node>,
    /// It stands alone, without the ConfigMap around it.
    is_bare: bool,
    /// It is but this list.
    list_alone: Option<Section>,
}

/// The data of each aws-auth in a document, or in a `List`, whose items may leave out their kind where it is a list `of` that
/// kind; and by the way those that are others. What is found is taken out of the document, and not copied.
fn aws_auths(node: Node, offset: usize, of: Option<&str>, others: &mut Vec<(String, usize)>) -> Vec<Data> {
    let line = offset + node.span.line;
    let Value::Mapping(mut fields) = node.value else { return Vec::new() };
    let kind = take(&mut fields, "kind");
    let kind = kind.as_ref().and_then(Node::as_str).or(of).unwrap_or_default();
    if let Some(Node { value: Value::Sequence(items), .. }) = take(&mut fields, "items") {
        let of = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        return items.into_iter().flat_map(|item| aws_auths(item, offset, of, others)).collect();
    }
    if kind != "ConfigMap" {
        return Vec::new();
    }
    let metadata = take(&mut fields, "metadata");
    let metadata = |field| metadata.as_ref().and_then(|metadata| metadata.get(field));
    let name = metadata("name").and_then(Node::as_str).unwrap_or_default();
    if name != NAME {
        if others.len() < MAX_OTHERS {
            others.push((Message::quoting("", name, "").to_string(), line));
        }
        return Vec::new();
    }
    let mut pairs = |key| match take(&mut fields, key) {
        Some(Node { value: Value::Mapping(pairs), .. }) => pairs,
        _ => Vec::new(),
    };
    let binary = pairs("binaryData");
    let binary = binary.iter().filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect();
    let namespace = metadata("namespace").cloned();
    vec![Data { offset, line, fields: pairs("data"), binary, namespace, is_bare: false, list_alone: None }]
}

/// The `ConfigMap`s that a file holds, for the error that says that none is aws-auth.
fn others(others: &[(String, usize)]) -> String {
    let told: Vec<_> = others.iter().map(|(name, line)| format!("\"{name}\" (line {line})")).collect();
    if told.is_empty() { String::new() } else { format!("; the ConfigMap here is {}", told.join(", ")) }
}

/// Which list a sequence is, by what its items say: whom an entry of mapRoles or mapUsers is about, or accounts alone.
fn list_of(items: &[Node]) -> Option<Section> {
    let has = |item: &Node, names: &[&str]| {
        let is_one = |key: &Node| {
            key.as_str().is_some_and(|key| names.iter().any(|name| name.eq_ignore_ascii_case(key)))
        };
        item.as_mapping().is_some_and(|fields| fields.iter().any(|(key, _)| is_one(key)))
    };
    let is_account = |item: &Node| item.as_str().is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
    if items.iter().any(|item| has(item, &["rolearn", "sso"])) {
        Some(Section::Roles)
    } else if items.iter().any(|item| has(item, &["userarn"])) {
        Some(Section::Users)
    } else {
        (!items.is_empty() && items.iter().all(is_account)).then_some(Section::Accounts)
    }
}

/// Takes the value of the last field with exactly this key out of `fields`.
fn take(fields: &mut Vec<(Node, Node)>, key: &str) -> Option<Node> {
    let place = fields.iter().rposition(|(name, _)| name.as_str() == Some(key))?;
    Some(fields.swap_remove(place).1)
}

impl Data {
    fn bare(node: Node, offset: usize) -> Option<Self> {
        let (line, span) = (offset + node.span.line, node.span);
        let alone = |fields, list_alone| {
            let (binary, namespace) = (Vec::new(), None);
            Self { offset, line, fields, binary, namespace, is_bare: true, list_alone }
        };
        let fields = match node.value {
            Value::Mapping(fields) => fields,
            Value::Sequence(ref items) => {
                let section = list_of(items)?;
                let key = Node { value: Value::Scalar(section.key().into()), span, end: span };
                return Some(alone(vec![(key, node)], Some(section)));
            }
            Value::Null | Value::Scalar(_) => return None,
        };
        let is_known = |key: &Node| {
            let key = key.as_str().unwrap_or_default();
            Section::ALL.iter().any(|section| section.key().eq_ignore_ascii_case(key))
        };
        let is_aws_auth = fields.iter().any(|(key, _)| is_known(key));
        is_aws_auth.then(|| alone(fields, None))
    }

    fn lint(self, file: &str) -> Manifest {
        let Self { offset, fields, binary, namespace, is_bare, list_alone, .. } = self;
        let lines: Vec<&str> = file.lines().collect();
        let mut aws_auth = AwsAuth { data: BTreeMap::new(), binary: binary.into_iter().collect() };
        let mut places = BTreeMap::new();
        let mut lists = BTreeMap::new();
        let elsewhere = namespace.and_then(|namespace| elsewhere(&namespace, offset));
        let mut findings: Vec<Finding> = elsewhere.iter().cloned().collect();
        let mut not_texts = 0;
        for (key, value) in fields {
            let key_text = key.as_str().unwrap_or_default().to_owned();
            let section =
                Section::ALL.into_iter().find(|section| section.key().eq_ignore_ascii_case(&key_text));
            match value.value {
                Value::Null => {
                    aws_auth.data.insert(key_text, String::new());
                }
                Value::Scalar(ref text) => {
                    if let Some(section) = section {
                        places.insert(section, ValuePlace::new(&lines, offset, key.span, value.span));
                    }
                    aws_auth.data.insert(key_text, text.to_string());
                }
                Value::Sequence(_) | Value::Mapping(_) => {
                    not_texts += usize::from(!is_bare);
                    if !is_bare && not_texts <= MAX_TOLD {
                        findings.push(not_a_text(
                            &key_text,
                            &value,
                            Position { line: key.span.line + offset, ..key.span },
                        ));
                    }
                    if let Some(section) = section {
                        lists.insert(section, value.moved(&|at| Position { line: at.line + offset, ..at }));
                    }
                }
            }
        }
        if let Some(more) = not_texts.checked_sub(MAX_TOLD).filter(|more| *more > 0) {
            findings.push(more_not_texts(more));
        }
        let in_file = |section, position| match places.get(&section) {
            Some(place) => ValuePlace::in_file(place, position),
            None => position,
        };
        let (snapshot, diagnostics) = Snapshot::update_in_file(None, &aws_auth, &lists, in_file);
        findings.extend(diagnostics.into_iter().map(Finding::from));
        findings.sort_by_key(|finding| finding.position);
        Manifest { aws_auth, lists, snapshot, findings, elsewhere, list_alone }
    }
}

/// aws-auth of another namespace is nobody's. Where none is written, kubectl's is meant.
fn elsewhere(namespace: &Node, offset: usize) -> Option<Finding> {
    let name = namespace.as_str().filter(|name| !name.is_empty() && *name != NAMESPACE)?;
    let message =
        Message::quoting("namespace is ", name, format!(", and aws-auth is read in {NAMESPACE} alone"));
    Some(Finding {
        severity: Severity::Error,
        position: Some(Position { line: namespace.span.line + offset, ..namespace.span }),
        place: "metadata".to_owned(),
        message: message.to_string(),
        advice: format!("write namespace: {NAMESPACE}"),
    })
}

/// The API server takes texts alone as values of a ConfigMap's data.
fn not_a_text(key: &str, value: &Node, position: Position) -> Finding {
    Finding {
        severity: Severity::Error,
        position: Some(position),
        place: key.to_owned(),
        message: format!(
            "is {}, and a ConfigMap holds texts alone: the API server refuses the whole object",
            value.kind()
        ),
        advice: format!("write `{key}: |`, with what follows indented as it is"),
    }
}

fn more_not_texts(more: usize) -> Finding {
    Finding {
        severity: Severity::Error,
        position: None,
        place: String::new(),
        message: format!("{more} more values are no texts, which are not told one by one"),
        advice: "mend those that are told; the next ones are told then".to_owned(),
    }
}

/// Where a value's text stands in the file.
struct ValuePlace {
    /// The line of the file before the text's first.
    before: usize,
    /// How far the text is indented in the file; absent where lines of the text are none of the file's.
    indent: Option<usize>,
    start: Position,
}

impl ValuePlace {
    fn new(lines: &[&str], offset: usize, key: Position, value: Position) -> Self {
        let head = key.line + offset;
        let line = lines.get(head.saturating_sub(1)).copied().unwrap_or_default();
        let is_literal = line.split_once(':').is_some_and(|(_, rest)| rest.trim_start().starts_with('|'));
        let first = || lines.iter().skip(head).find(|line| !line.trim().is_empty());
        let indent =
            is_literal.then(first).flatten().map(|line| line.chars().take_while(|c| *c == ' ').count());
        Self { before: head, indent, start: Position { line: value.line + offset, ..value } }
    }

    fn in_file(&self, position: Position) -> Position {
        match self.indent {
            Some(indent) => Position { line: self.before + position.line, column: indent + position.column },
            None => self.start,
        }
    }
}

#[cfg(test)]
mod tests;
