//! The three lists, entry by entry.
//!
//! Whoever has access by an entry today has it here: names of fields count without case, an ARN of the other
//! list's kind is taken, a username may be missing. What is odd is told.

use std::sync::Arc;

use super::{Diagnostic, Listed, Mapping, Origin, PermissionSet, Place, Severity, Subject, Template};
use crate::{
    identity::{AccountId, Principal, PrincipalKind},
    yaml::{Node, Position, Value},
};

/// One of the three lists that mappings are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `mapRoles`
    Roles,
    /// `mapUsers`
    Users,
    /// `mapAccounts`
    Accounts,
}

impl Section {
    /// All three, in the order in which they are looked up.
    pub const ALL: [Self; 3] = [Self::Roles, Self::Users, Self::Accounts];

    /// The key in aws-auth's data and in the configuration file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Roles => "mapRoles",
            Self::Users => "mapUsers",
            Self::Accounts => "mapAccounts",
        }
    }

    /// The field that names whom an entry is about; empty for accounts, whose entries are that name.
    const fn arn_field(self) -> &'static str {
        match self {
            Self::Roles => "rolearn",
            Self::Users => "userarn",
            Self::Accounts => "",
        }
    }
}

/// What entries of mapRoles and mapUsers are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchBy {
    /// The ARN, or the permission set; a user ID beside it must match too.
    #[default]
    Arn,
    /// The ARN, or the permission set, whatever user ID stands beside it. A dynamic file names the user ID of
    /// every entry, and today it counts there only where `dynamicfileUserIDStrict` says so.
    ArnAlone,
    /// The user ID, which every entry has then; an ARN or a permission set beside it must match too.
    UserId,
}

/// A section's valid entries. Entries of mapAccounts have a mapping that gives nothing but its origin.
pub(super) type Contents = Vec<(Subject, Arc<Mapping>)>;

/// A section that could be read.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The valid entries, in order.
    pub(super) valid: Contents,
    /// Whom the invalid entries are about, where that much could be read.
    pub(super) invalid: Vec<Subject>,
}

/// Reads a list; `None`, with a diagnostic, where it is none.
pub(super) fn read(
    section: Section,
    node: &Node,
    by: MatchBy,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Parsed> {
    let items = match &node.value {
        Value::Null => return Some(Parsed::default()),
        Value::Sequence(items) => items,
        _ => {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                place: Place::List { section, entry: None, position: Some(node.span) },
                message: format!("is {}, not a list; the list stays as it last was", node.kind()),
                advice: "begin each entry with a hyphen: \"- \"".to_owned(),
            });
            return None;
        }
    };
    let mut parsed = Parsed::default();
    for (index, item) in items.iter().enumerate() {
        let origin = Listed { section, entry: index + 1, position: item.span };
        let mut entry = Entry { origin, by, diagnostics };
        let result = match section {
            Section::Accounts => entry.account(item),
            Section::Roles | Section::Users => entry.principal(item),
        };
        match result {
            Ok(valid) => parsed.valid.push(valid),
            Err(Some(subject)) => parsed.invalid.push(subject),
            Err(None) => {}
        }
    }
    Some(parsed)
}

/// An entry that is read, and where its diagnostics go.
struct Entry<'a> {
    origin: Listed,
    by: MatchBy,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// A valid entry, or whom an invalid one is about.
type Read = Result<(Subject, Arc<Mapping>), Option<Subject>>;

/// The fields of an entry.
#[derive(Default)]
struct Fields<'a> {
    arn: Option<&'a Node>,
    sso: Option<&'a Node>,
    username: Option<&'a Node>,
    groups: Option<&'a Node>,
    user_id: Option<&'a Node>,
}

