use std::{fmt::Write as _, sync::Arc};

use arngate::identity::{Principal as Arn, PrincipalKind};

use crate::sts::{Credentials, Principal, Principals};

/// The account of all that is generated.
const ACCOUNT: &str = "111122223333";
/// The role that all nodes have.
const NODE_ROLE: &str = "lab-node";

/// Who comes with tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instances of one role, whose session names are instance IDs.
    pub nodes: usize,
    /// Roles.
    pub roles: usize,
    /// Sessions of each role, with access keys of their own; one at least.
    pub sessions: usize,
    /// Users.
    pub users: usize,
    /// Users whom STS knows and nobody has mapped.
    pub strangers: usize,
}

/// Principals with their keys, and how they would be mapped.
#[derive(Debug, Clone)]
pub struct Population {
    table: Principals,
    /// In the order in which they come.
    all: Vec<Credentials>,
    strangers: usize,
}

/// A file of mappings that would have to leave some of the population out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{mappings} mappings are too few: the population has {own} of its own")]
pub struct TooFewMappings {
    own: usize,
    mappings: usize,
}

impl Population {
    /// Makes principals up. The same counts give the same principals.
    #[must_use]
    pub fn generated(counts: Counts) -> Self {
        let table = Principals::new();
        let mut all = Vec::new();
        for number in 0..counts.nodes {
            all.push(table.role(ACCOUNT, NODE_ROLE, &instance_id(number)));
        }
        for number in 0..counts.roles {
            let role = format!("lab-role-{number:05}");
            for session in 0..counts.sessions.max(1) {
                all.push(table.role(ACCOUNT, &role, &format!("person-{number:05}-{session}@lab.test")));
            }
        }
        for number in 0..counts.users {
            all.push(table.user(ACCOUNT, &format!("lab/user-{number:05}")));
        }
        for number in 0..counts.strangers {
            all.push(table.user(ACCOUNT, &format!("lab/stranger-{number:05}")));
        }
        Self { table, all, strangers: counts.strangers }
    }

    /// The principals of a table.
    #[must_use]
    pub fn of(table: Principals) -> Self {
        let all = table.all().iter().map(|principal| principal.credentials.clone()).collect();
        Self { table, all, strangers: 0 }
    }

    /// The table that an STS emulator needs.
    #[must_use]
    pub fn table(&self) -> &Principals {
        &self.table
    }

    /// The keys, in the order in which they come.
    #[must_use]
    pub fn credentials(&self) -> &[Credentials] {
        &self.all
    }

    /// `mapRoles` and `mapUsers` that let all of them in but the strangers: YAML, each line after `indent`.
    #[must_use]
    pub fn mappings(&self, indent: &str) -> String {
        let mut yaml = String::new();
        for (list, arn, entries) in self.lists() {
            if !entries.is_empty() {
                // Writing to a string does not fail.
                let _ = writeln!(yaml, "{indent}{list}:");
            }
            for Entry { arn: value, username, groups } in entries {
                let _ = writeln!(
                    yaml,
                    "{indent}- {{{arn}: {}, username: {}, groups: [{}]}}",
                    quoted(&value),
                    quoted(&username),
                    groups.join(", ")
                );
            }
        }
        yaml
    }

    /// The same as a file of the backend DynamicFile with this version and `mappings` entries: those beyond the
    /// population's own are of roles that nobody has.
    ///
    /// # Errors
    /// Where there are more of the population's own.
    pub fn dynamic_file(&self, mappings: usize, version: u64) -> Result<String, TooFewMappings> {
        let mut lists = self.lists();
        let own = lists.iter().map(|(.., entries)| entries.len()).sum();
        let others = mappings.checked_sub(own).ok_or(TooFewMappings { own, mappings })?;
        let [(_, _, roles), _] = &mut lists;
        roles.extend((0..others).map(|number| Entry {
            arn: format!("arn:aws:iam::{ACCOUNT}:role/other-{number:06}"),
            username: format!("other-{number:06}"),
            groups: &["lab"],
        }));
        let mut json = format!("{{\"Version\": \"{version}\"");
        for (list, arn, entries) in lists {
            let entries: Vec<String> = entries
                .into_iter()
                .map(|Entry { arn: value, username, groups }| {
                    let (value, username) = (quoted(&value), quoted(&username));
                    let groups = serde_json::Value::from(groups);
                    format!("{{\"{arn}\":{value},\"username\":{username},\"groups\":{groups}}}")
                })
                .collect();
            let _ = write!(json, ",\n\"{list}\": [\n{}\n]", entries.join(",\n"));
        }
        json.push_str("}\n");
        Ok(json)
    }

