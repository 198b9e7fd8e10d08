//! What a service's Role and RoleBinding have to have, and what is missing in those that are there.
//!
//! Whatever else they have stays: RBAC only ever adds up, and what somebody added the service may need.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;

use super::{AwsService, Namespace};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The Role with all that the service needs; `None` where `found` has it.
pub(super) fn role(service: AwsService, namespace: &Namespace, found: Option<&Role>) -> Option<Role> {
    let mut role =
        found.cloned().unwrap_or_else(|| Role { metadata: named(service, namespace), rules: None });
    let rules = role.rules.get_or_insert_default();
    let missing: Vec<PolicyRule> =
        service.rules().into_iter().filter(|wanted| !is_covered(wanted, rules)).collect();
    rules.extend(missing.iter().cloned());
    (found.is_none() || !missing.is_empty()).then_some(role)
}

/// The RoleBinding with the service's user among its subjects; `None` where `found` has it. An error is the role that
/// it binds instead: a binding's role cannot be changed.
pub(super) fn binding(
    service: AwsService,
    namespace: &Namespace,
    found: Option<&RoleBinding>,
) -> Result<Option<RoleBinding>, RoleRef> {
    let role = RoleRef {
        api_group: Some(GROUP.to_owned()),
        kind: "Role".to_owned(),
        name: service.name().to_owned(),
    };
    let user = Subject {
        api_group: Some(GROUP.to_owned()),
        kind: "User".to_owned(),
        name: service.name().to_owned(),
        namespace: None,
    };
    let mut binding = found.cloned().unwrap_or_else(|| RoleBinding {
        metadata: named(service, namespace),
        role_ref: role.clone(),
        subjects: None,
    });
    if binding.role_ref.kind != role.kind || binding.role_ref.name != role.name {
        return Err(binding.role_ref);
    }
    let subjects = binding.subjects.get_or_insert_default();
    if subjects.iter().any(|subject| subject.kind == user.kind && subject.name == user.name) {
        return Ok(None);
    }
    subjects.push(user);
    Ok(Some(binding))
}

fn named(service: AwsService, namespace: &Namespace) -> ObjectMeta {
    ObjectMeta {
        name: Some(service.name().to_owned()),
        namespace: Some(namespace.to_string()),
        ..ObjectMeta::default()
    }
}

/// Whether `rules` allow all that `wanted` does.
fn is_covered(wanted: &PolicyRule, rules: &[PolicyRule]) -> bool {
    let each = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
    each(&wanted.api_groups).iter().all(|group| {
        each(&wanted.resources)
            .iter()
            .all(|resource| wanted.verbs.iter().all(|verb| is_allowed(rules, group, resource, verb)))
    })
}

fn is_allowed(rules: &[PolicyRule], group: &str, resource: &str, verb: &str) -> bool {
    let has = |texts: &[String], text: &str| texts.iter().any(|own| own == "*" || own == text);
    rules.iter().any(|rule| {
        rule.resource_names.as_ref().is_none_or(Vec::is_empty)
            && has(rule.api_groups.as_deref().unwrap_or_default(), group)
            && has(rule.resources.as_deref().unwrap_or_default(), resource)
            && has(&rule.verbs, verb)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: AwsService = AwsService::EmrContainers;

    fn namespace() -> Namespace {
        "jobs".parse().unwrap()
    }

    fn rules(text: &str) -> Role {
        let rules = serde_json::from_str(text).unwrap();
        Role { metadata: named(SERVICE, &namespace()), rules: Some(rules) }
    }

    #[test]
    fn a_role_is_made_once_and_then_so_already() {
        let made = role(SERVICE, &namespace(), None).unwrap();
        assert_eq!(made.rules.as_ref().unwrap(), &SERVICE.rules());
        assert_eq!(made.metadata.namespace.as_deref(), Some("jobs"));
        assert_eq!(role(SERVICE, &namespace(), Some(&made)), None);
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_there_stays() {
        let mut found = role(SERVICE, &namespace(), None).unwrap();
        let rules = found.rules.as_mut().unwrap();
        let own = rules.swap_remove(2);
        assert_eq!(own.resources.as_ref().unwrap(), &["secrets"]);
        rules.push(rule("own.example", "things", "*"));
        found.metadata.labels = Some([("team".to_owned(), "data".to_owned())].into());
        let mended = role(SERVICE, &namespace(), Some(&found)).unwrap();
        assert_eq!(mended.metadata, found.metadata);
        let (before, after) = (found.rules.unwrap(), mended.rules.unwrap());
        assert!(after.starts_with(&before));
        assert_eq!(&after[before.len()..], [own]);
    }

    fn rule(group: &str, resource: &str, verb: &str) -> PolicyRule {
        let list = |text: &str| vec![text.to_owned()];
        PolicyRule {
            api_groups: Some(list(group)),
            resources: Some(list(resource)),
            verbs: list(verb),
            ..PolicyRule::default()
        }
    }

    #[test]
    fn rights_count_however_they_are_written() {
        assert_eq!(
            role(
                SERVICE,
                &namespace(),
                Some(&rules(r#"[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]"#))
            ),
            None
        );
        // Only some objects, or another group's, is less than is needed.
        for less in [
            r#"[{"apiGroups":["*"],"resources":["*"],"verbs":["*"],"resourceNames":["a"]}]"#,
            r#"[{"apiGroups":["apps"],"resources":["*"],"verbs":["*"]}]"#,
            r#"[{"nonResourceURLs":["*"],"verbs":["*"]}]"#,
        ] {
            let found = rules(less);
            let mended = role(SERVICE, &namespace(), Some(&found)).unwrap();
            assert!(mended.rules.unwrap().len() > SERVICE.rules().len() - 1, "{less}");
        }
        // One verb in a rule of its own.
        let mut split = role(SERVICE, &namespace(), None).unwrap();
        let rules = split.rules.as_mut().unwrap();
        rules[0].verbs.clear();
        rules.push(rule("", "namespaces", "get"));
        assert_eq!(role(SERVICE, &namespace(), Some(&split)), None);
    }

    #[test]
    fn a_binding_gains_the_user_and_loses_nobody() {
        let made = binding(SERVICE, &namespace(), None).unwrap().unwrap();
        assert_eq!(binding(SERVICE, &namespace(), Some(&made)), Ok(None));
        let mut found = made.clone();
        found.subjects.as_mut().unwrap()[0].name = "somebody".to_owned();
        let mended = binding(SERVICE, &namespace(), Some(&found)).unwrap().unwrap();
        let names: Vec<_> = mended.subjects.unwrap().into_iter().map(|subject| subject.name).collect();
        assert_eq!(names, ["somebody", "emr-containers"]);
        found.role_ref.kind = "ClusterRole".to_owned();
        assert_eq!(binding(SERVICE, &namespace(), Some(&found)).unwrap_err().kind, "ClusterRole");
    }
}
