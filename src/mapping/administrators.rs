//! The principals that are administrators whatever the backends say: `server.adminPrincipals`.

use std::sync::Arc;

use super::{Mapping, Origin, Snapshot, Subject, Template};
use crate::identity::{Principal, PrincipalKind};

/// The group whose members may do anything.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles>
const GROUP: &str = "system:masters";

impl Snapshot {
    /// Maps each of `principals` to `system:masters`. The username is the ARN as STS shows it, a role's with the name
    /// of the session, so that an audit log tells who it was.
    #[must_use]
    pub fn administrators(principals: &[Principal]) -> Self {
        let entry = |(index, principal): (usize, &Principal)| {
            let name = match principal.kind() {
                PrincipalKind::Role { path_and_name } => path_and_name.rsplit('/').next(),
                PrincipalKind::AssumedRole { role, .. } => Some(role.as_str()),
                _ => None,
            };
            let (partition, account) = (principal.partition(), principal.account());
            let username = name.map(|name| {
                let arn =
                    format!("arn:{partition}:sts::{account}:assumed-role/{name}/{{{{SessionNameRaw}}}}");
                Template::parse(&arn)
            });
            let mapping = Mapping {
                username,
                groups: [Template::parse(GROUP)].into(),
                user_id: None,
                also: None,
                origin: Origin::Administrator(index + 1),
            };
            (Subject::Principal(principal.match_key()), Arc::new(mapping))
        };
        let entries: Vec<_> = principals.iter().enumerate().map(entry).collect();
        Self::of_entries(entries.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Identity, Partition},
        mapping::{BackendMode, Chain, Mapped},
    };

    #[test]
    fn administrators_are_named_by_their_arns() {
        let principals = ["arn:aws:iam::111122223333:role/ops/Admin", "arn:aws:iam::111122223333:user/Bob"];
        let principals = principals.map(|arn| Principal::parse(arn).unwrap());
        let (backend, publisher) = BackendMode::AdminPrincipals.backend();
        publisher.publish(Arc::new(Snapshot::administrators(&principals)));
        let chain = Chain::new(vec![backend]);
        let map = |arn: &str, user_id: &str| {
            let account = "111122223333".parse().unwrap();
            chain.map(&Identity::new(Partition::Aws, arn, account, user_id, "AKIAEXAMPLE").unwrap())
        };
        for (arn, user_id, entry) in [
            (
                "arn:aws:sts::111122223333:assumed-role/Admin/a@x.org",
                "AROAEXAMPLE:a@x.org",
                "adminPrincipals entry 1",
            ),
            ("arn:aws:iam::111122223333:user/Bob", "AIDAEXAMPLE", "adminPrincipals entry 2"),
        ] {
            let Mapped::Found(user) = map(arn, user_id) else { panic!("{arn} is not mapped") };
            assert_eq!((user.username.as_str(), user.groups), (arn, vec!["system:masters".to_owned()]));
            assert_eq!(
                (user.backend, user.origin.to_string().as_str()),
                (BackendMode::AdminPrincipals, entry)
            );
        }
        assert_eq!(map("arn:aws:iam::111122223333:user/ops/Bob", "AIDAEXAMPLE"), Mapped::NotMapped);
        assert_eq!(map("arn:aws:iam::111122223333:root", "111122223333"), Mapped::NotMapped);
    }
}
