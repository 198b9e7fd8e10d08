//! Which mapping is somebody's, or which ones nearly are, and why not.

use super::{Match, Origin, PermissionSet, Snapshot, Subject, Template};
use crate::identity::{Identity, Principal, PrincipalKind};

/// How many near misses are told.
const MAX_MISSES: usize = 5;
/// From how like a name must be to count as near, 0 to 1.
const LIKE: f64 = 0.7;

/// What a snapshot says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// It maps them.
    Mapped {
        /// Which entry does.
        origin: Origin,
        /// The username; or its template, and why it cannot be rendered here.
        username: Result<String, (String, String)>,
        /// The groups, their templates where they cannot be rendered.
        groups: Vec<String>,
    },
    /// It does not; the nearest come first.
    NotMapped(Vec<NearMiss>),
}

/// A mapping that is nearly somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Which entry.
    pub origin: Origin,
    /// Whom it is about.
    pub subject: Subject,
    /// Why it is not theirs.
    pub why: String,
}

/// Says what `snapshot` gives `identity`.
#[must_use]
pub fn explain(snapshot: &Snapshot, identity: &Identity) -> Explanation {
    match snapshot.index().look_up(identity) {
        Some(Match::Entry(mapping)) => {
            let (username, groups) = match mapping.render(identity, None) {
                Ok((username, groups)) => (Ok(username), groups),
                Err(error) => {
                    let template = mapping.username.as_ref().map(Template::to_string).unwrap_or_default();
                    let groups = mapping.groups.iter().map(Template::to_string).collect();
                    (Err((template, error.to_string())), groups)
                }
            };
            Explanation::Mapped { origin: mapping.origin.clone(), username, groups }
        }
        Some(Match::Account(origin)) => Explanation::Mapped {
            origin: origin.clone(),
            username: Ok(identity.principal().canonical_arn()),
            groups: Vec::new(),
        },
        None => Explanation::NotMapped(near_misses(snapshot, identity)),
    }
}

fn near_misses(snapshot: &Snapshot, identity: &Identity) -> Vec<NearMiss> {
    let mut misses: Vec<(u8, NearMiss)> = snapshot
        .entries()
        .filter_map(|(_, subject, mapping)| {
            let (distance, why) = match subject {
                Subject::Principal(key) if *key == identity.principal().match_key() => {
                    let pinned = mapping.user_id.as_deref().unwrap_or_default();
                    (0, format!("its userid is {pinned}, and the caller's is {}", identity.user_id()))
                }
                Subject::Principal(key) => {
                    differs(&Principal::parse(key.as_str()).ok()?, identity.principal())?
                }
                Subject::PermissionSet(set) => permission_set_differs(set, identity.principal())?,
                Subject::UserId(_) | Subject::Account(_) => return None,
            };
            Some((distance, NearMiss { origin: mapping.origin.clone(), subject: subject.clone(), why }))
        })
        .collect();
    misses.sort_by_key(|(distance, _)| *distance);
    misses.into_iter().take(MAX_MISSES).map(|(_, miss)| miss).collect()
}

/// How a mapped principal differs from the caller, where it does in one thing alone.
fn differs(mapped: &Principal, caller: &Principal) -> Option<(u8, String)> {
    let (kind, name) = kind_and_name(mapped);
    let (callers_kind, callers_name) = kind_and_name(caller);
    let likeness = strsim::normalized_damerau_levenshtein(&name, &callers_name);
    let same_account = mapped.account() == caller.account();
    let same_partition = mapped.partition() == caller.partition();
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    if kind != callers_kind {
        let alike = same_account && same_partition && last(&name) == last(&callers_name);
        return alike.then(|| (3, format!("it is about a {kind}, and the caller is a {callers_kind}")));
    }
    match (name == callers_name, same_account, same_partition) {
        (true, false, true) => Some((
            1,
            format!("its account is {}, and the caller's is {}", mapped.account(), caller.account()),
        )),
        (true, _, false) => {
            let (its, callers) = (mapped.partition(), caller.partition());
            Some((1, format!("its partition is {its}, and the caller's is {callers}")))
        }
        (false, true, true) if last(&name) == last(&callers_name) => {
            Some((1, format!("a user's path counts: it is about {name}, and the caller is {callers_name}")))
        }
        (false, true, true) if likeness >= LIKE => {
            Some((2, format!("the name differs: it is about {name}, and the caller is {callers_name}")))
        }
        _ => None,
    }
}

