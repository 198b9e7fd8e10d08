//! One entry.

use std::sync::Arc;

use super::{
    MatchBy, Section, Valid, named,
    remains::Remains,
    words::{Words, may_have_run_together, words},
};
use crate::{
    identity::AccountId,
    mapping::{Diagnostic, Listed, Mapping, Message, Origin, Place, Severity, Subject},
    yaml::{Node, Position, Value},
};

/// How many warnings are told of one entry. Who has mended those sees the next ones.
const MAX_WARNINGS: usize = 50;

/// An entry that is read, and where its diagnostics go.
pub(super) struct Entry<'a> {
    pub(super) origin: Listed,
    pub(super) by: MatchBy,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// How many warnings were told of it.
    warnings: usize,
    /// Whom it names in fields that mean nothing.
    pub(super) others: Vec<Subject>,
    /// Something that the author may well not have meant was told.
    doubtful: bool,
    pub(super) remains: Remains,
    /// What stands in fields of no name.
    pub(super) stray: Words,
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
    pub(super) fn new(origin: Listed, by: MatchBy, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            origin,
            by,
            diagnostics,
            warnings: 0,
            others: Vec::new(),
            doubtful: false,
            remains: Remains::default(),
            stray: Words::default(),
        }
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
        let remains = Remains::default();
        Ok(Valid { subject: Subject::Account(account), mapping, with_path: false, doubtful: false, remains })
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
        if let Some(Node { value: Value::Scalar(text), .. }) = fields.username
            && words(text).nth(1).is_some()
            && may_have_run_together(text)
        {
            self.remains.username = Some(Arc::new(Words::of(text)));
        }
        let groups = self.groups(fields.groups)?;
        let user_id = self.pin(fields.user_id)?;
        let mapping =
            Arc::new(Mapping { username, groups, user_id, also, origin: Origin::Listed(self.origin) });
        let mut remains = std::mem::take(&mut self.remains);
        if !self.stray.is_empty() {
            remains.beside.push(Arc::new(std::mem::take(&mut self.stray)));
        }
        Ok(Valid { subject, mapping, with_path, doubtful: self.doubtful, remains })
    }
}