impl Entry<'_> {
    fn tell(&mut self, severity: Severity, position: Position, message: String, advice: impl Into<String>) {
        let Listed { section, entry, .. } = self.origin;
        self.diagnostics.push(Diagnostic {
            severity,
            place: Place::List { section, entry: Some(entry), position: Some(position) },
            message,
            advice: advice.into(),
        });
    }

    fn warn(&mut self, position: Position, message: String, advice: impl Into<String>) {
        self.tell(Severity::Warning, position, message, advice);
    }

    /// Tells what makes the entry invalid.
    fn refuse(&mut self, position: Position, message: &str, advice: impl Into<String>) {
        let message = format!("{message}; the entry is skipped, and whom it maps keeps what was last good");
        self.tell(Severity::Error, position, message, advice);
    }

    fn account(&mut self, item: &Node) -> Read {
        let account = item.as_str().and_then(|text| text.trim().parse::<AccountId>().ok());
        let Some(account) = account else {
            self.refuse(
                item.span,
                "not an account ID",
                "write its twelve digits in quotes, leading zeros included",
            );
            return Err(None);
        };
        let mapping = Mapping {
            username: None,
            groups: Box::default(),
            user_id: None,
            also: None,
            origin: Origin::Listed(self.origin),
        };
        Ok((Subject::Account(account), Arc::new(mapping)))
    }

    fn principal(&mut self, item: &Node) -> Read {
        let fields = self.fields(item)?;
        let (subject, also) = match self.by {
            MatchBy::Arn | MatchBy::ArnAlone => (self.subject(item, &fields)?, None),
            MatchBy::UserId => self.user_id(item, &fields)?,
        };
        let broken = || Some(subject.clone());
        let username = match self.text("username", fields.username).map_err(|()| broken())? {
            Some("") | None => {
                self.warn(
                    item.span,
                    "has no username; the canonical ARN is taken".to_owned(),
                    "add username",
                );
                None
            }
            Some(text) => Some(self.template(text, fields.username.map_or(item.span, |node| node.span))),
        };
        let groups = self.groups(fields.groups).map_err(|()| broken())?;
        let user_id = self.text("userid", fields.user_id).map_err(|()| broken())?;
        let pins = |text: &&str| !text.is_empty() && self.by != MatchBy::ArnAlone;
        let user_id = user_id.filter(pins).map(Into::into);
        let origin = Origin::Listed(self.origin);
        Ok((subject, Arc::new(Mapping { username, groups, user_id, also, origin })))
    }

    fn fields<'n>(&mut self, item: &'n Node) -> Result<Fields<'n>, Option<Subject>> {
        let arn_field = self.origin.section.arn_field();
        let Some(pairs) = item.as_mapping() else {
            let message = format!("is {}, not an entry with fields", item.kind());
            self.refuse(
                item.span,
                &message,
                format!("write {arn_field}, username and groups, each on a line of its own"),
            );
            return Err(None);
        };
        let mut fields = Fields::default();
        for (key, value) in pairs {
            let name = key.as_str().unwrap_or_default();
            let slot = match name.to_ascii_lowercase().as_str() {
                lower if lower == arn_field => &mut fields.arn,
                "sso" if self.origin.section == Section::Roles => &mut fields.sso,
                "username" => &mut fields.username,
                "groups" => &mut fields.groups,
                "userid" => &mut fields.user_id,
                _ => {
                    let known = format!("known are {arn_field}, username, groups and userid");
                    self.warn(key.span, format!("the field {name:?} means nothing here"), known);
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                self.warn(
                    key.span,
                    format!("the field {name} is there twice; the last one counts"),
                    "remove one",
                );
            }
        }
        Ok(fields)
    }

    fn subject(&mut self, item: &Node, fields: &Fields<'_>) -> Result<Subject, Option<Subject>> {
        let arn_field = self.origin.section.arn_field();
        let given = |node: &&Node| node.value != Value::Null && node.as_str() != Some("");
        match (fields.arn.filter(given), fields.sso.filter(given)) {
            (Some(arn), None) => self.arn(arn),
            (None, Some(sso)) => self.permission_set(sso),
            (None, None) => {
                self.refuse(item.span, &format!("has no {arn_field}"), format!("add {arn_field}"));
                Err(None)
            }
            (Some(arn), Some(_)) => {
                self.refuse(arn.span, "has both rolearn and sso", "keep one of the two");
                Err(None)
            }
        }
    }

    /// The user ID that an entry is found by, and whom it names beside that. Nothing of an entry whose ARN cannot
    /// be read is kept either: it never matches.
    fn user_id(
        &mut self,
        item: &Node,
        fields: &Fields<'_>,
    ) -> Result<(Subject, Option<Subject>), Option<Subject>> {
        let user_id = match self.text("userid", fields.user_id).map_err(|()| None)? {
            Some(user_id) if !user_id.is_empty() => user_id,
            _ => {
                self.refuse(
                    item.span,
                    "has no userid, by which entries are found here",
                    "add userid (AROA…, AIDA…), or set server.dynamicfileUserIDStrict to false",
                );
                return Err(None);
            }
        };
        let given = |node: &Node| node.value != Value::Null && node.as_str() != Some("");
        let also = if fields.arn.is_some_and(given) || fields.sso.is_some_and(given) {
            Some(self.subject(item, fields)?)
        } else {
            None
        };
        Ok((Subject::UserId(user_id.into()), also))
    }

    fn arn(&mut self, node: &Node) -> Result<Subject, Option<Subject>> {
        let field = self.origin.section.arn_field();
        let Some(text) = node.as_str() else {
            self.refuse(node.span, &format!("{field} is {}, not a text", node.kind()), "write one ARN");
            return Err(None);
        };
        let principal = match Principal::parse(text.trim()) {
            Ok(principal) => principal,
            Err(error) => {
                let advice = if text.contains('<') {
                    "put the ARN in the place of <…>"
                } else {
                    "write it as arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME"
                };
                self.refuse(
                    node.span,
                    &format!("{field} {text:?} is no ARN that can be mapped: {error}"),
                    advice,
                );
                return Err(None);
            }
        };
        let is_role =
            matches!(principal.kind(), PrincipalKind::Role { .. } | PrincipalKind::AssumedRole { .. });
        if is_role != (self.origin.section == Section::Roles) {
            let (here, there) = if is_role { ("mapUsers", "mapRoles") } else { ("mapRoles", "mapUsers") };
            self.warn(
                node.span,
                format!("{text} stands in {here}, and works"),
                format!("it belongs in {there}"),
            );
        }
        if matches!(principal.kind(), PrincipalKind::AssumedRole { .. }) {
            let role = principal.canonical_arn();
            self.warn(
                node.span,
                "an assumed role's ARN stands for every session of the role".to_owned(),
                format!("write the role's: {role}"),
            );
        }
        Ok(Subject::Principal(principal.match_key()))
    }

    fn permission_set(&mut self, node: &Node) -> Result<Subject, Option<Subject>> {
        let form = "write sso with permissionSetName, accountID and, outside partition aws, partition";
        let Some(pairs) = node.as_mapping() else {
            self.refuse(node.span, &format!("sso is {}, not a mapping", node.kind()), form);
            return Err(None);
        };
        let field = |wanted: &str| {
            let field = pairs
                .iter()
                .rev()
                .find(|(key, _)| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(wanted)));
            field.and_then(|(_, value)| value.as_str())
        };
        let partition = field("partition").filter(|text| !text.is_empty()).unwrap_or("aws");
        let (Ok(partition), Some(account)) =
            (partition.parse(), field("accountID").and_then(|text| text.parse::<AccountId>().ok()))
        else {
            self.refuse(node.span, "sso has no valid accountID, or an unknown partition", form);
            return Err(None);
        };
        // https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_PermissionSet.html
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        let name = field("permissionSetName")
            .filter(|name| (1..=32).contains(&name.len()) && name.bytes().all(allowed));
        let Some(name) = name else {
            self.refuse(
                node.span,
                "sso has no valid permissionSetName (1 to 32 of letters, digits and _+=,.@-)",
                form,
            );
            return Err(None);
        };
        let name = name.to_ascii_lowercase().into();
        Ok(Subject::PermissionSet(PermissionSet { partition, account, name }))
    }

    /// A field that is a text, where it is given.
    fn text<'n>(&mut self, name: &str, node: Option<&'n Node>) -> Result<Option<&'n str>, ()> {
        match node {
            None | Some(Node { value: Value::Null, .. }) => Ok(None),
            Some(node) => node.as_str().map(Some).ok_or_else(|| {
                let message = format!("{name} is {}, not a text", node.kind());
                self.refuse(node.span, &message, "in YAML, a text that begins with { or [ needs quotes");
            }),
        }
    }

    fn groups(&mut self, node: Option<&Node>) -> Result<Box<[Template]>, ()> {
        let Some(node) = node else {
            return Ok(Box::default());
        };
        let items = match &node.value {
            Value::Null => return Ok(Box::default()),
            Value::Sequence(items) => items.as_slice(),
            Value::Scalar(_) => {
                self.warn(
                    node.span,
                    "groups is one text; taken as a list of one".to_owned(),
                    "write a list: \"- \" before each group",
                );
                std::slice::from_ref(node)
            }
            Value::Mapping(_) => {
                self.refuse(node.span, "groups is a mapping, not a list", "write \"- \" before each group");
                return Err(());
            }
        };
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
                self.refuse(
                    item.span,
                    &format!("a group is {}, not a text", item.kind()),
                    "write each group's name",
                );
                return Err(());
            };
            groups.push(self.template(text, item.span));
        }
        Ok(groups.into())
    }

    fn template(&mut self, text: &str, position: Position) -> Template {
        for (name, meant) in Template::unknown(text) {
            let advice = meant.map_or_else(
                || format!("there are {}", Template::names()),
                |meant| format!("did you mean {{{{{meant}}}}}?"),
            );
            self.warn(position, format!("{{{{{name}}}}} is no template, and stays as it is"), advice);
        }
        Template::parse(text)
    }
}
