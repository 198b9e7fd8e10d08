//! The configuration file's lists as aws-iam-authenticator reads them: a text where a list belongs is split at its
//! commas, and an entry by itself is a list of one. Of aws-auth it takes neither.

use super::Section;
use crate::{
    mapping::{Diagnostic, Place, Severity},
    yaml::{Node, Value},
};

/// The list that `node` stands for; as it is, where it stands for none.
pub(in crate::mapping) fn list(section: Section, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let mut warn = |entry, node: &Node, message: &str, advice: &str| {
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            place: Place::List { section, entry, position: Some(node.span) },
            message: message.into(),
            advice: advice.to_owned(),
        });
    };
    let hyphens = "begin each entry with a hyphen: \"- \"";
    let items = match &node.value {
        Value::Scalar(text) if text.is_empty() => Vec::new(),
        Value::Scalar(text) if section == Section::Accounts => {
            warn(None, node, "is one text; taken as a list, split at its commas", hyphens);
            split(text, node)
        }
        Value::Mapping(fields) if section != Section::Accounts => {
            if fields.is_empty() {
                Vec::new()
            } else {
                warn(None, node, "is one entry by itself; taken as a list of one", hyphens);
                vec![node.clone()]
            }
        }
        Value::Sequence(items) => items.clone(),
        Value::Null | Value::Scalar(_) | Value::Mapping(_) => return node.clone(),
    };
    let items = items.into_iter().enumerate().map(|(index, mut item)| {
        if let Value::Mapping(fields) = &mut item.value {
            for (key, value) in fields {
                let is_groups = key.as_str().is_some_and(|key| key.eq_ignore_ascii_case("groups"));
                if let Some(text) = value.as_str().filter(|text| is_groups && text.contains(',')) {
                    let message = "groups is one text; taken as a list, split at its commas";
                    warn(Some(index + 1), value, message, "write a list: \"- \" before each group");
                    value.value = Value::Sequence(split(text, value));
                }
            }
        }
        item
    });
    Node { value: Value::Sequence(items.collect()), ..*node }
}

/// The parts keep their blanks, as today: a group of another name would be another group.
fn split(text: &str, node: &Node) -> Vec<Node> {
    text.split(',').map(|part| Node { value: Value::Scalar(part.into()), ..*node }).collect()
}
