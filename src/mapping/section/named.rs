//! Whom an entry names that cannot be put in force.
//!
//! Indentation slips, hyphens get lost, names of fields are misspelt: two entries become one, or one stands inside
//! another. Whoever is named anywhere in such an entry keeps what was last good.

use super::{MatchBy, Section, permission_set};
use crate::{
    identity::{AccountId, Principal},
    mapping::Subject,
    yaml::{Node, Value},
};

/// Fields whose texts may hold ARNs and yet name nobody: usernames and groups are free texts.
const FREE: [&str; 2] = ["username", "groups"];
/// Fields that make a mapping an entry.
pub(super) const NAMING: [&str; 3] = ["rolearn", "userarn", "sso"];
/// How many ARNs of one word are also read to the word's end. A word may hold as many beginnings as it has letters.
const MAX_WHOLE: usize = 4;

/// Adds whom `node` names, at any depth, to `subjects`.
pub(super) fn collect(section: Section, by: MatchBy, node: &Node, subjects: &mut Vec<Subject>) {
    walk(section, by, node, true, subjects);
}

/// The first entry of its own that `node` is, or holds at any depth; or a text in it that has swallowed one.
pub(super) fn entry_in(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Null => None,
        Value::Scalar(text) => swallowed_entry(text).then_some(node),
        Value::Sequence(items) => items.iter().find_map(entry_in),
        Value::Mapping(pairs) if pairs.iter().any(|(key, _)| is_naming(key)) => Some(node),
        Value::Mapping(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).find_map(entry_in),
    }
}

/// The first text at any depth of `node` in which an ARN stands among other words. A name of one word may be an ARN; a
/// quote or an indentation too many makes one text of the lines that follow.
pub(super) fn arn_among_words(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Null => None,
        Value::Scalar(text) => is_arn_among_words(text).then_some(node),
        Value::Sequence(items) => items.iter().find_map(arn_among_words),
        Value::Mapping(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).find_map(arn_among_words),
    }
}

fn is_arn_among_words(text: &str) -> bool {
    text.split_whitespace().nth(1).is_some() && text.to_ascii_lowercase().contains("arn:")
}

fn swallowed_entry(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("rolearn:") || text.contains("userarn:")
}

fn walk(section: Section, by: MatchBy, node: &Node, texts_name: bool, subjects: &mut Vec<Subject>) {
    match &node.value {
        Value::Scalar(text)
            if by != MatchBy::UserId && (texts_name || swallowed_entry(text) || is_arn_among_words(text)) =>
        {
            words(section, text, subjects);
        }
        Value::Null | Value::Scalar(_) => {}
        Value::Sequence(items) => {
            // Each field of a permission set behind a hyphen of its own.
            let pairs = items.iter().filter_map(Node::as_mapping).flatten();
            if by != MatchBy::UserId
                && let Ok(set) = permission_set::read(&pairs)
            {
                subjects.push(Subject::PermissionSet(set));
            }
            for item in items {
                walk(section, by, item, texts_name, subjects);
            }
        }
        Value::Mapping(pairs) => {
            if by != MatchBy::UserId
                && let Ok(set) = permission_set::read(&pairs.iter())
            {
                subjects.push(Subject::PermissionSet(set));
            }
            for (key, value) in pairs {
                walk(section, by, key, true, subjects);
                if by == MatchBy::UserId
                    && is_one_of(key, &["userid"])
                    && let Some(user_id) = value.as_str()
                {
                    subjects.push(Subject::UserId(user_id.into()));
                }
                walk(section, by, value, !is_one_of(key, &FREE), subjects);
            }
        }
    }
}

/// Adds whom the words of `text` name.
pub(super) fn words(section: Section, text: &str, subjects: &mut Vec<Subject>) {
    let around = |c: char| matches!(c, '"' | '\'' | ',' | ';' | ':' | '[' | ']' | '{' | '}' | '<' | '>');
    for word in text.split_whitespace() {
        if section == Section::Accounts {
            subjects.extend(word.trim_matches(around).parse::<AccountId>().map(Subject::Account));
        }
        // Also behind a field's name whose blank is missing, and several with nothing but a comma between.
        // Subjects are compared in lower case.
        let word = word.to_ascii_lowercase();
        let starts: Vec<usize> = word.match_indices("arn:").map(|(start, _)| start).collect();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(word.len());
            let piece = word.get(*start..end).unwrap_or_default();
            subjects.extend(principal(piece.trim_end_matches(around)));
            // A path may hold what looks like the beginning of another.
            if index < MAX_WHOLE && end < word.len() && !piece.ends_with(',') {
                subjects.extend(principal(word.get(*start..).unwrap_or_default().trim_end_matches(around)));
            }
        }
    }
}

/// Whom `arn` names, also with something too many in it.
fn principal(arn: &str) -> Option<Subject> {
    let whole = Principal::parse(arn).or_else(|_| Principal::parse(&mended(arn)));
    whole.ok().map(|principal| Subject::Principal(principal.match_key()))
}

/// `arn` up to the first character that no name has, such as a typographic quote or an invisible blank, and with one
/// slash where there are several, or none at its end.
fn mended(arn: &str) -> String {
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-names
    let is_foreign = |c: char| !c.is_ascii_alphanumeric() && !":/_+=,.@-".contains(c);
    let arn = arn.split(is_foreign).next().unwrap_or_default();
    arn.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// Whether `key` says whom an entry is about, also where the line before it has run into it.
fn is_naming(key: &Node) -> bool {
    let last = key.as_str().and_then(|key| key.split_whitespace().last());
    last.is_some_and(|last| NAMING.iter().any(|naming| last.eq_ignore_ascii_case(naming)))
}

pub(super) fn is_one_of(key: &Node, names: &[&str]) -> bool {
    key.as_str().is_some_and(|key| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
}
