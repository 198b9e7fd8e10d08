//! Which mapping is somebody's, or which ones nearly are, and why not.

use super::{
    Backend, BackendMode, Listed, Mapping, Match, Origin, PermissionSet, RenderError, Section, Snapshot,
    Standing, Subject, Template,
};
use crate::identity::{Identity, Principal, PrincipalKind};

/// How many near misses are told.
const MAX_MISSES: usize = 5;
/// From how like a name must be to count as near, 0 to 1.
const LIKE: f64 = 0.7;

/// What one backend says of somebody, whether it comes to be asked or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Which backend.
    pub backend: BackendMode,
    /// What its mappings stand on.
    pub standing: Standing,
    /// How many subjects it maps.
    pub mappings: usize,
    /// What it says.
    pub explanation: Explanation,
}

/// What a backend's mappings say of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// It has none that could say anything.
    NotLoaded,
    /// They map them.
    Mapped {
        /// Which entry or object does.
        origin: Origin,
        /// The username's template; `None` where there is none, so that the canonical ARN is taken.
        username: Option<String>,
        /// The groups' templates.
        groups: Vec<String>,
        /// The username and groups that come out, or why none do.
        gives: Result<(String, Vec<String>), RenderError>,
        /// The beginning of that username which is reserved from this backend: they are refused.
        reserved: Option<String>,
    },
    /// They do not; the nearest come first.
    NotMapped(Vec<NearMiss>),
}

/// A mapping that is nearly somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Which entry or object.
    pub origin: Origin,
    /// Whom it is about.
    pub subject: Subject,
    /// Why it is not theirs.
    pub why: String,
}

impl Explained {
    pub(super) fn new(backend: &Backend, identity: &Identity, instance_name: Option<&str>) -> Self {
        let state = backend.state();
        let explanation = backend.snapshot().map_or(Explanation::NotLoaded, |snapshot| {
            match backend.look_up(&snapshot, identity) {
                Some(found) => mapped(backend, found, identity, instance_name),
                None => Explanation::NotMapped(near_misses(&snapshot, identity, backend)),
            }
        });
        Self { backend: state.backend, standing: state.standing, mappings: state.mappings, explanation }
    }
}

fn mapped(
    backend: &Backend,
    found: Match<'_>,
    identity: &Identity,
    instance_name: Option<&str>,
) -> Explanation {
    let (username, groups) = match found {
        Match::Entry(mapping) => (
            mapping.username.as_ref().map(Template::to_string),
            mapping.groups.iter().map(Template::to_string).collect(),
        ),
        Match::Account(_) => (None, Vec::new()),
    };
    let gives = found.render(identity, instance_name);
    let reserved = gives.as_ref().ok().and_then(|(username, _)| backend.reserved_beginning(username));
    Explanation::Mapped {
        origin: found.origin().clone(),
        username,
        groups,
        reserved: reserved.map(str::to_owned),
        gives,
    }
}

fn near_misses(snapshot: &Snapshot, identity: &Identity, backend: &Backend) -> Vec<NearMiss> {
    let mut misses: Vec<(u8, NearMiss)> = snapshot
        .index()
        .entries()
        .filter_map(|(subject, mapping)| {
            let (distance, why) = miss(&subject, mapping, identity, backend.permission_sets_match())?;
            Some((distance, NearMiss { origin: mapping.origin.clone(), subject, why }))
        })
        .collect();
    misses.sort_by(|(distance, miss), (other_distance, other)| {
        (distance, place(&miss.origin)).cmp(&(other_distance, place(&other.origin)))
    });
    misses.into_iter().take(MAX_MISSES).map(|(_, miss)| miss).collect()
}

