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
        let mut yaml = String::new();
        // Writing to a string does not fail; JSON's quoting is YAML's.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        if !roles.is_empty() {
            let _ = writeln!(yaml, "{indent}mapRoles:");
            for role in roles {
                let name = role.rsplit('/').next().unwrap_or_default();
                let (username, groups) = if name == NODE_ROLE {
                    ("system:node:{{SessionName}}", "[system:bootstrappers, system:nodes]")
                } else {
                    ("{{SessionName}}", "[lab]")
                };
                let _ = writeln!(
                    yaml,
                    "{indent}- {{rolearn: {}, username: {}, groups: {groups}}}",
                    quoted(&role),
                    quoted(username)
                );
            }
        }
        if !users.is_empty() {
            let _ = writeln!(yaml, "{indent}mapUsers:");
            for user in users {
                let name = user.rsplit('/').next().unwrap_or_default();
                let _ = writeln!(
                    yaml,
                    "{indent}- {{userarn: {}, username: {}, groups: [lab]}}",
                    quoted(&user),
                    quoted(name)
                );
            }
        }
        yaml
    }
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
