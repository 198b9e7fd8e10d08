//! Entries as eksctl's users give them: by flags, or in `iamIdentityMappings` of eksctl's configuration file.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};

use super::addition::{Addition, Duplicates};
use crate::{
    edit::{AwsService, Namespace, NewEntry, NewSubject},
    identity::{AccountId, Principal, PrincipalKind},
    yaml::{self, Limits, Node, Value},
};

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An entry.
    Entry(Addition),
    /// The access of an AWS service.
    Service(WantedService),
}

/// A service that is to have access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedService {
    pub(super) service: AwsService,
    pub(super) namespace: Namespace,
    /// That of its role; none leaves the account of the caller's AWS credentials.
    pub(super) account: Option<AccountId>,
    pub(super) duplicates: Duplicates,
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
        (None, None::<AccountId>, None, Vec::new(), false);
    let (mut service, mut namespace) = (None::<AwsService>, None::<Namespace>);
    for (key, value) in fields {
        let text = || value.as_str().map(str::to_owned).with_context(|| format!("{} is no text", value.span));
        match key.as_str().unwrap_or_default() {
            "arn" => arn = Some(text()?),
            "account" => account = Some(text()?.parse().context("account")?),
            "username" => username = Some(text()?),
            "groups" => {
                let Value::Sequence(items) = &value.value else { bail!("groups is no list") };
                let group = |item: &Node| item.as_str().map(str::to_owned).context("a group is no text");
                groups = items.iter().map(group).collect::<Result<_, _>>()?;
            }
            "noDuplicateARNs" => no_duplicate_arns = text()?.parse().context("noDuplicateARNs")?,
            "serviceName" => service = Some(text()?.parse().context("serviceName")?),
            "namespace" => namespace = Some(text()?.parse().context("namespace")?),
            name => bail!(
                "the field {name:?} is unknown: arn, username, groups, account, serviceName, namespace and \
                 noDuplicateARNs are known"
            ),
        }
    }
    let duplicates = Duplicates::new(no_duplicate_arns);
    let bare = username.is_none() && groups.is_empty();
    let entry = match (arn, account, service, namespace) {
        (None, account, Some(service), Some(namespace)) if bare => {
            return Ok(Wanted::Service(WantedService { service, namespace, account, duplicates }));
        }
        (_, _, Some(_), None) => bail!("serviceName needs a namespace"),
        (_, _, Some(_), _) => {
            bail!("serviceName stands without arn, username and groups: the service has them")
        }
        (_, _, None, Some(_)) => bail!("namespace stands beside serviceName alone"),
        (Some(arn), None, ..) => principal(arn, username, groups)?,
        (None, Some(account), ..) if bare => NewEntry::Account(account),
        (None, Some(_), ..) => bail!("account stands alone, without username and groups"),
        _ => bail!("needs one of arn, account and serviceName"),
    };
    Ok(Wanted::Entry(Addition { entry, duplicates }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eksctls_file_is_read() {
        let text = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\niamIdentityMappings:\n\
                    - arn: arn:aws:iam::000000000000:role/myAdminRole\n  groups: [system:masters]\n  username: admin\n  \
                    noDuplicateARNs: true\n- account: '000000000000'\n- serviceName: emr-containers\n  namespace: jobs\n\
                    - {serviceName: emr-containers, namespace: jobs, account: '000000000000'}\n";
        let wanted = parse(text).unwrap();
        assert!(
            matches!(&wanted[0], Wanted::Entry(Addition { duplicates, .. }) if *duplicates == Duplicates::Refuse)
        );
        let account: AccountId = "000000000000".parse().unwrap();
        let duplicates = Duplicates::Shadow;
        assert_eq!(wanted[1], Wanted::Entry(Addition { entry: NewEntry::Account(account), duplicates }));
        let service = |account| {
            let (service, namespace) = (AwsService::EmrContainers, "jobs".parse().unwrap());
            Wanted::Service(WantedService { service, namespace, account, duplicates })
        };
        assert_eq!(wanted[2..], [service(None), service(Some(account))]);
        for (text, told) in [
            ("a: b", "no list iamIdentityMappings"),
            ("iamIdentityMappings: [{arn: arn:aws:iam::000000000000:role/r}]", "neither username nor groups"),
            (
                "iamIdentityMappings: [{arn: arn:aws:sts::000000000000:assumed-role/r/s, username: u}]",
                "role/r",
            ),
            ("iamIdentityMappings: [{serviceName: emr, namespace: n}]", "known: emr-containers"),
            ("iamIdentityMappings: [{serviceName: emr-containers, namespace: N}]", "namespace's name"),
            ("iamIdentityMappings: [{serviceName: emr-containers}]", "needs a namespace"),
            ("iamIdentityMappings: [{account: '000000000000', namespace: n}]", "beside serviceName"),
            (
                "iamIdentityMappings: [{serviceName: emr-containers, namespace: n, username: u}]",
                "without arn, username",
            ),
            ("iamIdentityMappings: [{account: '000000000000', username: u}]", "stands alone"),
            ("iamIdentityMappings:\n- {acount: '1'}", "line 2"),
            ("iamIdentityMappings: [{}]", "one of arn, account and serviceName"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
