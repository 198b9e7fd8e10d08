//! `arngate get|create|delete iamidentitymapping`, with eksctl's flags and meaning.
//! <https://docs.aws.amazon.com/eks/latest/eksctl/iam-identity-mappings.html>

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::{ArgAction, Subcommand};

use super::{
    addition::{Addition, Duplicates, edited},
    cluster::ClusterOptions,
    editing::{self, Caution, Data, key_of},
    entries::{Output, printed},
    mapping_file::{self, Wanted, WantedService},
    service_access,
};
use crate::{
    edit::{self, AwsAuth, AwsService, Listed, Namespace, NewEntry},
    identity::{AccountId, Partition},
    mapping::Section,
};

/// See the entries of aws-auth
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate get iamidentitymapping")]
pub(super) struct GetArgs {
    #[command(subcommand)]
    what: Get,
}

#[derive(Debug, Subcommand)]
enum Get {
    /// Print the entries of mapRoles, mapUsers and mapAccounts
    #[command(alias = "iamidentitymappings")]
    #[command(after_help = "Examples:
  arngate get iamidentitymapping
  arngate get iamidentitymapping --arn arn:aws:iam::111122223333:role/Admin -o yaml")]
    Iamidentitymapping {
        #[command(flatten)]
        cluster: ClusterOptions,
        /// Only those of this ARN; none is an error
        #[arg(long, value_name = "ARN")]
        arn: Option<String>,
        /// How they look
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
}

/// Add an entry to aws-auth, as eksctl does
///
/// Comments, order and unknown keys of what is there stay, byte for byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate create iamidentitymapping --arn arn:aws:iam::111122223333:role/Ops --username ops --group ops --group viewers")]
pub(super) struct CreateArgs {
    #[command(subcommand)]
    what: Create,
}

#[derive(Debug, Subcommand)]
enum Create {
    /// Map a role or user, or an account; or let an AWS service work in a namespace
    #[command(after_help = "Examples:
  arngate create iamidentitymapping --arn arn:aws:iam::111122223333:role/Ops --username ops --group ops --group viewers
  arngate create iamidentitymapping --account 444455556666 --dry-run
  arngate create iamidentitymapping --service-name emr-containers --namespace jobs --account 111122223333
  arngate create iamidentitymapping -f cluster.yaml --prompt")]
    Iamidentitymapping {
        #[command(flatten)]
        cluster: ClusterOptions,
        #[command(flatten)]
        writing: Writing,
        /// ARN of the role or user
        #[arg(long, value_name = "ARN", required_unless_present_any = ["account", "service_name", "file"])]
        arn: Option<String>,
        /// Username in Kubernetes
        #[arg(long, value_name = "NAME", requires = "arn")]
        username: Option<String>,
        /// Group in Kubernetes; may be given more than once
        #[arg(long, value_name = "GROUP", value_delimiter = ',', requires = "arn")]
        group: Vec<String>,
        /// Account whose principals are let in, each with its ARN as username and without groups; with --service-name,
        /// the account of the service's role
        #[arg(long, value_name = "ID", conflicts_with_all = ["arn", "no_duplicate_arns"])]
        account: Option<AccountId>,
        /// AWS service that is let work in a namespace: emr-containers. Its service-linked role is mapped to a user of
        /// that name, whose Role and RoleBinding are made there, or gain what they lack. The account is that of --account,
        /// else of the AWS credentials that `arngate token` would find
        #[arg(long, value_name = "NAME", requires = "namespace", conflicts_with = "arn")]
        service_name: Option<AwsService>,
        /// The namespace that --service-name is about
        #[arg(long, value_name = "NAME", requires = "service_name")]
        namespace: Option<Namespace>,
        /// Partition of the service's role; by default that of the credentials that tell the account, else aws
        #[arg(long, value_name = "NAME", conflicts_with = "arn")]
        partition: Option<Partition>,
        /// Refuse where there is an entry of this ARN already; do nothing where it is the same
        #[arg(long)]
        no_duplicate_arns: bool,
        /// Take them from the list `iamIdentityMappings` of an eksctl configuration file: all of them or none
        #[arg(
            short = 'f',
            long = "config-file",
            value_name = "FILE",
            conflicts_with_all = ["arn", "account", "service_name", "no_duplicate_arns"]
        )]
        file: Option<PathBuf>,
    },
}

