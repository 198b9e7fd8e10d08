//! What is to be said of an edit of aws-auth before it is made.

use std::collections::HashMap;

use super::{AwsAuth, Change, Diagnostic, Place, Section, Severity, Snapshot};

/// How many warnings of one kind are given.
const MAX_WARNINGS: usize = 10;

/// What an edit would do.
#[derive(Debug, Default)]
pub struct Edit {
    /// What is invalid in it, and was not before: reasons to refuse it.
    pub refusals: Vec<Diagnostic>,
    /// What whoever makes it should know.
    pub warnings: Vec<String>,
}

/// Groups whose last mapping is worth a warning, with what that means.
const VITAL: [(&str, &str); 2] = [
    ("system:masters", "nobody whom aws-auth maps is in system:masters any more"),
    (
        "system:nodes",
        "no role that aws-auth maps is in system:nodes any more: nodes of those roles cannot join",
    ),
];

impl Edit {
    /// Looks at an edit from `before` to `after`; a ConfigMap that is not there is `None`. `reserved` are beginnings
    /// of usernames that aws-auth may not give.
    ///
    /// What was invalid before does not stand in the way of an edit that leaves it as it is, so that one mistake can
    /// be mended after the other.
    #[must_use]
    pub fn review(before: Option<&AwsAuth>, after: Option<&AwsAuth>, reserved: &[String]) -> Self {
        let empty = AwsAuth::default();
        let (old, old_diagnostics) = Snapshot::update(None, before.unwrap_or(&empty));
        let (new, diagnostics) = Snapshot::update(Some(&old), after.unwrap_or(&empty));
        let mut known: HashMap<_, usize> = HashMap::new();
        for diagnostic in &old_diagnostics {
            *known.entry(what(diagnostic)).or_default() += 1;
        }
        let mut edit = Self::default();
        let mut warned = 0;
        for diagnostic in diagnostics {
            let left = known.get_mut(&what(&diagnostic)).filter(|left| **left > 0);
            match (left, diagnostic.severity) {
                (None, Severity::Error) => edit.refusals.push(diagnostic),
                (Some(left), Severity::Error) => {
                    *left -= 1;
                    edit.warnings.push(format!("still: {diagnostic}"));
                }
                (Some(left), Severity::Warning) => *left -= 1,
                (None, Severity::Warning) if warned < MAX_WARNINGS => {
                    warned += 1;
                    edit.warnings.push(diagnostic.to_string());
                }
                (None, Severity::Warning) => {}
            }
        }
        edit.warnings.truncate(2 * MAX_WARNINGS);
        for (group, meaning) in VITAL {
            if gives(&old, group) && !gives(&new, group) {
                edit.warnings.push(format!("the last mapping to {group} goes: {meaning}"));
            }
        }
        let changes = old.changes(&new);
        let given = |change: &Change| -> Option<String> {
            let username = change.after.as_ref()?.username.clone()?;
            let prefix =
                reserved.iter().find(|prefix| !prefix.is_empty() && username.starts_with(*prefix))?;
            Some(format!(
                "{username} begins with {prefix}, which is reserved: {} will be refused",
                change.subject
            ))
        };
        edit.warnings.extend(changes.iter().filter_map(given).take(MAX_WARNINGS));
        edit
    }
}

/// What tells a diagnostic from others, wherever in its list it now stands.
fn what(diagnostic: &Diagnostic) -> (Option<Section>, String) {
    let section = match &diagnostic.place {
        Place::List { section, .. } => Some(*section),
        Place::Object(_) => None,
    };
    // Entries are numbered in messages, too.
    (section, diagnostic.message.to_string().replace(|c: char| c.is_ascii_digit(), ""))
}

fn gives(snapshot: &Snapshot, group: &str) -> bool {
    snapshot.entries().any(|(_, _, mapping)| mapping.groups.iter().any(|given| given.to_string() == group))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn aws_auth(roles: &str) -> AwsAuth {
        BTreeMap::from([("mapRoles".to_owned(), roles.to_owned())]).into()
    }

    fn entry(name: &str, groups: &str) -> String {
        format!(
            "- rolearn: arn:aws:iam::111122223333:role/{name}\n  username: {name}\n  groups: [{groups}]\n"
        )
    }

    fn review(before: &str, after: &str) -> Edit {
        Edit::review(Some(&aws_auth(before)), Some(&aws_auth(after)), &["system:".to_owned()])
    }

    #[test]
    fn what_is_newly_broken_is_refused() {
        let good = entry("A", "x");
        for broken in
            [format!("{good}- ["), good.replace("rolearn", "arn"), good.replace("  username", "\tusername")]
        {
            let edit = review(&good, &broken);
            assert!(!edit.refusals.is_empty(), "{broken}");
        }
        let edit = review(&good, &(good.clone() + &entry("B", "y")));
        assert!(edit.refusals.is_empty() && edit.warnings.is_empty(), "{edit:?}");
    }

    #[test]
    fn one_mistake_can_be_mended_after_the_other() {
        let broken = |names: &[&str]| {
            names.iter().map(|name| entry(name, "x").replace("rolearn", "arn")).collect::<String>()
        };
        let both = broken(&["A", "B"]);
        assert_eq!(Edit::review(None, Some(&aws_auth(&both)), &[]).refusals.len(), 2);
        let edit = review(&both, &(entry("A", "x") + &broken(&["B"])));
        assert!(edit.refusals.is_empty(), "{edit:?}");
        assert!(edit.warnings[0].starts_with("still: mapRoles, entry 2"), "{edit:?}");
        assert_eq!(review(&both, &broken(&["A", "B", "C"])).refusals.len(), 1);
    }

    #[test]
    fn the_last_mapping_to_a_vital_group_and_a_reserved_name_are_warned_of() {
        let good =
            entry("Admin", "'system:masters'") + &entry("Node", "'system:bootstrappers', 'system:nodes'");
        let warnings = |after: Option<&str>| {
            Edit::review(Some(&aws_auth(&good)), after.map(aws_auth).as_ref(), &["system:".to_owned()])
                .warnings
        };
        assert_eq!(warnings(Some(&good)), Vec::<String>::new());
        let all = warnings(None);
        assert!(all[0].contains("system:masters goes") && all[1].contains("system:nodes goes"), "{all:?}");
        assert_eq!(warnings(Some("- [")).len(), 0, "what stays as it was is not gone");
        let reserved = warnings(Some(&good.replace("username: Admin", "username: system:admin")));
        assert_eq!(
            reserved,
            [
                "system:admin begins with system:, which is reserved: arn:aws:iam::111122223333:role/admin will be refused"
            ]
        );
    }
}