/// How far a mapping is from the caller's, and why it is not theirs; `None` where it is not near.
fn miss(
    subject: &Subject,
    mapping: &Mapping,
    identity: &Identity,
    permission_sets_match: bool,
) -> Option<(u8, String)> {
    let caller = identity.principal();
    let other_user_id =
        |its: &str| (0, format!("its userid is {its}, and the caller's is {}", identity.user_id()));
    match subject {
        Subject::Principal(key) if *key == caller.match_key() => {
            Some(other_user_id(mapping.user_id.as_deref().unwrap_or_default()))
        }
        Subject::Principal(key) => differs(&Principal::parse(key.as_str()).ok()?, caller),
        Subject::PermissionSet(set) if Some(set) == PermissionSet::of(caller).as_ref() => {
            Some(if permission_sets_match {
                other_user_id(mapping.user_id.as_deref().unwrap_or_default())
            } else {
                let why = "it is about a permission set, and those match nobody: --feature-gates \
                           SSORoleMatch=false switches them off";
                (0, why.to_owned())
            })
        }
        Subject::PermissionSet(set) => permission_set_differs(set, caller),
        Subject::UserId(user_id) if **user_id == *identity.user_id() => {
            let also = mapping.also.as_ref()?;
            Some((0, format!("the userid is the caller's, but it is about {also} alone")))
        }
        Subject::UserId(user_id) => {
            let is_named = match mapping.also.as_ref()? {
                Subject::Principal(key) => *key == caller.match_key(),
                Subject::PermissionSet(set) => Some(set) == PermissionSet::of(caller).as_ref(),
                Subject::Account(_) | Subject::UserId(_) => false,
            };
            is_named.then(|| other_user_id(user_id))
        }
        Subject::Account(_) => None,
    }
}