/// Take an entry out of aws-auth, as eksctl does
///
/// Everything else stays, byte for byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate delete iamidentitymapping --arn arn:aws:iam::111122223333:role/Ops")]
pub(super) struct DeleteArgs {
    #[command(subcommand)]
    what: Delete,
}

#[derive(Debug, Subcommand)]
enum Delete {
    /// Take away the first entry of a role or user, or an account
    #[command(after_help = "Examples:
  arngate delete iamidentitymapping --arn arn:aws:iam::111122223333:role/Ops
  arngate delete iamidentitymapping --account 444455556666 --dry-run")]
    Iamidentitymapping {
        #[command(flatten)]
        cluster: ClusterOptions,
        #[command(flatten)]
        writing: Writing,
        /// ARN, as the entry has it
        #[arg(long, value_name = "ARN", required_unless_present = "account", conflicts_with = "account")]
        arn: Option<String>,
        /// Account
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// Take away every entry of the ARN; none is no error
        #[arg(long)]
        all: bool,
    },
}

/// How an edit is carried out: at once, as eksctl does, unless asked otherwise.
#[derive(Debug, clap::Args)]
struct Writing {
    /// Ask before writing
    #[arg(
        long,
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = ArgAction::Set
    )]
    prompt: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Writing {
    const fn caution(&self) -> Caution {
        Caution { dry_run: self.dry_run, prompt: self.prompt }
    }
}

