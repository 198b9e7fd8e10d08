//! AWS services that work in a cluster themselves, and the names and rights that each has there.
//!
//! The list and the rights are eksctl's: <https://docs.aws.amazon.com/eks/latest/eksctl/emr-access.html>.

use std::{fmt, str::FromStr};

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::identity::{AccountId, Partition};

/// An AWS service that works in a cluster itself, by its service-linked role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AwsService {
    /// Amazon EMR on EKS: runs Spark jobs in one namespace.
    EmrContainers,
}

/// A name that is no service's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown AWS service {0:?}; known: {known}; another's role is mapped with --arn, and its Role and RoleBinding are \
     made with kubectl",
    known = AwsService::ALL.map(AwsService::name).join(", ")
)]
pub struct UnknownService(String);

impl AwsService {
    /// Every service.
    pub const ALL: [Self; 1] = [Self::EmrContainers];

    /// Its name; its user in Kubernetes, its Role and its RoleBinding are called the same.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmrContainers => "emr-containers",
        }
    }

    /// Its service-linked role in an account, without the path that STS does not show.
    #[must_use]
    pub fn role_arn(self, partition: Partition, account: AccountId) -> String {
        let role = match self {
            Self::EmrContainers => "AWSServiceRoleForAmazonEMRContainers",
        };
        format!("arn:{partition}:iam::{account}:role/{role}")
    }

    /// What it may do in its namespace. eksctl's list has `describe`, `edit`, `annotate` and `label` as well, which are
    /// kubectl's commands: to the API server they are no verbs, and give nothing.
    pub(super) fn rules(self) -> Vec<PolicyRule> {
        const MANAGE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
        const MANAGE_ALL: &[&str] =
            &["get", "list", "watch", "create", "patch", "delete", "deletecollection"];
        match self {
            Self::EmrContainers => vec![
                rule("", &["namespaces"], &["get"]),
                rule(
                    "",
                    &["pods", "pods/log", "services", "configmaps", "serviceaccounts", "events"],
                    MANAGE_ALL,
                ),
                rule("", &["secrets"], &["watch", "create", "patch", "delete"]),
                rule("", &["persistentvolumeclaims"], &["list", "create", "delete"]),
                rule("apps", &["deployments", "statefulsets"], MANAGE),
                rule("batch", &["jobs"], MANAGE),
                rule("extensions", &["ingresses"], MANAGE),
                rule("rbac.authorization.k8s.io", &["roles", "rolebindings"], MANAGE_ALL),
            ],
        }
    }
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

impl FromStr for AwsService {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|service| service.name() == text);
        named.ok_or_else(|| UnknownService(text.to_owned()))
    }
}

/// A namespace's name: an RFC 1123 label, as the API server wants it.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(String);

/// A text that is no namespace's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a namespace's name is 1 to 63 small letters, digits and hyphens, with no hyphen at either end")]
pub struct NamespaceError;

impl Namespace {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_label = (1..=63).contains(&text.len())
            && text.bytes().all(letter)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if is_label { Ok(Self(text.to_owned())) } else { Err(NamespaceError) }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_its_names_and_another_is_refused_with_the_known_ones() {
        let service: AwsService = "emr-containers".parse().unwrap();
        assert_eq!(
            service.role_arn(Partition::AwsCn, "000000000012".parse().unwrap()),
            "arn:aws-cn:iam::000000000012:role/AWSServiceRoleForAmazonEMRContainers"
        );
        for unknown in ["emr", "EMR-containers", ""] {
            let error = unknown.parse::<AwsService>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("unknown AWS service {unknown:?}; known: emr-containers;")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_namespace_is_a_label() {
        for name in ["a", "emr-1", &"x".repeat(63)] {
            assert_eq!(name.parse::<Namespace>().unwrap().as_str(), name);
        }
        for text in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"x".repeat(64)] {
            assert_eq!(text.parse::<Namespace>(), Err(NamespaceError), "{text:?}");
        }
    }
}
