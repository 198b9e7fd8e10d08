//! The fields of an entry, and what becomes of those that are there twice or mean nothing.

use super::{
    entry::{Entry, Invalid},
    named,
};
use crate::{
    mapping::{Message, Section},
    yaml::{Node, Value},
};

/// From how like a field must be to one that is known to be taken for a misspelling of it, 0 to 1.
const LIKE: f64 = 0.6;

/// The fields of an entry.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) arn: Option<&'a Node>,
    pub(super) sso: Option<&'a Node>,
    pub(super) username: Option<&'a Node>,
    pub(super) groups: Option<&'a Node>,
    pub(super) user_id: Option<&'a Node>,
}

impl Entry<'_> {
    pub(super) fn fields<'n>(&mut self, item: &'n Node) -> Result<Fields<'n>, Invalid> {
        let arn_field = self.arn_field();
        let Some(pairs) = item.as_mapping() else {
            let message = format!("is {}, not an entry with fields", item.kind());
            let advice = format!("write {arn_field}, username and groups, each on a line of its own");
            return Err(self.refuse(item.span, message, advice));
        };
        let is_roles = self.section() == Section::Roles;
        let mut fields = Fields::default();
        for (key, value) in pairs {
            let name = key.as_str().unwrap_or_default();
            let (slot, names) = match name.to_ascii_lowercase().as_str() {
                lower if lower == arn_field => (&mut fields.arn, true),
                "sso" if is_roles => (&mut fields.sso, true),
                "username" => (&mut fields.username, false),
                "groups" => (&mut fields.groups, false),
                "userid" => (&mut fields.user_id, self.finds_by_user_id()),
                _ => {
                    self.unknown(pairs, key, value)?;
                    continue;
                }
            };
            if !matches!(name.to_ascii_lowercase().as_str(), "sso" | "rolearn" | "userarn") {
                self.hold_nobody(value)?;
            }
            // A field without a value says nothing, also beside one that has one.
            if slot.is_some() && value.value == Value::Null {
                continue;
            }
            if let Some(first) = slot.replace(value)
                && first.value != Value::Null
            {
                let twice = format!("the field {name} is there twice (line {} too)", first.span.line);
                if first.value == value.value {
                    self.warn(key.span, twice, "remove one");
                } else if names {
                    let advice =
                        "begin each entry with a hyphen of its own (\"- \"), and indent its fields alike";
                    return Err(self.refuse(
                        key.span,
                        format!("{twice}: two entries have become one"),
                        advice,
                    ));
                } else {
                    self.doubt(key.span, twice, "keep one; another entry begins with a hyphen of its own");
                    self.keep_whom(first);
                }
            }
        }
        Ok(fields)
    }

    /// A username, groups or a user ID: they hold no other entry, and no lines that have run together.
    fn hold_nobody(&mut self, value: &Node) -> Result<(), Invalid> {
        if let Some(nested) = named::entry_in(value) {
            return Err(self.refuse_nested(nested));
        }
        if let Some(text) = named::arn_among_words(value) {
            self.doubt(
                text.span,
                "a text holds an ARN among other words, as if lines had run together",
                "begin each entry with a hyphen of its own, or leave the ARN out of the text",
            );
            self.keep_whom(text);
        }
        Ok(())
    }

    /// A field that means nothing. Where it may be a misspelling of one that names somebody, they keep what they had;
    /// any other may name whomever it likes, in a remark for instance. Where it may be a misspelling of one that the
    /// entry, of the fields `pairs`, lacks, the entry is doubtful.
    fn unknown(&mut self, pairs: &[(Node, Node)], key: &Node, value: &Node) -> Result<(), Invalid> {
        for node in [key, value] {
            if let Some(nested) = named::entry_in(node) {
                return Err(self.refuse_nested(nested));
            }
        }
        let name = key.as_str().unwrap_or_default();
        let arn_field = self.arn_field();
        let meant = meant(name, arn_field);
        let advice = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("known are {arn_field}, username, groups and userid"),
        };
        let message = Message::quoting("the field \"", name, "\" means nothing here");
        // An entry that names nobody otherwise is invalid, and told of as such.
        let names_another = is_misspelt_naming(name) && self.keep_whom(value);
        if names_another && (has(pairs, arn_field) || has(pairs, "sso")) {
            let message = message.and("; whom it names keeps what was last good");
            self.fail(key.span, message, format!("{advice} to take their access away, remove it"));
            return Ok(());
        }
        match meant {
            Some("userid") if self.pins() && is_within_two_slips(name, "userid") && !has(pairs, "userid") => {
                let message = message.and(", and pins nobody");
                return Err(self.refuse(key.span, message, "did you mean userid? or remove the field"));
            }
            Some(meant @ ("username" | "groups")) if !has(pairs, meant) => {
                self.doubt(key.span, message, advice);
            }
            _ => self.warn(key.span, message, advice),
        }
        Ok(())
    }

    /// A username or groups that the entry lacks, and that stand beside it in one without an ARN, have a hyphen too many.
    pub(super) fn lost_field(&mut self, item: &Node, neighbour: &Node) {
        let (Some(pairs), Some(others)) = (item.as_mapping(), neighbour.as_mapping()) else { return };
        if named::NAMING.into_iter().any(|naming| has(others, naming)) {
            return;
        }
        let mut names = ["username", "groups"].into_iter();
        if let Some(name) = names.find(|name| has(others, name) && !has(pairs, name)) {
            let message = format!("has no {name}, which stands beside it behind a hyphen of its own");
            self.doubt(neighbour.span, message, "one entry has one hyphen: remove the one too many");
        }
    }

    fn refuse_nested(&mut self, nested: &Node) -> Invalid {
        let advice = "indent its hyphen as that of the other entries";
        self.refuse(nested.span, "holds another entry inside", advice)
    }
}

fn likeness(name: &str, known: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), known)
}

/// The known field that `name` may be a misspelling of.
fn meant(name: &str, arn_field: &'static str) -> Option<&'static str> {
    // By its letters it is nearer to userid.
    if name.eq_ignore_ascii_case("user") {
        return Some("username");
    }
    let known = [arn_field, "username", "groups", "userid"];
    let meant = known.into_iter().max_by(|a, b| likeness(name, a).total_cmp(&likeness(name, b)));
    meant.filter(|meant| likeness(name, meant) >= LIKE)
}

/// Whether `name` is a slip or two away from a field that names somebody. `oldRoleArn`, say, is a remark on who was.
fn is_misspelt_naming(name: &str) -> bool {
    named::NAMING.into_iter().any(|naming| is_within_two_slips(name, naming))
}

/// Of a short field one slip, since any short name is two away from it.
fn is_within_two_slips(name: &str, known: &str) -> bool {
    let slips = if known.len() > 4 { 2 } else { 1 };
    strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known) <= slips
}

/// Whether one of `pairs` is the field `name`, with a value.
fn has(pairs: &[(Node, Node)], name: &str) -> bool {
    let is_it = |key: &Node| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
    pairs.iter().any(|(key, value)| is_it(key) && value.value != Value::Null)
}