pub(super) async fn get(args: GetArgs) -> anyhow::Result<ExitCode> {
    let Get::Iamidentitymapping { cluster, arn, output } = args.what;
    let data = cluster.aws_auth().await?.data().await?.unwrap_or_default();
    let mut entries = Vec::new();
    for section in Section::ALL {
        let text = data.get(&key_of(section, &data)?).map_or("", String::as_str);
        entries.extend(edit::list(section, text)?);
    }
    if let Some(arn) = arn {
        entries.retain(|entry| entry.is_of(&arn));
        if entries.is_empty() {
            bail!("aws-auth has no entry of {arn}");
        }
    }
    print!("{}", printed(&entries, output)?);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create(args: CreateArgs) -> anyhow::Result<ExitCode> {
    let Create::Iamidentitymapping {
        cluster,
        writing,
        arn,
        username,
        group,
        account,
        service_name,
        namespace,
        partition,
        no_duplicate_arns,
        file,
    } = args.what;
    let duplicates = Duplicates::new(no_duplicate_arns);
    let wanted = match (file, service_name.zip(namespace), account, arn) {
        (Some(file), ..) => mapping_file::read(&file).with_context(|| file.display().to_string())?,
        (_, Some((service, namespace)), account, _) => {
            vec![Wanted::Service(WantedService { service, namespace, account, duplicates })]
        }
        (_, _, Some(account), _) => {
            vec![Wanted::Entry(Addition { entry: NewEntry::Account(account), duplicates })]
        }
        (.., arn) => {
            let entry = mapping_file::principal(arn.unwrap_or_default(), username, group)?;
            vec![Wanted::Entry(Addition { entry, duplicates })]
        }
    };
    if partition.is_some() && !wanted.iter().any(|wanted| matches!(wanted, Wanted::Service(_))) {
        bail!(
            "--partition is of a service's role: it stands beside --service-name, or a file that has serviceName"
        );
    }
    let (additions, accesses) = service_access::resolve(wanted, partition).await?;
    let client = cluster.client().await?;
    let aws_auth = AwsAuth::new(client.clone());
    if !accesses.is_empty() {
        // Nothing is granted where the mapping would be refused.
        edited(&aws_auth.data().await?.unwrap_or_default(), &additions)?;
        if !service_access::grant(&client, accesses, writing.caution()).await? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    editing::edit(&aws_auth, writing.caution(), |data: &Data| {
        let (data, warnings) = edited(data, &additions)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        anyhow::Ok(data)
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn delete(args: DeleteArgs) -> anyhow::Result<ExitCode> {
    let Delete::Iamidentitymapping { cluster, writing, arn, account, all } = args.what;
    let (sections, subject) = match (arn, account) {
        (_, Some(account)) => (&[Section::Accounts][..], account.to_string()),
        (arn, None) => (&[Section::Roles, Section::Users][..], arn.unwrap_or_default()),
    };
    let aws_auth = cluster.aws_auth().await?;
    editing::edit(&aws_auth, writing.caution(), |data: &Data| take(data, sections, &subject, all)).await?;
    Ok(ExitCode::SUCCESS)
}

/// The data without the first entry of `subject`, or without all of them.
fn take(data: &Data, sections: &[Section], subject: &str, all: bool) -> anyhow::Result<Data> {
    let mut data = data.clone();
    let (mut taken, mut left, mut alike) = (0_usize, 0_usize, Vec::new());
    for section in sections.iter().copied() {
        let key = key_of(section, &data)?;
        let Some(mut text) = data.get(&key).cloned() else { continue };
        let listed = edit::list(section, &text)?;
        let mut indices: Vec<usize> =
            listed.iter().filter(|entry| entry.is_of(subject)).map(|entry| entry.index).collect();
        alike.extend(listed.into_iter().filter(|entry| entry.means(subject) && !entry.is_of(subject)));
        if !all {
            let first = usize::from(taken == 0);
            left += indices.len().saturating_sub(first);
            indices.truncate(first);
        }
        // From the end on, so that the places of the others stay.
        for index in indices.into_iter().rev() {
            text = edit::remove(section, &text, index)?;
            taken += 1;
        }
        data.insert(key, text);
    }
    if let Some(Listed { arn, section, .. }) = alike.first() {
        tracing::warn!("{} maps the same principal as {arn}; that entry stays", section.key());
    }
    if left > 0 {
        tracing::warn!("{left} more of the entries are of {subject}; --all takes them all away");
    }
    if taken == 0 && !all {
        bail!(
            "aws-auth has no entry of {subject}; `arngate get iamidentitymapping` prints those that it has"
        );
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        let roles = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n# c\n- rolearn: \
                     arn:aws:iam::111122223333:role/A\n  groups: [g, h]\n- rolearn: arn:aws:iam::111122223333:role/p/B\n";
        Data::from([
            ("mapRoles".to_owned(), roles.to_owned()),
            ("mapAccounts".to_owned(), "- \"111122223333\"\n".to_owned()),
        ])
    }

    fn roles(data: &Data) -> usize {
        edit::list(Section::Roles, &data["mapRoles"]).unwrap().len()
    }

    #[test]
    fn the_first_entry_goes_or_all_of_them_or_it_is_told_that_there_is_none() {
        let of = |arn: &str, all| take(&data(), &[Section::Roles, Section::Users], arn, all);
        let a = "arn:aws:iam::111122223333:role/a";
        let without_first = of(a, false).unwrap();
        assert!(roles(&without_first) == 2 && without_first["mapRoles"].starts_with("# c\n- rolearn"));
        assert_eq!(roles(&of(a, true).unwrap()), 1);
        let unknown = "arn:aws:iam::111122223333:role/X";
        assert!(of(unknown, false).unwrap_err().to_string().contains("no entry of arn"));
        assert_eq!(of(unknown, true).unwrap(), data());
        assert!(of("arn:aws:iam::111122223333:role/B", false).is_err(), "written with its path");
        let accounts = take(&data(), &[Section::Accounts], "111122223333", false).unwrap();
        assert_eq!(accounts["mapAccounts"], "");
    }
}
