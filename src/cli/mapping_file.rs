//! Entries as eksctl's users give them: by flags, or in `iamIdentityMappings` of eksctl's configuration file.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};

use crate::{
    edit::{NewEntry, NewSubject},
    identity::{Principal, PrincipalKind},
    yaml::{self, Limits, Node, Value},
};

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// An entry to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) entry: NewEntry,
    pub(super) no_duplicate_arns: bool,
}

/// An entry of mapRoles or mapUsers, by what its ARN is.
pub(super) fn principal(
    arn: String,
    username: Option<String>,
    groups: Vec<String>,
) -> anyhow::Result<NewEntry> {
    let principal =
        Principal::parse(&arn).with_context(|| format!("{arn:?} is no ARN that can be mapped"))?;
    let subject = match principal.kind() {
        PrincipalKind::Role { .. } => NewSubject::Role(arn),
        PrincipalKind::User { .. } | PrincipalKind::Root | PrincipalKind::FederatedUser { .. } => {
            NewSubject::User(arn)
        }
        PrincipalKind::AssumedRole { .. } => {
            bail!("{arn} is a session's ARN: give its role's, {}", principal.canonical_arn())
        }
    };
    let username = username.filter(|username| !username.is_empty());
    if username.is_none() && groups.is_empty() {
        bail!("neither username nor groups: give one of them");
    }
    Ok(NewEntry::Principal { subject, username, groups })
}

/// The entries of a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Wanted>> {
    let mut text = String::new();
    let file = File::open(path).context("cannot read it")?;
    file.take(MAX_LEN + 1).read_to_string(&mut text).context("cannot read it")?;
    if text.len() as u64 > MAX_LEN {
        bail!("longer than {MAX_LEN} bytes");
    }
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Wanted>> {
    let document = yaml::parse(text, Limits::default())?;
    let list = document.as_ref().and_then(|document| document.get("iamIdentityMappings"));
    let Some(Value::Sequence(items)) = list.map(|list| &list.value) else {
        bail!("has no list iamIdentityMappings");
    };
    items
        .iter()
        .map(|item| wanted(item).with_context(|| format!("iamIdentityMappings, {}", item.span)))
        .collect()
}

fn wanted(item: &Node) -> anyhow::Result<Wanted> {
    let Some(fields) = item.as_mapping() else { bail!("is {}, not an entry with fields", item.kind()) };
    let (mut arn, mut account, mut username, mut groups, mut no_duplicate_arns) =
        (None, None, None, Vec::new(), false);
    for (key, value) in fields {
        let text = || value.as_str().map(str::to_owned).with_context(|| format!("{} is no text", value.span));
        match key.as_str().unwrap_or_default() {
            "arn" => arn = Some(text()?),
            "account" => account = Some(text()?),
            "username" => username = Some(text()?),
            "groups" => {
                let Value::Sequence(items) = &value.value else { bail!("groups is no list") };
                let group = |item: &Node| item.as_str().map(str::to_owned).context("a group is no text");
                groups = items.iter().map(group).collect::<Result<_, _>>()?;
            }
            "noDuplicateARNs" => no_duplicate_arns = text()?.parse().context("noDuplicateARNs")?,
            name @ ("serviceName" | "namespace") => {
                bail!("{name}: access of AWS services is not given by this version of arngate")
            }
            name => bail!(
                "the field {name:?} is unknown: arn, username, groups, account and noDuplicateARNs are known"
            ),
        }
    }
    let entry = match (arn, account) {
        (Some(arn), None) => principal(arn, username, groups)?,
        (None, Some(account)) if username.is_none() && groups.is_empty() => {
            NewEntry::Account(account.parse().context("account")?)
        }
        (None, Some(_)) => bail!("account stands alone, without username and groups"),
        _ => bail!("needs one of arn and account"),
    };
    Ok(Wanted { entry, no_duplicate_arns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eksctls_file_is_read() {
        let text = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\niamIdentityMappings:\n\
                    - arn: arn:aws:iam::000000000000:role/myAdminRole\n  groups: [system:masters]\n  username: admin\n  \
                    noDuplicateARNs: true\n- account: '000000000000'\n";
        let wanted = parse(text).unwrap();
        assert!(wanted[0].no_duplicate_arns && !wanted[1].no_duplicate_arns);
        assert_eq!(wanted[1].entry, NewEntry::Account("000000000000".parse().unwrap()));
        for (text, told) in [
            ("a: b", "no list iamIdentityMappings"),
            ("iamIdentityMappings: [{arn: arn:aws:iam::000000000000:role/r}]", "neither username nor groups"),
            (
                "iamIdentityMappings: [{arn: arn:aws:sts::000000000000:assumed-role/r/s, username: u}]",
                "role/r",
            ),
            (
                "iamIdentityMappings: [{serviceName: emr-containers, namespace: n}]",
                "not given by this version",
            ),
            ("iamIdentityMappings: [{account: '000000000000', username: u}]", "stands alone"),
            ("iamIdentityMappings:\n- {acount: '1'}", "line 2"),
            ("iamIdentityMappings: [{}]", "one of arn and account"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
