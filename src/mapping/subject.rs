use std::fmt;

use crate::identity::{AccountId, MatchKey, Partition, Principal, PrincipalKind};

/// Whom an entry is about: what it is found by, and told apart from others by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One role, user, root or federated user.
    Principal(MatchKey),
    /// The role that IAM Identity Center makes of a permission set in an account.
    PermissionSet(PermissionSet),
    /// The role or user with this unique ID (`AROA…`, `AIDA…`).
    UserId(Box<str>),
    /// Any principal of an account.
    Account(AccountId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(key) => f.write_str(key.as_str()),
            Self::PermissionSet(PermissionSet { partition, account, name }) => {
                write!(f, "permission set {name} in account {account} of {partition}")
            }
            Self::UserId(user_id) => write!(f, "whoever has the ID {user_id}"),
            Self::Account(account) => write!(f, "any principal of account {account}"),
        }
    }
}

/// An IAM Identity Center permission set in one account. Its role is called
/// `AWSReservedSSO_<name>_<16 hexadecimal digits>`, and the digits change when it is made anew.
///
/// <https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html>
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PermissionSet {
    /// The partition.
    pub partition: Partition,
    /// The account.
    pub account: AccountId,
    /// The name in lower case: IAM compares role names without case.
    pub name: Box<str>,
}

/// What the roles of permission sets begin with.
const PREFIX: &str = "AWSReservedSSO_";

impl PermissionSet {
    /// The permission set whose role `principal` has assumed, where it is one's.
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        let role = match principal.kind() {
            PrincipalKind::AssumedRole { role, .. } => role.as_str(),
            PrincipalKind::Role { path_and_name } => path_and_name.rsplit('/').next()?,
            _ => return None,
        };
        let (prefix, rest) = role.split_at_checked(PREFIX.len())?;
        let (name, digits) = rest.rsplit_once('_')?;
        let hexadecimal = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (prefix.eq_ignore_ascii_case(PREFIX) && hexadecimal && !name.is_empty()).then(|| Self {
            partition: principal.partition(),
            account: principal.account(),
            name: name.to_ascii_lowercase().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(role: &str) -> Option<PermissionSet> {
        PermissionSet::of(
            &Principal::parse(&format!("arn:aws-cn:sts::111122223333:assumed-role/{role}/s")).unwrap(),
        )
    }

    #[test]
    fn a_permission_sets_role_is_known_by_its_form() {
        let set = of("AWSReservedSSO_Admin_Access_0123456789abcdef").unwrap();
        assert_eq!((set.partition, &*set.name), (Partition::AwsCn, "admin_access"));
        for role in [
            "AWSReservedSSO_Admin_0123456789abcde",
            "AWSReservedSSO_Admin_0123456789abcdeg",
            "AWSReservedSSO__0123456789abcdef",
            "AWSReservedSSO_0123456789abcdef",
            "xAWSReservedSSO_Admin_0123456789abcdef",
            "Admin",
        ] {
            assert_eq!(of(role), None, "{role}");
        }
    }
}
