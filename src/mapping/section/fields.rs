//! The fields of an entry, and what becomes of those that are there twice or mean nothing.

use super::{
    entry::{Entry, Invalid},
    named,
    words::{may_have_run_together, words},
};
use crate::{
    mapping::{Message, Section},
    yaml::{Node, Value},
};

/// From how like a field must be to one that is known to be taken for a misspelling of it, 0 to 1.
const LIKE: f64 = 0.6;
/// The longest name, in bytes, that may be taken for a misspelling of another.
const MAX_LIKE: usize = 64;

/// The fields of an entry.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) arn: Option<&'a Node>,
    pub(super) sso: Option<&'a Node>,
    pub(super) username: Option<&'a Node>,
    pub(super) groups: Option<&'a Node>,
    pub(super) user_id: Option<&'a Node>,
}

/// Which of the known fields an entry has, with a value.
struct Given {
    names: Vec<&'static str>,
    /// One of its fields, known or not, has none.
    lacks_a_value: bool,
}

impl Given {
    fn of(pairs: &[(Node, Node)], arn_field: &'static str) -> Self {
        let known = [arn_field, "sso", "username", "groups", "userid"];
        Self {
            names: known.into_iter().filter(|name| has(pairs, name)).collect(),
            lacks_a_value: pairs.iter().any(|(_, value)| value.value == Value::Null),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
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
        let mut given = None;
        for (key, value) in pairs {
            let name = key.as_str().unwrap_or_default();
            let (slot, names) = match name.to_ascii_lowercase().as_str() {
                lower if lower == arn_field => (&mut fields.arn, true),
                "sso" if is_roles => (&mut fields.sso, true),
                "username" => (&mut fields.username, false),
                "groups" => (&mut fields.groups, false),
                "userid" => (&mut fields.user_id, self.finds_by_user_id()),
                _ => {
                    let given = given.get_or_insert_with(|| Given::of(pairs, arn_field));
                    self.unknown(given, key, value)?;
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
    /// entry lacks, which has those of `given`, the entry is doubtful.
    fn unknown(&mut self, given: &Given, key: &Node, value: &Node) -> Result<(), Invalid> {
        for node in [key, value] {
            if let Some(nested) = named::entry_in(node) {
                return Err(self.refuse_nested(nested));
            }
        }
        // A field without a value may be half a name: a comma or a line's end has made two of it.
        if given.lacks_a_value || is_no_name(key) {
            self.stray.add(key);
            self.stray.add(value);
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
        if names_another && (given.has(arn_field) || given.has("sso")) {
            let message = message.and("; whom it names keeps what was last good");
            self.fail(key.span, message, format!("{advice} to take their access away, remove it"));
            return Ok(());
        }
        match meant {
            Some("userid") if self.pins() && is_within_two_slips(name, "userid") && !given.has("userid") => {
                let message = message.and(", and pins nobody");
                return Err(self.refuse(key.span, message, "did you mean userid? or remove the field"));
            }
            Some(meant @ ("username" | "groups")) if !given.has(meant) => {
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

/// Whether a key is none that anybody would give a field: a list or mapping, or texts that have run together.
fn is_no_name(key: &Node) -> bool {
    !matches!(&key.value, Value::Scalar(name) if words(name).next().is_some() && !may_have_run_together(name))
}

fn likeness(name: &str, known: &str) -> f64 {
    // No text of a megabyte is like it.
    if name.len() > MAX_LIKE {
        return 0.0;
    }
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
    // Also where the line before it has run into it.
    let last = name.split_whitespace().last().unwrap_or_default();
    named::NAMING.into_iter().any(|naming| [name, last].iter().any(|name| is_within_two_slips(name, naming)))
}

/// Of a short field one slip, since any short name is two away from it.
fn is_within_two_slips(name: &str, known: &str) -> bool {
    if name.len() > MAX_LIKE {
        return false;
    }
    let slips = if known.len() > 4 { 2 } else { 1 };
    strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known) <= slips
}

/// Whether one of `pairs` is the field `name`, with a value.
fn has(pairs: &[(Node, Node)], name: &str) -> bool {
    let is_it = |key: &Node| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
    pairs.iter().any(|(key, value)| is_it(key) && value.value != Value::Null)
}