fn permission_set_differs(mapped: &PermissionSet, caller: &Principal) -> Option<(u8, String)> {
    let callers = PermissionSet::of(caller)?;
    if mapped.name != callers.name {
        let likeness = strsim::normalized_damerau_levenshtein(&mapped.name, &callers.name);
        let alike = likeness >= LIKE && mapped.account == callers.account;
        return alike
            .then(|| (2, format!("the permission set's name differs: the caller's is {}", callers.name)));
    }
    Some((
        1,
        format!("the caller's permission set is in account {} of {}", callers.account, callers.partition),
    ))
}

/// In lower case, as principals are compared.
fn kind_and_name(principal: &Principal) -> (&'static str, String) {
    let (kind, name) = match principal.kind() {
        PrincipalKind::Root => ("account's root", ""),
        PrincipalKind::User { path_and_name } => ("user", path_and_name.as_str()),
        PrincipalKind::Role { path_and_name } => {
            ("role", path_and_name.rsplit('/').next().unwrap_or_default())
        }
        PrincipalKind::AssumedRole { role, .. } => ("role", role.as_str()),
        PrincipalKind::FederatedUser { name } => ("federated user", name.as_str()),
    };
    (kind, name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{identity::Partition, mapping::AwsAuth};

    fn snapshot() -> Snapshot {
        let roles = "
- {rolearn: 'arn:aws:iam::111122223333:role/team/Admin', username: 'admin:{{SessionName}}', groups: [system:masters]}
- {rolearn: 'arn:aws:iam::444455556666:role/Deployer', username: d}
- {rolearn: 'arn:aws:iam::111122223333:role/Pinned', username: p, userid: AROAOTHER}
- {sso: {permissionSetName: View, accountID: '444455556666'}, username: v}
";
        let users = "- {userarn: 'arn:aws:iam::111122223333:user/ops/bob', username: bob}";
        let data = [("mapRoles", roles), ("mapUsers", users)];
        let data: BTreeMap<_, _> = data.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        Snapshot::update(None, &AwsAuth::from(data)).0
    }

    fn of(arn: &str) -> Explanation {
        let user_id = if arn.contains("assumed-role/") { "AROAEXAMPLE:s" } else { "AIDAEXAMPLE" };
        let account = "111122223333".parse().unwrap();
        explain(&snapshot(), &Identity::new(Partition::Aws, arn, account, user_id, "AKIAEXAMPLE").unwrap())
    }

    #[test]
    fn a_match_is_shown_with_what_comes_out() {
        let Explanation::Mapped { origin, username, groups } =
            of("arn:aws:sts::111122223333:assumed-role/admin/s")
        else {
            panic!("not mapped")
        };
        assert_eq!(origin.to_string(), "mapRoles entry 1 (line 2)");
        assert_eq!((username.unwrap().as_str(), groups), ("admin:s", vec!["system:masters".to_owned()]));
    }

    #[test]
    fn near_misses_say_why() {
        for (arn, why) in [
            (
                "sts::111122223333:assumed-role/Admni/s",
                "the name differs: it is about admin, and the caller is admni",
            ),
            (
                "sts::111122223333:assumed-role/Deployer/s",
                "its account is 444455556666, and the caller's is 111122223333",
            ),
            (
                "sts::111122223333:assumed-role/Pinned/s",
                "its userid is AROAOTHER, and the caller's is AROAEXAMPLE",
            ),
            (
                "sts::111122223333:assumed-role/AWSReservedSSO_View_0123456789abcdef/s",
                "the caller's permission set is in account 111122223333 of aws",
            ),
            (
                "iam::111122223333:user/bob",
                "a user's path counts: it is about ops/bob, and the caller is bob",
            ),
            ("iam::111122223333:user/Admin", "it is about a role, and the caller is a user"),
        ] {
            let Explanation::NotMapped(misses) = of(&format!("arn:aws:{arn}")) else {
                panic!("{arn} is mapped")
            };
            assert_eq!(misses.first().map(|miss| miss.why.as_str()), Some(why), "{arn}: {misses:#?}");
        }
        assert_eq!(of("arn:aws:iam::111122223333:user/mallory"), Explanation::NotMapped(Vec::new()));
    }
}
