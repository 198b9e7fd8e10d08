//! Who gains, who loses, and who changes between two snapshots.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use super::{Mapping, Section, Snapshot, Subject, Template};

/// What a mapping gives, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gives {
    /// The username's template; none where the canonical ARN is it.
    pub username: Option<String>,
    /// The groups' templates, in order.
    pub groups: Vec<String>,
    /// The unique ID that is pinned, where one is.
    pub user_id: Option<String>,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whom it is about.
    pub subject: Subject,
    /// In which list.
    pub section: Section,
    /// What they had; nothing where they gain access.
    pub before: Option<Gives>,
    /// What they have; nothing where they lose it.
    pub after: Option<Gives>,
}

impl From<&Mapping> for Gives {
    fn from(mapping: &Mapping) -> Self {
        Self {
            username: mapping.username.as_ref().map(Template::to_string),
            groups: mapping.groups.iter().map(Template::to_string).collect(),
            user_id: mapping.user_id.as_deref().map(str::to_owned),
        }
    }
}

impl fmt::Display for Gives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.username.as_deref().unwrap_or("its canonical ARN"))?;
        if !self.groups.is_empty() {
            write!(f, " [{}]", self.groups.join(", "))?;
        }
        if let Some(user_id) = &self.user_id {
            write!(f, " if its ID is {user_id}")?;
        }
        Ok(())
    }
}

/// A line that begins with `+`, `-` or `~`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, before, after, .. } = self;
        match (before, after) {
            (None, None) => Ok(()),
            (None, Some(after)) => write!(f, "+ {subject}: {after}"),
            (Some(before), None) => write!(f, "- {subject}: {before}"),
            (Some(before), Some(after)) => {
                write!(f, "~ {subject}: ")?;
                let name = |gives: &Gives| Gives { groups: Vec::new(), ..gives.clone() }.to_string();
                if name(before) == name(after) {
                    f.write_str(&name(after))?;
                } else {
                    write!(f, "{} -> {}", name(before), name(after))?;
                }
                let set = |gives: &Gives| gives.groups.iter().cloned().collect::<BTreeSet<_>>();
                let (had, has) = (set(before), set(after));
                let lost = had.difference(&has).map(|group| format!("-{group}"));
                let gained = has.difference(&had).map(|group| format!("+{group}"));
                let groups: Vec<String> = lost.chain(gained).collect();
                if !groups.is_empty() {
                    write!(f, " [{}]", groups.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

impl Snapshot {
    /// What `after` gives otherwise than this one does, in the order of the lists. Only the three lists of aws-auth
    /// are looked at.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let index = |snapshot: &Self| -> HashMap<(Section, Subject), Arc<Mapping>> {
            let entries = snapshot.entries();
            entries
                .map(|(section, subject, mapping)| ((section, subject.clone()), Arc::clone(mapping)))
                .collect()
        };
        let (had, has) = (index(self), index(after));
        let gone =
            self.entries().filter(|(section, subject, _)| !has.contains_key(&(*section, (*subject).clone())));
        let mut changes: Vec<Change> = gone
            .map(|(section, subject, mapping)| Change {
                subject: subject.clone(),
                section,
                before: Some(Gives::from(&**mapping)),
                after: None,
            })
            .collect();
        for (section, subject, mapping) in after.entries() {
            let before = had.get(&(section, subject.clone())).map(|mapping| Gives::from(&**mapping));
            let after = Some(Gives::from(&**mapping));
            if before != after {
                changes.push(Change { subject: subject.clone(), section, before, after });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mapping::AwsAuth;

    fn snapshot(roles: &str, accounts: &str) -> Snapshot {
        let data = [("mapRoles", roles), ("mapAccounts", accounts)];
        let data: BTreeMap<_, _> = data.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        Snapshot::update(None, &AwsAuth::from(data)).0
    }

    #[test]
    fn who_gains_loses_and_changes() {
        let entry = |name: &str, rest: &str| {
            format!("- {{rolearn: 'arn:aws:iam::111122223333:role/{name}', {rest}}}\n")
        };
        let before = entry("A", "username: a, groups: [x, y]")
            + &entry("B", "username: b")
            + &entry("C", "username: c");
        let after = entry("A", "username: a, groups: [y, z]")
            + &entry("team/C", "username: d")
            + &entry("D", "groups: [g]");
        let changes = snapshot(&before, "['000000000012']").changes(&snapshot(&after, "[]"));
        let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
        assert_eq!(
            lines,
            [
                "- arn:aws:iam::111122223333:role/b: b",
                "- any principal of account 000000000012: its canonical ARN",
                "~ arn:aws:iam::111122223333:role/a: a [-x, +z]",
                "~ arn:aws:iam::111122223333:role/c: c -> d",
                "+ arn:aws:iam::111122223333:role/d: its canonical ARN [g]",
            ]
        );
        assert_eq!(snapshot(&before, "").changes(&snapshot(&before, "[]")), []);
    }
}
