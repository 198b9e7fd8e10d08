use std::fmt;

use super::{AccountId, Arn, ArnError, Partition};

/// What STS may say that a caller is, with its account and partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    partition: Partition,
    account: AccountId,
    kind: PrincipalKind,
}

/// The five kinds of principal. IAM groups and instance profiles are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    /// `arn:P:iam::A:root`
    Root,
    /// `arn:P:iam::A:user/path/Bob`
    User {
        /// `path/Bob`: users keep their path.
        path_and_name: String,
    },
    /// `arn:P:iam::A:role/path/X`
    Role {
        /// `path/X`, as written.
        path_and_name: String,
    },
    /// `arn:P:sts::A:assumed-role/X/session`
    AssumedRole {
        /// The role's name; STS never shows its path.
        role: String,
        /// Who assumed it, as the caller of `AssumeRole` named itself; an instance's ID for an instance.
        session: String,
    },
    /// `arn:P:sts::A:federated-user/Bob`
    FederatedUser {
        /// The name given to `GetFederationToken`.
        name: String,
    },
}

/// Why an ARN is not a principal's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// Not an ARN at all.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// An IAM group.
    #[error("an IAM group is not a principal: map its users' or a role's ARN instead")]
    Group,
    /// An instance profile.
    #[error("an instance profile is not a principal: map the ARN of the role in it (arn:P:iam::A:role/NAME)")]
    InstanceProfile,
    /// Another service or kind of resource.
    #[error("not a root, user, role, assumed-role or federated-user ARN")]
    Kind,
    /// The name is empty, or holds what IAM names cannot.
    #[error("its name or path is empty or holds characters that IAM names do not have")]
    Name,
}

/// The form in which an identity and a mapping are compared: the canonical ARN in lower case, a role's path
/// left out.
///
/// STS never shows a role's path, role names are unique in an account whatever their path, and IAM compares
/// names without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MatchKey(Box<str>);

impl MatchKey {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for MatchKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Principal {
    /// Reads a principal's ARN.
    ///
    /// # Errors
    /// Where `arn` is none of the five kinds, or its names hold what IAM names cannot.
    pub fn parse(arn: &str) -> Result<Self, PrincipalError> {
        let Arn { partition, service, account, resource } = Arn::parse(arn)?;
        let kind = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => PrincipalKind::Root,
            ("iam", Some(("user", name))) => PrincipalKind::User { path_and_name: path_and_name(name)? },
            ("iam", Some(("role", name))) => PrincipalKind::Role { path_and_name: path_and_name(name)? },
            ("iam", Some(("group", _))) => return Err(PrincipalError::Group),
            ("iam", Some(("instance-profile", _))) => return Err(PrincipalError::InstanceProfile),
            ("sts", Some(("assumed-role", names))) => {
                let (role, session) = names.split_once('/').ok_or(PrincipalError::Name)?;
                PrincipalKind::AssumedRole { role: name(role)?, session: name(session)? }
            }
            ("sts", Some(("federated-user", federated))) => {
                PrincipalKind::FederatedUser { name: name(federated)? }
            }
            _ => return Err(PrincipalError::Kind),
        };
        Ok(Self { partition, account, kind })
    }

    /// Reads a principal's ARN as people write it in a mapping: what is before its first name (`arn`, the partition,
    /// the service, the kind of resource) counts without case. STS is held to its own form by [`Self::parse`].
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_mapped(arn: &str) -> Result<Self, PrincipalError> {
        let (keywords, names) = arn.split_at(arn.find('/').unwrap_or(arn.len()));
        Self::parse(&format!("{}{names}", keywords.to_ascii_lowercase()))
    }

    /// Which partition it lives in.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// Which account it lives in.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Which of the five kinds it is, with its names.
    #[must_use]
    pub const fn kind(&self) -> &PrincipalKind {
        &self.kind
    }

    /// The ARN as STS writes it.
    #[must_use]
    pub fn arn(&self) -> String {
        let Self { partition, account, kind } = self;
        match kind {
            PrincipalKind::Root => format!("arn:{partition}:iam::{account}:root"),
            PrincipalKind::User { path_and_name } => {
                format!("arn:{partition}:iam::{account}:user/{path_and_name}")
            }
            PrincipalKind::Role { path_and_name } => {
                format!("arn:{partition}:iam::{account}:role/{path_and_name}")
            }
            PrincipalKind::AssumedRole { role, session } => {
                format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}")
            }
            PrincipalKind::FederatedUser { name } => {
                format!("arn:{partition}:sts::{account}:federated-user/{name}")
            }
        }
    }

    /// The canonical ARN: an assumed role becomes its role, all else stays.
    #[must_use]
    pub fn canonical_arn(&self) -> String {
        match &self.kind {
            PrincipalKind::AssumedRole { role, .. } => {
                format!("arn:{}:iam::{}:role/{role}", self.partition, self.account)
            }
            _ => self.arn(),
        }
    }

    /// What it is looked up by.
    #[must_use]
    pub fn match_key(&self) -> MatchKey {
        let canonical = match &self.kind {
            PrincipalKind::Role { path_and_name } => {
                let name = path_and_name.rsplit('/').next().unwrap_or(path_and_name);
                format!("arn:{}:iam::{}:role/{name}", self.partition, self.account)
            }
            _ => self.canonical_arn(),
        };
        MatchKey(canonical.to_ascii_lowercase().into())
    }
}

