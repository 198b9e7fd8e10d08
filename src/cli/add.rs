//! `arngate add`

use std::process::ExitCode;

use anyhow::bail;
use clap::{ArgAction, Subcommand};

use super::{
    cluster::ClusterOptions,
    editing::{self, Caution, Data, key_of},
};
use crate::{
    edit::{self, NewEntry, NewSubject},
    identity::{AccountId, Partition},
};

/// Add a user or a role to aws-auth
///
/// Comments, order and unknown keys of what is there stay, byte for byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate add user --userarn arn:aws:iam::111122223333:user/bob --username bob --groups developers
  arngate add role --rolearn arn:aws:iam::111122223333:role/Admin --username admin --groups system:masters --dry-run")]
pub(super) struct Args {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Ask before writing
    #[arg(
        long,
        global = true,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = ArgAction::Set
    )]
    prompt: bool,
    /// Show what would be written, and write nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add an entry to mapUsers
    #[command(after_help = "Examples:
  arngate add user --userarn arn:aws:iam::111122223333:user/bob --username bob --groups developers")]
    User {
        /// ARN of the user
        #[arg(long, value_name = "ARN")]
        userarn: String,
        #[command(flatten)]
        whom: Whom,
    },
    /// Add an entry to mapRoles
    #[command(after_help = "Examples:
  arngate add role --rolearn arn:aws:iam::111122223333:role/Admin --username admin --groups system:masters --dry-run
  arngate add role --sso permissionSetName=Ops,accountID=111122223333 --username ops --groups ops")]
    Role {
        /// ARN of the role
        #[arg(long, value_name = "ARN", required_unless_present = "sso", conflicts_with = "sso")]
        rolearn: Option<String>,
        /// Permission set of IAM Identity Center: permissionSetName=NAME,accountID=ID[,partition=PARTITION]
        #[arg(long, value_name = "KEY=VALUE,…")]
        sso: Vec<String>,
        #[command(flatten)]
        whom: Whom,
    },
}

/// What the entry gives.
#[derive(Debug, clap::Args)]
struct Whom {
    /// Username in Kubernetes
    #[arg(long, value_name = "NAME")]
    username: String,
    /// Groups in Kubernetes, separated by commas
    #[arg(long, value_name = "GROUP,…", required = true, value_delimiter = ',')]
    groups: Vec<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (subject, whom) = match args.what {
        What::User { userarn, whom } => (NewSubject::User(userarn), whom),
        What::Role { rolearn: Some(arn), whom, .. } => (NewSubject::Role(arn), whom),
        What::Role { sso, whom, .. } => (permission_set(&sso)?, whom),
    };
    if whom.username.is_empty() || whom.groups.iter().any(String::is_empty) {
        bail!("--username and --groups must not be empty");
    }
    let arn = subject.arn();
    let entry = NewEntry::Principal { subject, username: Some(whom.username), groups: whom.groups };
    let section = entry.section();
    let aws_auth = args.cluster.aws_auth().await?;
    let caution = Caution { dry_run: args.dry_run, prompt: args.prompt };
    editing::edit(&aws_auth, caution, |data: &Data| {
        let key = key_of(section, data)?;
        let text = data.get(&key).map_or("", String::as_str);
        for listed in edit::list(section, text)? {
            if listed.is_of(&arn) {
                bail!(
                    "{key} maps {arn} already, in entry {}, to {:?} with the groups {:?}: edit that entry, or take it away \
                     first with `arngate delete iamidentitymapping --arn {arn}`",
                    listed.index + 1,
                    listed.username,
                    listed.groups
                );
            }
            if listed.means(&arn) {
                tracing::warn!(
                    "{key} maps {} in entry {}, which is the same principal: the new entry takes its place",
                    listed.arn,
                    listed.index + 1
                );
            }
        }
        let mut data = data.clone();
        data.insert(key, edit::append(text, &entry)?);
        Ok(data)
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// `permissionSetName=…,accountID=…[,partition=…]`, in one flag or several.
fn permission_set(flags: &[String]) -> anyhow::Result<NewSubject> {
    let (mut name, mut account, mut partition) = (None, None, Partition::Aws);
    for pair in flags.iter().flat_map(|flag| flag.split(',')) {
        match pair.split_once('=') {
            Some(("permissionSetName", value)) => name = Some(value.to_owned()),
            Some(("accountID", value)) => match value.parse::<AccountId>() {
                Ok(value) => account = Some(value),
                Err(error) => bail!("--sso: accountID={value}: {error}"),
            },
            Some(("partition", value)) => match value.parse() {
                Ok(value) => partition = value,
                Err(error) => bail!("--sso: partition={value}: {error}"),
            },
            _ => bail!("--sso: {pair:?} is none of permissionSetName=…, accountID=… and partition=…"),
        }
    }
    let (Some(name), Some(account)) = (name, account) else {
        bail!("--sso must have permissionSetName=… and accountID=…, separated by a comma");
    };
    Ok(NewSubject::PermissionSet { name, account, partition })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_set_is_given_in_one_flag_or_several() {
        let of = |flags: &[&str]| {
            permission_set(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
                .map(|subject| subject.arn())
                .map_err(|error| error.to_string())
        };
        let arn =
            |partition: &str| Ok(format!("arn:{partition}:iam::000000000012:role/AWSReservedSSO_Admins_*"));
        assert_eq!(of(&["permissionSetName=Admins,accountID=000000000012"]), arn("aws"));
        let several = ["accountID=000000000012", "permissionSetName=Admins", "partition=aws-cn"];
        assert_eq!(of(&several), arn("aws-cn"));
        for (flags, told) in [
            (&["permissionSetName=Admins"][..], "accountID=…"),
            (&["accountID=12,permissionSetName=A"], "accountID=12"),
            (&["accountID=000000000012,permissionSetName=A,partition=mars"], "partition=mars"),
            (&["name=A"], "is none of"),
        ] {
            assert!(of(flags).unwrap_err().contains(told), "{flags:?}");
        }
    }
}