/// By which misses of one distance are ordered: as they were written.
fn place(origin: &Origin) -> (Option<Section>, usize, &str) {
    match origin {
        Origin::Listed(Listed { section, entry, .. }) => (Some(*section), *entry, ""),
        Origin::Object(name) => (None, 0, name),
        Origin::Administrator(number) => (None, *number, ""),
    }
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
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        identity::Partition,
        mapping::{AwsAuth, Chain},
    };

    fn snapshot() -> Snapshot {
        let roles = "
- {rolearn: 'arn:aws:iam::111122223333:role/team/Admin', username: 'admin:{{SessionName}}', groups: [system:masters]}
- {rolearn: 'arn:aws:iam::444455556666:role/Deployer', username: d}
- {rolearn: 'arn:aws:iam::111122223333:role/Pinned', username: p, userid: AROAOTHER}
- {sso: {permissionSetName: View, accountID: '444455556666'}, username: v}
- {sso: {permissionSetName: Ops, accountID: '111122223333'}, username: o}
";
        let users = "- {userarn: 'arn:aws:iam::111122223333:user/ops/bob', username: bob}";
        let data = [("mapRoles", roles), ("mapUsers", users)];
        let data: BTreeMap<_, _> = data.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        Snapshot::update(None, &AwsAuth::from(data)).0
    }

    /// What the file's mappings say of somebody, as the server would look at them.
    fn of(arn: &str, permission_sets: bool) -> Explanation {
        let user_id = if arn.contains("assumed-role/") { "AROAEXAMPLE:s" } else { "AIDAEXAMPLE" };
        let account = "111122223333".parse().unwrap();
        let identity = Identity::new(Partition::Aws, arn, account, user_id, "AKIAEXAMPLE").unwrap();
        explain(snapshot(), permission_sets, &identity)
    }

    fn explain(snapshot: Snapshot, permission_sets: bool, identity: &Identity) -> Explanation {
        let (backend, publisher) = BackendMode::MountedFile.backend();
        publisher.publish(Arc::new(snapshot));
        let backend = backend.matching_permission_sets(permission_sets).reserving(&["system:".to_owned()]);
        Chain::new(vec![backend]).explain(identity, None).remove(0).explanation
    }

    #[test]
    fn a_match_is_shown_with_what_comes_out() {
        let admin = of("arn:aws:sts::111122223333:assumed-role/admin/s", true);
        let Explanation::Mapped { origin, username, groups, gives, reserved } = admin else {
            panic!("not mapped")
        };
        let masters = vec!["system:masters".to_owned()];
        assert_eq!(origin.to_string(), "mapRoles entry 1 (line 2)");
        assert_eq!((username.as_deref(), &groups), (Some("admin:{{SessionName}}"), &masters));
        assert_eq!((gives, reserved), (Ok(("admin:s".to_owned(), masters)), None));
    }

    #[test]
    fn a_reserved_username_and_one_that_cannot_be_rendered_are_told() {
        let roles = "- {rolearn: 'arn:aws:iam::111122223333:role/N', username: 'system:node:{{SessionName}}'}
- {rolearn: 'arn:aws:iam::111122223333:role/E', username: 'system:node:{{EC2PrivateDNSName}}'}";
        let data = BTreeMap::from([("mapRoles".to_owned(), roles.to_owned())]);
        let role = |name: &str| {
            let arn = format!("arn:aws:sts::111122223333:assumed-role/{name}/s");
            let account = "111122223333".parse().unwrap();
            let identity = Identity::new(Partition::Aws, &arn, account, "AROAEXAMPLE:s", "AKIAEXAMPLE");
            let snapshot = Snapshot::update(None, &AwsAuth::from(data.clone())).0;
            match explain(snapshot, true, &identity.unwrap()) {
                Explanation::Mapped { gives, reserved, .. } => (gives, reserved),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(role("N"), (Ok(("system:node:s".to_owned(), Vec::new())), Some("system:".to_owned())));
        assert_eq!(role("E"), (Err(RenderError::NoInstanceName), None));
    }

    #[test]
    fn a_permission_set_that_is_switched_off_is_near() {
        let arn = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/s";
        assert!(matches!(of(arn, true), Explanation::Mapped { .. }));
        let Explanation::NotMapped(misses) = of(arn, false) else { panic!("mapped") };
        assert!(misses[0].why.contains("SSORoleMatch=false"), "{misses:?}");
    }

    #[test]
    fn objects_and_administrators_have_near_misses_too() {
        let admin = Principal::parse("arn:aws:iam::111122223333:role/Admin").unwrap();
        let account = "111122223333".parse().unwrap();
        let arn = "arn:aws:sts::111122223333:assumed-role/Admni/s";
        let identity = Identity::new(Partition::Aws, arn, account, "AROAEXAMPLE:s", "AKIAEXAMPLE").unwrap();
        let mut objects = crate::mapping::Objects::default();
        let spec = crate::mapping::ObjectSpec { arn: admin.arn(), ..Default::default() };
        objects.apply(crate::mapping::Object { name: "a".into(), uid: None, created: None, spec: Ok(spec) });
        for (snapshot, place) in [
            (objects.snapshot().0, "IAMIdentityMapping a"),
            (Snapshot::administrators(&[admin]), "adminPrincipals entry 1"),
        ] {
            let Explanation::NotMapped(misses) = explain(snapshot, true, &identity) else { panic!("mapped") };
            assert_eq!(misses[0].origin.to_string(), place);
        }
    }

    #[test]
    fn an_entry_found_by_its_user_id_is_near_by_what_else_it_wants() {
        let json = r#"[{"userid": "AROAOTHER", "rolearn": "arn:aws:iam::111122223333:role/R", "username": "r"},
            {"userid": "AROAEXAMPLE", "rolearn": "arn:aws:iam::111122223333:role/S", "username": "s"}]"#;
        let node = crate::yaml::parse(json, crate::yaml::Limits::default()).unwrap();
        let lists = [node.as_ref(), None, None];
        let (snapshot, _) = Snapshot::update_from_nodes(None, lists, crate::mapping::MatchBy::UserId);
        let account = "111122223333".parse().unwrap();
        let arn = "arn:aws:sts::111122223333:assumed-role/R/s";
        let identity = Identity::new(Partition::Aws, arn, account, "AROAEXAMPLE:s", "AKIAEXAMPLE").unwrap();
        let Explanation::NotMapped(misses) = explain(snapshot, true, &identity) else { panic!("mapped") };
        let told: Vec<_> = misses.iter().map(|miss| miss.why.as_str()).collect();
        assert_eq!(
            told,
            [
                "its userid is AROAOTHER, and the caller's is AROAEXAMPLE",
                "the userid is the caller's, but it is about arn:aws:iam::111122223333:role/s alone",
            ]
        );
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
            let Explanation::NotMapped(misses) = of(&format!("arn:aws:{arn}"), true) else {
                panic!("{arn} is mapped")
            };
            assert_eq!(misses.first().map(|miss| miss.why.as_str()), Some(why), "{arn}: {misses:#?}");
        }
        let mallory = of("arn:aws:iam::111122223333:user/mallory", true);
        assert_eq!(mallory, Explanation::NotMapped(Vec::new()));
    }
}
