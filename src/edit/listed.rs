use super::{EditError, NewSubject, document::entries};
use crate::{
    identity::Principal,
    mapping::Section,
    yaml::{Node, Value},
};

/// An entry as it is written: nothing is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// In which list.
    pub section: Section,
    /// Which entry of it, from 0.
    pub index: usize,
    /// The ARN, the account, or a permission set as `arn:PARTITION:iam::ACCOUNT:role/AWSReservedSSO_NAME_*`.
    pub arn: String,
    /// The username; empty where there is none.
    pub username: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// The entries of a list's text.
///
/// # Errors
/// Where it cannot be read: see [`EditError`].
pub fn list(section: Section, text: &str) -> Result<Vec<Listed>, EditError> {
    let items = entries(section, text)?;
    Ok(items.iter().enumerate().map(|(index, item)| Listed::read(section, index, item)).collect())
}

impl Listed {
    fn read(section: Section, index: usize, item: &Node) -> Self {
        let text =
            |name| field(item, name).and_then(Node::as_str).map(str::trim).unwrap_or_default().to_owned();
        let arn = match section {
            Section::Accounts => item.as_str().map(str::trim).unwrap_or_default().to_owned(),
            Section::Users => text("userarn"),
            Section::Roles => match field(item, "sso") {
                Some(sso) if text("rolearn").is_empty() => permission_set(sso),
                _ => text("rolearn"),
            },
        };
        let groups = match field(item, "groups").map(|groups| &groups.value) {
            Some(Value::Sequence(items)) => {
                items.iter().filter_map(Node::as_str).map(str::to_owned).collect()
            }
            Some(Value::Scalar(group)) => vec![group.to_string()],
            _ => Vec::new(),
        };
        Self { section, index, arn, username: text("username"), groups }
    }

    /// Whether it is about `arn`, letter by letter but for their case, as aws-iam-authenticator compares them.
    #[must_use]
    pub fn is_of(&self, arn: &str) -> bool {
        self.arn.eq_ignore_ascii_case(arn)
    }

    /// Whether it is about whom `arn` is about, though it is written otherwise: with a path, say.
    #[must_use]
    pub fn means(&self, arn: &str) -> bool {
        let key = |arn: &str| Principal::parse_mapped(arn).ok().map(|principal| principal.match_key());
        self.is_of(arn) || key(&self.arn).is_some_and(|own| key(arn).as_ref() == Some(&own))
    }
}

impl NewSubject {
    /// As [`Listed::arn`] has it.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Self::Role(arn) | Self::User(arn) => arn.clone(),
            Self::PermissionSet { name, account, partition } => {
                format!("arn:{partition}:iam::{}:role/AWSReservedSSO_{name}_*", account.as_str())
            }
        }
    }
}

fn permission_set(sso: &Node) -> String {
    let text = |name| field(sso, name).and_then(Node::as_str).unwrap_or_default();
    let partition = if text("partition").is_empty() { "aws" } else { text("partition") };
    format!("arn:{partition}:iam::{}:role/AWSReservedSSO_{}_*", text("accountid"), text("permissionsetname"))
}

/// The last field of this name, without regard to case.
fn field<'n>(item: &'n Node, name: &str) -> Option<&'n Node> {
    let fields = item.as_mapping()?.iter().rev();
    let mut named = fields.filter(|(key, _)| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name)));
    named.next().map(|(_, value)| value)
}
