//! One entry.

use std::sync::Arc;

use super::{MatchBy, Section, Valid, fields::Fields, named, permission_set};
use crate::{
    identity::{AccountId, Principal, PrincipalKind},
    mapping::{Diagnostic, Listed, Mapping, Message, Origin, Place, Severity, Subject, Template},
    yaml::{Node, Position, Value},
};

/// How many warnings are told of one entry. Who has mended those sees the next ones.
const MAX_WARNINGS: usize = 50;

/// An entry that is read, and where its diagnostics go.
pub(super) struct Entry<'a> {
    origin: Listed,
    by: MatchBy,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// How many warnings were told of it.
    warnings: usize,
    /// Whom it names in fields that mean nothing.
    pub(super) others: Vec<Subject>,
    /// Something that the author may well not have meant was told.
    doubtful: bool,
}

/// An entry that cannot be put in force; that it cannot has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Whom it names keeps what was last good.
    Keep,
    /// It never matches.
    Forget,
}

impl<'a> Entry<'a> {
    pub(super) const fn new(origin: Listed, by: MatchBy, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self { origin, by, diagnostics, warnings: 0, others: Vec::new(), doubtful: false }
    }
}

impl Entry<'_> {
    pub(super) const fn section(&self) -> Section {
        self.origin.section
    }

    pub(super) const fn arn_field(&self) -> &'static str {
        self.origin.section.arn_field()
    }

    pub(super) fn finds_by_user_id(&self) -> bool {
        self.by == MatchBy::UserId
    }

    /// Whether a user ID beside an ARN must be the principal's.
    pub(super) fn pins(&self) -> bool {
        matches!(self.by, MatchBy::Arn | MatchBy::ArnAsWritten)
    }

    fn tell(
        &mut self,
        severity: Severity,
        position: Position,
        message: impl Into<Message>,
        advice: impl Into<String>,
    ) {
        if severity == Severity::Warning {
            self.warnings += 1;
            if self.warnings > MAX_WARNINGS {
                return;
            }
        }
        let Listed { section, entry, .. } = self.origin;
        self.diagnostics.push(Diagnostic {
            severity,
            place: Place::List { section, entry: Some(entry), position: Some(position) },
            message: message.into(),
            advice: advice.into(),
        });
    }

    pub(super) fn warn(
        &mut self,
        position: Position,
        message: impl Into<Message>,
        advice: impl Into<String>,
    ) {
        self.tell(Severity::Warning, position, message, advice);
    }

    /// Tells what makes the entry invalid.
    pub(super) fn refuse(
        &mut self,
        position: Position,
        message: impl Into<Message>,
        advice: impl Into<String>,
    ) -> Invalid {
        let message = message.into().and("; the entry is skipped, and whom it maps keeps what was last good");
        self.tell(Severity::Error, position, message, advice);
        Invalid::Keep
    }

    /// Tells what makes the entry count only where nothing was last good.
    pub(super) fn doubt(
        &mut self,
        position: Position,
        message: impl Into<Message>,
        advice: impl Into<String>,
    ) {
        self.doubtful = true;
        let message = message
            .into()
            .and("; what was last good counts, and where nothing was, the entry as it is written");
        self.tell(Severity::Error, position, message, advice);
    }

    /// Tells what has no effect while the entry counts.
    pub(super) fn fail(
        &mut self,
        position: Position,
        message: impl Into<Message>,
        advice: impl Into<String>,
    ) {
        self.tell(Severity::Error, position, message, advice);
    }

    /// Has whom `node` names keep what they had; whether it names anybody.
    pub(super) fn keep_whom(&mut self, node: &Node) -> bool {
        let before = self.others.len();
        named::collect(self.origin.section, self.by, node, &mut self.others);
        self.others.len() > before
    }

    pub(super) fn account(&mut self, item: &Node) -> Result<Valid, Invalid> {
        let account = item.as_str().and_then(|text| text.trim().parse::<AccountId>().ok());
        let Some(account) = account else {
            let advice = "write its twelve digits in quotes, leading zeros included";
            return Err(self.refuse(item.span, "not an account ID", advice));
        };
        let mapping = Mapping {
            username: None,
            groups: Box::default(),
            user_id: None,
            also: None,
            origin: Origin::Listed(self.origin),
        };
        let mapping = Arc::new(mapping);
        Ok(Valid { subject: Subject::Account(account), mapping, with_path: false, doubtful: false })
    }

    /// An entry of mapRoles or mapUsers, and what stands before and behind it.
    pub(super) fn principal(
        &mut self,
        item: &Node,
        [before, next]: [Option<&Node>; 2],
    ) -> Result<Valid, Invalid> {
        let fields = self.fields(item)?;
        for neighbour in [before, next].into_iter().flatten() {
            self.lost_field(item, neighbour);
        }
        self.lost_group(item, next);
        let ((subject, with_path), also) = match self.by {
            MatchBy::Arn | MatchBy::ArnAsWritten | MatchBy::ArnAlone => (self.subject(item, &fields)?, None),
            MatchBy::UserId => {
                let (subject, also) = self.user_id(item, &fields)?;
                ((subject, false), also)
            }
        };
        let username = match self.text("username", fields.username)? {
            Some("") | None => {
                let message = "has no username; the canonical ARN is taken";
                self.warn(item.span, message.to_owned(), "add username");
                None
            }
            Some(text) => Some(self.template(text, fields.username.map_or(item.span, |node| node.span))),
        };
        let groups = self.groups(fields.groups)?;
        let user_id = self.pin(fields.user_id)?;
        let mapping =
            Arc::new(Mapping { username, groups, user_id, also, origin: Origin::Listed(self.origin) });
        Ok(Valid { subject, mapping, with_path, doubtful: self.doubtful })
    }

    /// The user ID that the principal must have, where the entry pins one. A pin that pins nobody is no entry for
    /// everybody of that name.
    fn pin(&mut self, node: Option<&Node>) -> Result<Option<Box<str>>, Invalid> {
        let Some(node) = node.filter(|_| self.by != MatchBy::ArnAlone) else { return Ok(None) };
        let text = match self.text("userid", Some(node))? {
            Some(text) if !text.trim().is_empty() => text,
            _ => {
                let advice = "write the ID (AROA…, AIDA…), or remove the field";
                return Err(self.refuse(node.span, "userid is empty, and pins nobody", advice));
            }
        };
        // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let after = "\" is no principal's, so that the entry matches nobody";
            let message = Message::quoting("userid \"", text, after);
            self.warn(node.span, message, "write the ID alone (AROA…, AIDA…): capital letters and digits");
        }
        Ok(Some(text.into()))
    }

    /// Whom the entry is about, and whether that is a role whose path is written.
    fn subject(&mut self, item: &Node, fields: &Fields<'_>) -> Result<(Subject, bool), Invalid> {
        let arn_field = self.arn_field();
        match (fields.arn.filter(is_given), fields.sso.filter(is_given)) {
            (Some(arn), None) => self.arn(arn),
            (None, Some(sso)) => Ok((self.permission_set(sso)?, false)),
            (None, None) => {
                Err(self.refuse(item.span, format!("has no {arn_field}"), format!("add {arn_field}")))
            }
            (Some(arn), Some(_)) => {
                Err(self.refuse(arn.span, "has both rolearn and sso", "keep one of the two"))
            }
        }
    }

    /// The user ID that an entry is found by, and whom it names beside that. Nothing of an entry whose ARN cannot
    /// be read is kept either: it never matches.
    fn user_id(&mut self, item: &Node, fields: &Fields<'_>) -> Result<(Subject, Option<Subject>), Invalid> {
        let user_id = match self.text("userid", fields.user_id)? {
            Some(user_id) if !user_id.is_empty() => user_id,
            _ => {
                let advice = "add userid (AROA…, AIDA…), or set server.dynamicfileUserIDStrict to false";
                return Err(self.refuse(item.span, "has no userid, by which entries are found here", advice));
            }
        };
        let also = if fields.arn.is_some_and(|node| is_given(&node))
            || fields.sso.is_some_and(|node| is_given(&node))
        {
            Some(self.subject(item, fields).map_err(|_| Invalid::Forget)?.0)
        } else {
            None
        };
        Ok((Subject::UserId(user_id.into()), also))
    }

    fn arn(&mut self, node: &Node) -> Result<(Subject, bool), Invalid> {
        let field = self.arn_field();
        let Some(text) = node.as_str() else {
            let message = format!("{field} is {}, not a text", node.kind());
            return Err(self.refuse(node.span, message, "write one ARN"));
        };
        // A path may hold nearly any character, so that the second would be taken for the first one's path.
        if text.to_ascii_lowercase().matches("arn:").count() > 1 {
            let message = format!("{field} holds several ARNs");
            return Err(self.refuse(node.span, message, "write an entry for each"));
        }
        let principal = match Principal::parse_mapped(text.trim()) {
            Ok(principal) => principal,
            Err(error) => {
                let advice = if text.contains('<') {
                    "put the ARN in the place of <…>"
                } else {
                    "write it as arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME"
                };
                let after = format!("\" is no ARN that can be mapped: {error}");
                let message = Message::quoting(format!("{field} \""), text, after);
                return Err(self.refuse(node.span, message, advice));
            }
        };
        let is_role =
            matches!(principal.kind(), PrincipalKind::Role { .. } | PrincipalKind::AssumedRole { .. });
        if is_role != (self.origin.section == Section::Roles) {
            let (here, there) = if is_role { ("mapUsers", "mapRoles") } else { ("mapRoles", "mapUsers") };
            let message = Message::quoting("", text, format!(" stands in {here}, and works"));
            self.warn(node.span, message, format!("it belongs in {there}"));
        }
        if matches!(principal.kind(), PrincipalKind::AssumedRole { .. }) {
            let advice = "write the role's ARN: arn:aws:iam::ACCOUNT:role/NAME";
            if self.by == MatchBy::ArnAsWritten {
                let message = format!("{field} is an assumed role's ARN, which matches nobody");
                return Err(self.refuse(node.span, message, advice));
            }
            let message = "an assumed role's ARN stands for every session of the role".to_owned();
            self.warn(node.span, message, advice);
        }
        let with_path = matches!(
            principal.kind(),
            PrincipalKind::Role { path_and_name } if path_and_name.contains('/')
        );
        Ok((Subject::Principal(principal.match_key()), with_path))
    }

    fn permission_set(&mut self, node: &Node) -> Result<Subject, Invalid> {
        let Some(pairs) = node.as_mapping() else {
            let message = format!("sso is {}, not a mapping", node.kind());
            return Err(self.refuse(node.span, message, permission_set::FORM));
        };
        match permission_set::read(&pairs.iter()) {
            Ok(set) => Ok(Subject::PermissionSet(set)),
            Err(message) => Err(self.refuse(node.span, message, permission_set::FORM)),
        }
    }

    /// A field that is a text, where it is given.
    fn text<'n>(&mut self, name: &str, node: Option<&'n Node>) -> Result<Option<&'n str>, Invalid> {
        match node {
            None | Some(Node { value: Value::Null, .. }) => Ok(None),
            Some(node) => node.as_str().map(Some).ok_or_else(|| {
                let message = format!("{name} is {}, not a text", node.kind());
                self.refuse(node.span, message, "in YAML, a text that begins with { or [ needs quotes")
            }),
        }
    }

    /// A text behind an entry that ends with its groups is one of them, by its look: its hyphen stands too far left.
    fn lost_group(&mut self, item: &Node, next: Option<&Node>) {
        let last = item.as_mapping().and_then(|pairs| pairs.last()).and_then(|(key, _)| key.as_str());
        if last.is_some_and(|key| key.eq_ignore_ascii_case("groups"))
            && let Some(next) = next.filter(|next| matches!(next.value, Value::Scalar(_)))
        {
            let message = "a group seems to stand among the entries, outside of groups";
            self.doubt(next.span, message, "indent its hyphen further than the entry's");
        }
    }

    fn groups(&mut self, node: Option<&Node>) -> Result<Box<[Template]>, Invalid> {
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
                self.warn(
                    item.span,
                    "a group without a name is left out".to_owned(),
                    "remove the empty hyphen",
                );
                continue;
            }
            let Some(text) = item.as_str() else {
                let message = format!("a group is {}, not a text", item.kind());
                return Err(self.refuse(item.span, message, "write each group's name"));
            };
            // A group's name may have blanks, but a hyphen among them was another line's.
            if is_list && has_hyphen(text) {
                let advice = "begin each group on a line of its own, and indent their hyphens alike";
                self.doubt(item.span, "a group's name holds a hyphen as of a list", advice);
            }
            groups.push(self.template(text, item.span));
        }
        Ok(groups.into())
    }

    fn template(&mut self, text: &str, position: Position) -> Template {
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

/// Whether a field says anything.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is what `Option::filter` gives")]
fn is_given(node: &&Node) -> bool {
    node.value != Value::Null && node.as_str() != Some("")
}
