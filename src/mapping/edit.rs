//! What is to be said of an edit of aws-auth before it is made.

use std::fmt;

use super::{AwsAuth, Change, Diagnostic, Place, Severity, Snapshot, Subject, known::Known};

/// How many warnings of one kind are given.
const MAX_WARNINGS: usize = 10;

/// What an edit would do.
#[derive(Debug, Default)]
pub struct Edit {
    /// What is invalid in it, and was not before: reasons to refuse it.
    pub refusals: Vec<Diagnostic>,
    /// What whoever makes it should know, the gravest first: an API server drops what is too much of it.
    pub warnings: Vec<Warning>,
}

/// What whoever makes an edit should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The last mapping goes to a group that a cluster needs.
    LastOf {
        /// The group.
        group: &'static str,
        /// What that means.
        meaning: &'static str,
    },
    /// A mapping gives a username that aws-auth may not give.
    Reserved {
        /// The beginning that is reserved.
        prefix: String,
        /// The username and whom it is given, unless that is withheld.
        given: Option<(String, Subject)>,
    },
    /// It was invalid before as well.
    Still(Diagnostic),
    /// It takes effect, but perhaps not as meant.
    Odd(Diagnostic),
}

impl Warning {
    /// The same without what it quotes.
    #[must_use]
    pub fn without_quote(self) -> Self {
        match self {
            Self::LastOf { .. } => self,
            Self::Reserved { prefix, .. } => Self::Reserved { prefix, given: None },
            Self::Still(diagnostic) => Self::Still(diagnostic.without_quote()),
            Self::Odd(diagnostic) => Self::Odd(diagnostic.without_quote()),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LastOf { group, meaning } => write!(f, "the last mapping to {group} goes: {meaning}"),
            Self::Reserved { prefix, given: Some((username, subject)) } => {
                write!(f, "{username} begins with {prefix}, which is reserved: {subject} will be refused")
            }
            Self::Reserved { prefix, given: None } => {
                write!(
                    f,
                    "a username begins with {prefix}, which is reserved: whom it is given will be refused"
                )
            }
            Self::Still(diagnostic) => write!(f, "still: {diagnostic}"),
            Self::Odd(diagnostic) => diagnostic.fmt(f),
        }
    }
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
    /// Looks at an edit from `before` to `after`; a ConfigMap that is not there is `None`. `in_force` is what aws-auth
    /// maps now, where that is known: a text that cannot be read leaves it as it is. `reserved` are beginnings of
    /// usernames that aws-auth may not give.
    ///
    /// What was invalid before does not stand in the way of an edit that leaves it as it is, so that one mistake can
    /// be mended after the other. Nor does what is invalid in a list that could not be read before: it is seen now,
    /// and was there already.
    #[must_use]
    pub fn review(
        in_force: Option<&Snapshot>,
        before: Option<&AwsAuth>,
        after: Option<&AwsAuth>,
        reserved: &[String],
    ) -> Self {
        let empty = AwsAuth::default();
        let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
        let (old, old_diagnostics) = Snapshot::update(in_force, before);
        let (new, diagnostics) = Snapshot::update(Some(&old), after);
        let mut known = Known::new(before, after, &old_diagnostics, &diagnostics);
        let (mut refusals, mut still, mut odd) = (Vec::new(), Vec::new(), Vec::new());
        for diagnostic in diagnostics {
            let was_known = known.take(&diagnostic);
            match diagnostic.severity {
                Severity::Error if was_known || was_unread(&old, &diagnostic.place) => {
                    still.push(Warning::Still(diagnostic));
                }
                Severity::Error => refusals.push(diagnostic),
                Severity::Warning if was_known => {}
                Severity::Warning => odd.push(Warning::Odd(diagnostic)),
            }
        }
        let vital = VITAL.into_iter().filter(|(group, _)| gives(&old, group) && !gives(&new, group));
        let mut warnings: Vec<_> = vital.map(|(group, meaning)| Warning::LastOf { group, meaning }).collect();
        let changes = old.changes(&new);
        let given = |change: &Change| {
            let username = change.after.as_ref()?.username.clone()?;
            let prefix =
                reserved.iter().find(|prefix| !prefix.is_empty() && username.starts_with(*prefix))?;
            let given = Some((username, change.subject.clone()));
            Some(Warning::Reserved { prefix: prefix.clone(), given })
        };
        warnings.extend(changes.iter().filter_map(given).take(MAX_WARNINGS));
        warnings.extend(still.into_iter().take(MAX_WARNINGS));
        warnings.extend(odd.into_iter().take(MAX_WARNINGS));
        Self { refusals, warnings }
    }

    /// The same, which quotes nothing of what was read.
    #[must_use]
    pub fn without_quotes(self) -> Self {
        Self {
            refusals: self.refusals.into_iter().map(Diagnostic::without_quote).collect(),
            warnings: self.warnings.into_iter().map(Warning::without_quote).collect(),
        }
    }
}