    /// Each list's name, the name of the field with the ARN, and the entries.
    fn lists(&self) -> [(&'static str, &'static str, Vec<Entry>); 2] {
        let mapped = self.all.len() - self.strangers.min(self.all.len());
        let found: Vec<Arc<Principal>> =
            self.all.iter().take(mapped).filter_map(|keys| self.table.get(&keys.access_key_id)).collect();
        let (mut roles, mut users) = (Vec::new(), Vec::new());
        for principal in found {
            let Ok(arn) = Arn::parse(&principal.arn) else { continue };
            match arn.kind() {
                PrincipalKind::AssumedRole { role, .. } => {
                    roles.push(format!("arn:{}:iam::{}:role/{role}", arn.partition(), arn.account()));
                }
                _ => users.push(principal.arn.clone()),
            }
        }
        roles.dedup();
        let name = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
        let role = |arn: String| {
            let (username, groups): (_, &'static [_]) = if name(&arn) == NODE_ROLE {
                ("system:node:{{SessionName}}", &["system:bootstrappers", "system:nodes"])
            } else {
                ("{{SessionName}}", &["lab"])
            };
            Entry { arn, username: username.to_owned(), groups }
        };
        let user = |arn: String| Entry { username: name(&arn), arn, groups: &["lab"] };
        [
            ("mapRoles", "rolearn", roles.into_iter().map(role).collect()),
            ("mapUsers", "userarn", users.into_iter().map(user).collect()),
        ]
    }
}

/// How somebody is mapped.
struct Entry {
    arn: String,
    username: String,
    groups: &'static [&'static str],
}

/// JSON's quoting is YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `i-` and 17 hexadecimal digits, as EC2 has them.
fn instance_id(number: usize) -> String {
    format!("i-0{:016x}", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use arngate::yaml::{self, Limits, Value};

    use super::*;

    #[test]
    fn everybody_is_mapped_but_strangers() {
        let counts = Counts { nodes: 3, roles: 2, sessions: 2, users: 2, strangers: 4 };
        let population = Population::generated(counts);
        assert_eq!((population.credentials().len(), population.table().len()), (13, 13));
        let text = population.mappings("");
        let mappings = yaml::parse(&text, Limits::default()).unwrap().unwrap();
        let entries = |key| match &mappings.get(key).unwrap().value {
            Value::Sequence(entries) => entries.len(),
            _ => 0,
        };
        // Neither nodes nor sessions have entries of their own.
        assert_eq!((entries("mapRoles"), entries("mapUsers")), (3, 2), "{text}");
        assert!(!text.contains("stranger"));
    }

    #[test]
    fn a_file_of_mappings_has_everybody_and_as_many_others_as_there_is_room() {
        let counts = Counts { nodes: 3, roles: 2, users: 2, strangers: 4, ..Counts::default() };
        let population = Population::generated(counts);
        let json: serde_json::Value = serde_json::from_str(&population.dynamic_file(12, 7).unwrap()).unwrap();
        let entries = |key: &str| json[key].as_array().unwrap().clone();
        assert_eq!((entries("mapRoles").len(), entries("mapUsers").len()), (10, 2));
        assert_eq!((&json["Version"], &entries("mapUsers")[0]["groups"]), (&"7".into(), &["lab"].into()));
        assert_eq!(entries("mapRoles")[0]["rolearn"], "arn:aws:iam::111122223333:role/lab-node");
        let error = population.dynamic_file(4, 7).unwrap_err();
        assert_eq!(error, TooFewMappings { own: 5, mappings: 4 });
    }

    #[test]
    fn nodes_have_instance_ids() {
        let population = Population::generated(Counts { nodes: 2, ..Counts::default() });
        let sessions: Vec<String> = population
            .table()
            .all()
            .iter()
            .map(|principal| principal.arn.rsplit('/').next().unwrap().to_owned())
            .collect();
        assert_ne!(sessions[0], sessions[1]);
        for session in sessions {
            assert!(session.len() == 19 && session.starts_with("i-"), "{session}");
        }
    }

    #[test]
    fn a_table_of_ones_own_is_mapped_as_well() {
        let json = r#"{"principals": [{"arn": "arn:aws-cn:sts::111122223333:assumed-role/Admin/alice"},
                       {"arn": "arn:aws:iam::111122223333:user/ops/bob"}]}"#;
        let text = Population::of(Principals::from_json(json).unwrap()).mappings("  ");
        assert!(text.contains(r#"  - {rolearn: "arn:aws-cn:iam::111122223333:role/Admin""#), "{text}");
        assert!(text.contains(r#""arn:aws:iam::111122223333:user/ops/bob", username: "bob""#), "{text}");
    }
}
