//! What an entry of mapRoles or mapUsers gives: a username and groups.

use super::{
    entry::{Entry, Invalid},
    words::may_have_run_together,
};
use crate::{
    mapping::{Message, Template},
    yaml::{Node, Position, Value},
};

impl Entry<'_> {
    /// A field that is a text, where it is given.
    pub(super) fn text<'n>(
        &mut self,
        name: &str,
        node: Option<&'n Node>,
    ) -> Result<Option<&'n str>, Invalid> {
        match node {
            None | Some(Node { value: Value::Null, .. }) => Ok(None),
            Some(node) => node.as_str().map(Some).ok_or_else(|| {
                let message = format!("{name} is {}, not a text", node.kind());
                self.refuse(node.span, message, "in YAML, a text that begins with { or [ needs quotes")
            }),
        }
    }

    /// A text behind an entry that ends with its groups is one of them, by its look: its hyphen stands too far left.
    pub(super) fn lost_group(&mut self, item: &Node, next: Option<&Node>) {
        let last = item.as_mapping().and_then(|pairs| pairs.last()).and_then(|(key, _)| key.as_str());
        if last.is_some_and(|key| key.eq_ignore_ascii_case("groups"))
            && let Some(next) = next.filter(|next| matches!(next.value, Value::Scalar(_)))
        {
            let message = "a group seems to stand among the entries, outside of groups";
            self.doubt(next.span, message, "indent its hyphen further than the entry's");
        }
    }

    pub(super) fn groups(&mut self, node: Option<&Node>) -> Result<Box<[Template]>, Invalid> {
        let Some(node) = node else {
            return Ok(Box::default());
        };
        let items = match &node.value {
            Value::Null => return Ok(Box::default()),
            Value::Sequence(items) => items.as_slice(),
            Value::Scalar(text) => {
                let (message, advice) =
                    ("groups is one text; taken as a list of one", "write a list: \"- \" before each group");
                if text.starts_with('-') || text.contains(|c: char| c == ',' || c.is_whitespace()) {
                    self.doubt(node.span, message, advice);
                } else {
                    self.warn(node.span, message, advice);
                }
                std::slice::from_ref(node)
            }
            Value::Mapping(_) => {
                let advice = "write \"- \" before each group";
                return Err(self.refuse(node.span, "groups is a mapping, not a list", advice));
            }
        };
        let is_list = matches!(node.value, Value::Sequence(_));
        let mut groups = Vec::with_capacity(items.len());
        for item in items {
            // A hyphen without a name gives no group today either, and nobody loses the others by it.
            if item.value == Value::Null || item.as_str() == Some("") {
                self.remains.has_nameless = true;
                self.warn(
                    item.span,
                    "a group without a name is left out".to_owned(),
                    "remove the empty hyphen",
                );
                continue;
            }
            let Value::Scalar(text) = &item.value else {
                let message = format!("a group is {}, not a text", item.kind());
                return Err(self.refuse(item.span, message, "write each group's name"));
            };
            // A group's name may have blanks, but a hyphen among them was another line's, unless it is quoted.
            if is_list && text.is_plain() && has_hyphen(text) {
                let advice = "begin each group on a line of its own, and indent their hyphens alike";
                self.doubt(item.span, "a group's name holds a hyphen as of a list", advice);
            }
            if may_have_run_together(text) {
                self.remains.joined.push(text.clone());
            }
            groups.push(self.template(text, item.span));
        }
        Ok(groups.into())
    }

    pub(super) fn template(&mut self, text: &str, position: Position) -> Template {
        for (name, meant) in Template::unknown(text) {
            let message = Message::quoting("{{", name, "}} is no template, and stays as it is");
            match meant {
                Some(meant) => self.doubt(position, message, format!("did you mean {{{{{meant}}}}}?")),
                None => self.warn(position, message, format!("there are {}", Template::names())),
            }
        }
        Template::parse(text)
    }
}

/// Whether a group's name begins like an item of a list, or has swallowed one.
fn has_hyphen(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('-') || text.split_whitespace().any(|word| word == "-")
}
