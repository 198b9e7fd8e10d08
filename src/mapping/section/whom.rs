//! Whom an entry of mapRoles or mapUsers is about.

use super::{
    MatchBy, Section,
    entry::{Entry, Invalid},
    fields::Fields,
    permission_set,
};
use crate::{
    identity::{Principal, PrincipalKind},
    mapping::{Message, Subject},
    yaml::{Node, Value},
};

impl Entry<'_> {
    /// Whom the entry is about, and whether that is a role whose path is written.
    pub(super) fn subject(&mut self, item: &Node, fields: &Fields<'_>) -> Result<(Subject, bool), Invalid> {
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
    pub(super) fn user_id(
        &mut self,
        item: &Node,
        fields: &Fields<'_>,
    ) -> Result<(Subject, Option<Subject>), Invalid> {
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
        // As in JSON: a name may end with a comma, but none does.
        if let Some(arn) = text.trim().strip_suffix(',') {
            let message = Message::quoting(
                format!("{field} \""),
                text,
                "\" ends with a comma, which is part of the name",
            );
            let message = message.and("; whom it names without it keeps what was last good");
            self.fail(node.span, message, "remove the comma");
            self.others
                .extend(Principal::parse_mapped(arn).ok().map(|arn| Subject::Principal(arn.match_key())));
        }
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

    /// The user ID that the principal must have, where the entry pins one. A pin that pins nobody is no entry for
    /// everybody of that name.
    pub(super) fn pin(&mut self, node: Option<&Node>) -> Result<Option<Box<str>>, Invalid> {
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
            self.doubt(node.span, message, "write the ID alone (AROA…, AIDA…): capital letters and digits");
        }
        Ok(Some(text.into()))
    }
}

/// Whether a field says anything.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is what `Option::filter` gives")]
fn is_given(node: &&Node) -> bool {
    node.value != Value::Null && node.as_str() != Some("")
}