impl std::str::FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(arn: &str) -> Result<Self, Self::Err> {
        Self::parse(arn)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

/// An IAM name or session name: letters, digits and `_+=,.@-`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
fn name(text: &str) -> Result<String, PrincipalError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(PrincipalError::Name);
    }
    Ok(text.to_owned())
}

/// A name with an optional path before it. A path is any printable ASCII between slashes.
fn path_and_name(text: &str) -> Result<String, PrincipalError> {
    let (path, last) = text.rsplit_once('/').unwrap_or(("", text));
    name(last)?;
    if text.starts_with('/') || (path.is_empty() && text.contains('/')) {
        return Err(PrincipalError::Name);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITIONS: [Partition; 8] = Partition::ALL;

    #[test]
    fn all_five_kinds_in_all_eight_partitions() {
        for partition in PARTITIONS {
            for (arn, canonical) in [
                ("iam::111122223333:root", "iam::111122223333:root"),
                ("iam::111122223333:user/Bob", "iam::111122223333:user/Bob"),
                ("iam::111122223333:user/team/a/Bob", "iam::111122223333:user/team/a/Bob"),
                ("iam::111122223333:role/X", "iam::111122223333:role/X"),
                ("sts::111122223333:assumed-role/X/i-0123456789abcdef0", "iam::111122223333:role/X"),
                ("sts::111122223333:assumed-role/X/a@b.c", "iam::111122223333:role/X"),
                ("sts::111122223333:federated-user/Bob", "sts::111122223333:federated-user/Bob"),
            ] {
                let (arn, canonical) =
                    (format!("arn:{partition}:{arn}"), format!("arn:{partition}:{canonical}"));
                let principal = Principal::parse(&arn).unwrap();
                assert_eq!(principal.arn(), arn);
                assert_eq!(principal.canonical_arn(), canonical);
                assert_eq!(principal.partition(), partition);
                assert_eq!(principal.match_key().as_str(), canonical.to_lowercase());
            }
        }
    }

    #[test]
    fn a_role_is_matched_without_its_path_and_without_case() {
        let written =
            Principal::parse("arn:aws:iam::111122223333:role/my-team/developers/Role-Name").unwrap();
        let seen = Principal::parse("arn:aws:sts::111122223333:assumed-role/role-name/s").unwrap();
        assert_eq!(written.match_key(), seen.match_key());
        assert_eq!(written.canonical_arn(), "arn:aws:iam::111122223333:role/my-team/developers/Role-Name");
    }

    #[test]
    fn a_user_is_matched_with_its_path() {
        let with = Principal::parse("arn:aws:iam::111122223333:user/ops/bob").unwrap();
        let without = Principal::parse("arn:aws:iam::111122223333:user/bob").unwrap();
        assert_ne!(with.match_key(), without.match_key());
    }

    #[test]
    fn a_mappings_arn_counts_without_case_and_keeps_its_names() {
        for (arn, read) in [
            ("ARN:AWS:IAM::111122223333:Role/Team/Admin", "arn:aws:iam::111122223333:role/Team/Admin"),
            ("arn:aws:iam::111122223333:User/Bob", "arn:aws:iam::111122223333:user/Bob"),
            ("arn:AWS-CN:iam::111122223333:ROOT", "arn:aws-cn:iam::111122223333:root"),
            ("arn:aws:STS::111122223333:Assumed-Role/A/S", "arn:aws:sts::111122223333:assumed-role/A/S"),
            ("arn:aws:sts::111122223333:Federated-User/D", "arn:aws:sts::111122223333:federated-user/D"),
        ] {
            assert_eq!(Principal::parse_mapped(arn).unwrap().arn(), read);
            assert!(Principal::parse(arn).is_err(), "{arn} is not STS's");
        }
        for arn in ["", "/", "arn:aws:iam::111122223333:Group/G", "arn:aws:iam::111122223333:Rôle/A"] {
            assert!(Principal::parse_mapped(arn).is_err(), "{arn}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        use PrincipalError::{Group, InstanceProfile, Kind, Name};
        for (resource, error) in [
            ("iam::111122223333:group/Admins", Group),
            ("iam::111122223333:instance-profile/Nodes", InstanceProfile),
            ("iam::111122223333:policy/P", Kind),
            ("iam::111122223333:Root", Kind),
            ("iam::111122223333:root/x", Kind),
            ("s3::111122223333:user/Bob", Kind),
            ("sts::111122223333:root", Kind),
            ("sts::111122223333:role/X", Kind),
            ("iam::111122223333:assumed-role/X/s", Kind),
            ("iam::111122223333:role", Kind),
            ("iam::111122223333:role/", Name),
            ("iam::111122223333:role//X", Name),
            ("iam::111122223333:role/path/", Name),
            ("iam::111122223333:user/a:b", Name),
            ("sts::111122223333:assumed-role/X", Name),
            ("sts::111122223333:assumed-role/X/", Name),
            ("sts::111122223333:assumed-role//s", Name),
            ("sts::111122223333:assumed-role/X/s/t", Name),
            ("sts::111122223333:assumed-role/X/{{AccountID}}", Name),
            ("sts::111122223333:federated-user/", Name),
        ] {
            assert_eq!(Principal::parse(&format!("arn:aws:{resource}")), Err(error), "{resource}");
        }
    }
}
