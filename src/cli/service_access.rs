//! The access of AWS services, as `create iamidentitymapping --service-name` gives it.
//! <https://docs.aws.amazon.com/eks/latest/eksctl/emr-access.html>

use anyhow::Context;

use super::{
    addition::{Addition, Duplicates},
    editing::{self, Caution},
    mapping_file::{Wanted, WantedService},
    mfa,
};
use crate::{
    credentials,
    edit::{AwsService, Namespace, NewEntry, NewSubject, ServiceAccess},
    identity::{Partition, Principal},
};

/// A service and a namespace that it is to work in.
pub(super) type Access = (AwsService, Namespace);

/// The entries to be made, those of services included, and the services' access. Where a service's account is not
/// told, STS is asked for that of the AWS credentials.
pub(super) async fn resolve(
    wanted: Vec<Wanted>,
    partition: Option<Partition>,
) -> anyhow::Result<(Vec<Addition>, Vec<Access>)> {
    let lacks_account =
        |wanted: &Wanted| matches!(wanted, Wanted::Service(WantedService { account: None, .. }));
    let caller = if wanted.iter().any(lacks_account) { Some(caller().await?) } else { None };
    let (mut additions, mut accesses) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match wanted {
            Wanted::Entry(addition) => additions.push(addition),
            Wanted::Service(WantedService { service, namespace, account, duplicates }) => {
                let partition =
                    partition.or(caller.as_ref().map(Principal::partition)).unwrap_or(Partition::Aws);
                let account = account
                    .or(caller.as_ref().map(Principal::account))
                    .context("the account of the service's role is not known: give it with --account")?;
                additions.push(addition(service.role_arn(partition, account), service, duplicates));
                accesses.push((service, namespace));
            }
        }
    }
    accesses.sort();
    accesses.dedup();
    Ok((additions, accesses))
}

fn addition(role_arn: String, service: AwsService, duplicates: Duplicates) -> Addition {
    Addition {
        entry: NewEntry::Principal {
            subject: NewSubject::Role(role_arn),
            username: Some(service.name().to_owned()),
            groups: Vec::new(),
        },
        duplicates: match duplicates {
            Duplicates::Refuse => Duplicates::Refuse,
            Duplicates::Shadow | Duplicates::SameUsername => Duplicates::SameUsername,
        },
    }
}

/// Whom the AWS credentials are of.
async fn caller() -> anyhow::Result<Principal> {
    const ADVICE: &str = "the account of the service's role is not given: give it with --account ID, in a file with \
                          account, or have AWS credentials that tell it";
    let aws = credentials::load(None).await;
    let credentials = credentials::resolve(&aws, mfa::ask).await.context(ADVICE)?;
    let caller = credentials::caller(&aws, &credentials).await.context(ADVICE)?;
    eprintln!("the account is that of the AWS credentials, {}; --account names another", caller.account());
    Ok(caller)
}

/// Shows what each service lacks, and writes it; `false` where somebody says no.
pub(super) async fn grant(
    client: &kube::Client,
    accesses: Vec<Access>,
    caution: Caution,
) -> anyhow::Result<bool> {
    let mut lacking = Vec::new();
    for (service, namespace) in accesses {
        let told = format!("{service} in {namespace}", service = service.name());
        let access = ServiceAccess::new(client.clone(), service, namespace);
        let changes = access.changes().await?;
        if changes.is_empty() {
            println!("nothing to do: the Role and the RoleBinding of {told} are so already");
            continue;
        }
        for change in &changes {
            editing::show(&change.object, change.before.as_deref(), &change.after);
        }
        // Before anything is written, as far as that can be told.
        access.try_out().await?;
        let objects = changes.into_iter().map(|change| change.object).collect::<Vec<_>>().join(" and ");
        lacking.push((access, objects));
    }
    if caution.dry_run {
        return Ok(true);
    }
    let all = lacking.iter().map(|(_, objects)| objects.as_str()).collect::<Vec<_>>().join(", ");
    if caution.prompt && !lacking.is_empty() && !editing::ask(&all)? {
        println!("cancelled: nothing is written");
        return Ok(false);
    }
    for (access, objects) in lacking {
        access.grant().await?;
        println!("written: {objects}");
    }
    Ok(true)
}