fn was_unread(old: &Snapshot, place: &Place) -> bool {
    matches!(place, Place::List { section, .. } if old.is_unread(*section))
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
        Edit::review(None, Some(&aws_auth(before)), Some(&aws_auth(after)), &["system:".to_owned()])
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
        assert_eq!(Edit::review(None, None, Some(&aws_auth(&both)), &[]).refusals.len(), 2);
        let edit = review(&both, &(entry("A", "x") + &broken(&["B"])));
        assert!(edit.refusals.is_empty(), "{edit:?}");
        assert!(edit.warnings[0].to_string().starts_with("still: mapRoles, entry 2"), "{edit:?}");
        assert_eq!(review(&both, &broken(&["A", "B", "C"])).refusals.len(), 1);
    }

    #[test]
    fn the_last_mapping_to_a_vital_group_and_a_reserved_name_are_warned_of() {
        let good =
            entry("Admin", "'system:masters'") + &entry("Node", "'system:bootstrappers', 'system:nodes'");
        let warnings = |after: Option<&str>| {
            let reserved = ["system:".to_owned()];
            let edit = Edit::review(None, Some(&aws_auth(&good)), after.map(aws_auth).as_ref(), &reserved);
            edit.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
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

    fn broken(entry: &str) -> String {
        entry.replace("rolearn", "arn")
    }

    #[test]
    fn mending_one_entry_does_not_let_another_one_be_broken_in_the_same_way() {
        let (a, b) = (entry("A", "x"), entry("B", "x"));
        let edit = review(&(broken(&a) + &b), &(a.clone() + &broken(&b)));
        assert_eq!(edit.refusals.len(), 1, "{edit:?}");
        let edit = review(&(broken(&a) + &b), &broken(&b));
        assert_eq!(edit.refusals.len(), 1, "nor does removing it: {edit:?}");
        let edit = review(&(broken(&a) + &b), &(b + &broken(&a)));
        assert!(edit.refusals.is_empty() && edit.warnings.len() == 1, "it has moved: {edit:?}");
        let two = broken(&a).replace("groups: [x]", "groups: {x: y}");
        let edit = review(&two, &broken(&a));
        assert!(edit.refusals.is_empty(), "one of two mistakes of an entry is mended: {edit:?}");
    }

    #[test]
    fn what_is_seen_only_now_was_there_before() {
        let (a, b) = (entry("A", "x"), broken(&entry("B", "x")));
        let tab = a.replace("  username", "\tusername");
        let edit = review(&(tab.clone() + &b), &(a.clone() + &b));
        assert!(edit.refusals.is_empty(), "{edit:?}");
        assert!(edit.warnings[0].to_string().starts_with("still: mapRoles, entry 2"), "{edit:?}");
        let users = |roles: &str, users: &str| {
            let data = [("mapRoles", roles), ("mapUsers", users)];
            AwsAuth::from(BTreeMap::from(data.map(|(key, text)| (key.to_owned(), text.to_owned()))))
        };
        let edit = Edit::review(None, Some(&users(&tab, "")), Some(&users(&a, "- [")), &[]);
        assert_eq!(edit.refusals.len(), 1, "that is another list: {edit:?}");
    }

    #[test]
    fn what_a_text_that_cannot_be_read_keeps_in_force_is_not_let_go_without_a_warning() {
        let in_force = Snapshot::update(None, &aws_auth(&entry("Admin", "'system:masters'"))).0;
        let review = |after| {
            Edit::review(Some(&in_force), Some(&aws_auth("- [")), Some(&aws_auth(after)), &[]).warnings
        };
        let told = review("");
        assert!(matches!(told.first(), Some(Warning::LastOf { group: "system:masters", .. })), "{told:?}");
        let told = review("- [ ");
        assert!(matches!(told.as_slice(), [Warning::Still(_)]), "{told:?}");
    }

    #[test]
    fn the_gravest_comes_first_and_each_kind_is_bounded() {
        let many: String = (0..30).map(|number| broken(&entry(&format!("B{number}"), "x"))).collect();
        let before = entry("Admin", "'system:masters'") + &many;
        let edit = review(&before, &many.replace("username: B1\n", "username: system:b\n"));
        assert!(matches!(edit.warnings[0], Warning::LastOf { .. }), "{edit:?}");
        assert!(edit.warnings.len() <= 1 + MAX_WARNINGS, "{edit:?}");
    }

    #[test]
    fn nothing_that_was_read_is_quoted_where_that_is_withheld() {
        let before = entry("A", "x");
        let after = before.replace("username: A", "username: system:canary").replace("role/A", "role/Canary")
            + &entry("B", "x").replace("arn:aws:iam", "arn:canary:iam");
        let edit = review(&before, &after);
        let told = |edit: &Edit| {
            let refusals = edit.refusals.iter().map(ToString::to_string);
            let all: Vec<_> = refusals.chain(edit.warnings.iter().map(ToString::to_string)).collect();
            all.join("\n")
        };
        assert_eq!(told(&edit).matches("canary").count(), 3, "{}", told(&edit));
        let told = told(&edit.without_quotes());
        assert!(!told.contains("anary") && !told.contains("111122223333"), "{told}");
        assert!(told.contains("a username begins with system:, which is reserved"), "{told}");
    }
}
