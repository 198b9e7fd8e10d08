//! aws-auth's texts.
//!
//! **Property.** Whoever is in force was so before, with the same, or is named in one entry of the text, with what
//! that entry says. A text that cannot be read changes nothing. The same text once more changes nothing. A text of
//! which nothing is told is in force as it stands. What is told is bounded, and stands where it says.
//!
//! Input: mapRoles before, mapRoles, mapUsers, mapAccounts; or mapRoles alone.

use std::collections::{BTreeMap, BTreeSet};

use arngate::{
    mapping::{AwsAuth, Diagnostic, Place, Section, Snapshot},
    yaml::{self, Limits, Node, Value},
};

use crate::{
    parts::parts,
    saved::{Entry, Whom, entries},
};

/// How much is told of a list: errors and warnings, and the lines that say how many more there are; and what is told
/// of its key.
const MAX_TOLD: usize = 2 * 1000 + 8;
/// The longest line that tells something, in bytes: 200 characters are quoted.
const MAX_LINE: usize = 2000;

/// Looks at the texts.
pub fn check(data: &[u8]) {
    let Some(parts) = parts(data) else { return };
    let (before, lists) = match parts.as_slice() {
        [roles] => (None, vec![*roles]),
        [before, lists @ ..] => (Some(*before), lists.to_vec()),
        [] => return,
    };
    let keys = Section::ALL.map(Section::key);
    let data: BTreeMap<String, String> =
        keys.into_iter().zip(lists).map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    let before = before.map(|text| Snapshot::update(None, &aws_auth([("mapRoles", text)])).0);
    update(before.as_ref(), data);
}

/// aws-auth of these texts.
pub fn aws_auth<'t>(data: impl IntoIterator<Item = (&'t str, &'t str)>) -> AwsAuth {
    let owned = data.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned()));
    owned.collect::<BTreeMap<_, _>>().into()
}

/// Looks at an update; what it comes to.
pub fn update(before: Option<&Snapshot>, data: BTreeMap<String, String>) -> Snapshot {
    let had = before.map(entries).unwrap_or_default();
    let aws_auth = AwsAuth::from(data.clone());
    let (after, diagnostics) = Snapshot::update(before, &aws_auth);
    let has = entries(&after);
    told(&diagnostics, &data);
    for section in Section::ALL {
        let of = |all: &BTreeSet<Entry>| -> BTreeSet<Entry> {
            all.iter().filter(|entry| entry.list == section.key()).cloned().collect()
        };
        let text = data.get(section.key()).map_or("", String::as_str);
        match items(text) {
            Some(items) => {
                for entry in of(&has).difference(&of(&had)) {
                    assert!(
                        items.iter().any(|item| gives(item, entry)),
                        "{entry:?} is in no entry of\n{text}"
                    );
                }
                if diagnostics.is_empty() && before.is_none() {
                    as_it_stands(&items, &of(&has), text);
                }
            }
            // Others' lists may name whom this one held.
            None => {
                assert!(of(&had).is_subset(&of(&has)), "{section:?} cannot be read, and somebody is gone")
            }
        }
    }
    let (again, _) = Snapshot::update(Some(&after), &aws_auth);
    assert_eq!(entries(&again), has, "the same once more is another");
    after
}

/// The entries of a list's text; none where it cannot be read.
fn items(text: &str) -> Option<Vec<Node>> {
    if matches!(text.trim(), "" | "``" | "\"\"" | "''") {
        return Some(Vec::new());
    }
    match yaml::parse_first(text, Limits::default()).ok()?.document {
        Some(Node { value: Value::Sequence(items), .. }) => Some(items),
        Some(Node { value: Value::Null, .. }) | None => Some(Vec::new()),
        Some(_) => None,
    }
}

/// Whether one of the list's entries says what `entry` gives, by its texts alone.
fn gives(item: &Node, entry: &Entry) -> bool {
    let mut texts = Vec::new();
    scalars(item, &mut texts);
    let has = |wanted: &String| texts.contains(&wanted.as_str());
    names(&texts, &entry.whom)
        && entry.username.iter().all(has)
        && entry.groups.iter().all(has)
        && entry.user_id.iter().all(has)
}

/// The texts in `node`, at any depth.
pub fn scalars<'n>(node: &'n Node, texts: &mut Vec<&'n str>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(text) => texts.push(text),
        Value::Sequence(items) => items.iter().for_each(|item| scalars(item, texts)),
        Value::Mapping(fields) => fields.iter().for_each(|(key, value)| {
            scalars(key, texts);
            scalars(value, texts);
        }),
    }
}

fn names(texts: &[&str], whom: &Whom) -> bool {
    let any =
        |is_it: &dyn Fn(&str) -> bool| texts.iter().any(|text| is_it(&text.trim().to_ascii_lowercase()));
    match whom {
        Whom::Arn(key) => match key.split_once(":role/") {
            // Its path may stand before its name.
            Some((account, name)) => any(&|text| {
                let path = text.strip_prefix(account).and_then(|rest| rest.strip_prefix(":role/"));
                path.is_some_and(|path| path == name || path.ends_with(&format!("/{name}")))
            }),
            None => any(&|text| text == key),
        },
        Whom::PermissionSet([partition, account, name]) => {
            any(&|text| text == account)
                && any(&|text| text == name)
                && (partition == "aws" || any(&|text| text == partition))
        }
        Whom::Account(account) => any(&|text| text == account),
    }
}

/// Where nothing is told, each entry of the text is one in force, with its own username and groups.
fn as_it_stands(items: &[Node], has: &BTreeSet<Entry>, text: &str) {
    assert_eq!(items.len(), has.len(), "{has:?} of\n{text}");
    for item in items {
        // A field without a value says nothing, also beside one that has one.
        let field = |name: &str| {
            let is_it = |key: &Node| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
            let fields = item.as_mapping().into_iter().flatten().map(|(key, value)| (key, value));
            fields
                .filter(|(key, value)| is_it(key) && value.value != Value::Null)
                .last()
                .map(|(_, value)| value)
        };
        let username = field("username").and_then(Node::as_str);
        let groups: Vec<&str> = match field("groups").map(|groups| &groups.value) {
            Some(Value::Sequence(groups)) => groups.iter().filter_map(Node::as_str).collect(),
            _ => Vec::new(),
        };
        let is_it = |entry: &Entry| entry.username.as_deref() == username && entry.groups == groups;
        assert!(has.iter().any(|entry| is_it(entry) && gives(item, entry)), "{item:?} is not in {has:?}");
    }
}

fn told(diagnostics: &[Diagnostic], data: &BTreeMap<String, String>) {
    for section in Section::ALL {
        let lines = data.get(section.key()).map_or(1, |text| text.split(['\n', '\r']).count());
        let mut count = 0;
        for diagnostic in diagnostics {
            let Place::List { section: of, entry, position } = &diagnostic.place else {
                panic!("{diagnostic}")
            };
            if *of != section {
                continue;
            }
            count += 1;
            assert!(diagnostic.to_string().len() < MAX_LINE, "{diagnostic}");
            assert!(!diagnostic.to_string().chars().any(char::is_control), "{diagnostic:?}");
            assert!(entry.is_none_or(|entry| entry > 0));
            if let Some(position) = position {
                assert!((1..=lines + 1).contains(&position.line), "{diagnostic} of {lines} lines");
            }
        }
        assert!(count <= MAX_TOLD, "{count} are told of {}", section.key());
    }
}
