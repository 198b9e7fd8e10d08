//! JSON into the same values as YAML, so that one reader serves both.

use serde::de::IgnoredAny;
use serde_json::Value as Json;

use crate::yaml::{self, Limits, Node, Position, Value};

/// Why a text is no JSON document with fields.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is, but holds something else than fields.
    #[error("not an object: want {{\"mapRoles\": […], …}}")]
    NotAnObject,
}

/// The fields of the object that `text` is.
///
/// # Errors
/// See [`JsonError`].
pub(super) fn fields(text: &[u8]) -> Result<Vec<(Node, Node)>, JsonError> {
    // serde_json says what is JSON; the YAML reader, to which most of JSON is YAML, knows where things stand. What
    // it does not take (tabs, escaped surrogates) is read without places. Only then is there a second tree in memory.
    serde_json::from_slice::<IgnoredAny>(text)?;
    let positioned = std::str::from_utf8(text)
        .ok()
        .and_then(|text| yaml::parse(text, Limits::for_bytes(text.len())).ok()?);
    let document = match positioned {
        Some(document) => document,
        None => node(serde_json::from_slice(text)?),
    };
    match document.value {
        Value::Mapping(fields) => Ok(fields),
        _ => Err(JsonError::NotAnObject),
    }
}

/// The value of the last field called `name`, without regard to case.
#[must_use]
pub(super) fn field<'a>(fields: &'a [(Node, Node)], name: &str) -> Option<&'a Node> {
    let is_it = |key: &Node| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
    fields.iter().rev().find(|(key, _)| is_it(key)).map(|(_, value)| value)
}

/// The text of the field called `name`.
#[must_use]
pub(super) fn text<'a>(fields: &'a [(Node, Node)], name: &str) -> Option<&'a str> {
    field(fields, name).and_then(Node::as_str)
}

fn node(json: Json) -> Node {
    let scalar = |text: String| Value::Scalar(text.into());
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => scalar(value.to_string()),
        Json::Number(value) => scalar(value.to_string()),
        Json::String(value) => scalar(value),
        Json::Array(items) => Value::Sequence(items.into_iter().map(node).collect()),
        Json::Object(fields) => Value::Mapping(
            fields.into_iter().map(|(key, value)| (node(Json::String(key)), node(value))).collect(),
        ),
    };
    let start = Position { line: 1, column: 1 };
    Node { value, span: start, end: start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_no_yaml_is_read_as_well() {
        for json in ["{\n\t\"MAPROLES\":\t\"\\ud83d\\ude00\"}", "{\"mapRoles\": \"\u{1f600}\"}"] {
            let fields = fields(json.as_bytes()).unwrap();
            assert_eq!(text(&fields, "mapRoles"), Some("\u{1f600}"), "{json}");
        }
    }

    #[test]
    fn yaml_that_is_no_json_is_not() {
        let texts: [&[u8]; 9] = [
            b"",
            b"mapRoles: []",
            b"{mapRoles: []}",
            b"[]",
            b"null",
            b"{\"mapRoles\": [}",
            b"{} {}",
            b"{\"mapRoles\": \"\\ud83d\"}",
            b"{\"mapRoles\": \"\xff\"}",
        ];
        for text in texts {
            assert!(fields(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
