//! `arngate explain`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;

use super::{
    Global,
    aws_auth::{self, ClusterArgs},
    printable::tell,
};
use crate::{
    config::{BackendName, File},
    identity::{Identity, Principal, PrincipalKind},
    mapping::{BackendMode, Explanation, Snapshot, Template, explain},
};

/// Exit code where nobody maps the principal.
const NOT_MAPPED: u8 = 3;

/// Say which mapping is a principal's, and which username and groups come out; or which ones nearly are, and why not.
///
/// With --config it looks at the backends of that file in their order, at the administrators that it names first, and
/// at aws-auth where EKSConfigMap is one; without, at aws-auth alone. DynamicFile and CRD are not looked at. Exit code
/// 3 where nothing maps the principal.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// ARN of a role, a role's session or a user
    #[arg(value_name = "ARN")]
    arn: Principal,
    /// A file with aws-auth, or - for standard input; otherwise the cluster's is looked at
    #[arg(long, value_name = "FILE")]
    aws_auth: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Name of the role's session, for templates
    #[arg(long, value_name = "NAME", default_value = "SESSION")]
    session_name: String,
    /// The principal's unique ID (AROA…, AIDA…), for mappings that pin one
    #[arg(long, value_name = "ID", default_value = "UNKNOWN")]
    user_id: String,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<ExitCode> {
    let identity = identity(args)?;
    let file = global.config.as_deref().map(File::read).transpose()?;
    let mut backends = Vec::new();
    let mut modes = vec![BackendMode::EksConfigMap];
    if let Some(file) = &file {
        backends.push((BackendMode::AdminPrincipals, Snapshot::administrators(&file.admin_principals)));
        if !file.backend_mode.is_empty() {
            modes = file.backend_mode.iter().map(BackendName::mode).collect();
        } else if args.aws_auth.is_none() {
            modes = vec![BackendMode::MountedFile];
        }
    }
    for mode in modes {
        match (mode, &file) {
            (BackendMode::EksConfigMap, _) => {
                let manifest = match &args.aws_auth {
                    Some(path) => aws_auth::manifest(path)?,
                    None => aws_auth::of_cluster(&args.cluster).await?,
                };
                backends.push((mode, manifest.snapshot));
            }
            (BackendMode::MountedFile, Some(file)) => {
                let lists = [&file.map_roles, &file.map_users, &file.map_accounts].map(Option::as_ref);
                let [roles, users, accounts] = lists;
                backends.push((mode, Snapshot::from_nodes(roles, users, accounts).0));
            }
            _ => println!("{mode}: not looked at"),
        }
    }
    let mut mapped = false;
    for (mode, snapshot) in &backends {
        match explain(snapshot, &identity) {
            Explanation::Mapped { origin, username, groups } => {
                let so = if mapped { "maps it too, but does not count" } else { "maps it" };
                tell(format_args!("{mode}: {origin} {so}"));
                let names = groups.iter().chain([username.as_ref().unwrap_or_else(|(template, _)| template)]);
                let notes: Vec<String> = names.flat_map(|name| misspelt(name)).collect();
                match username {
                    Ok(username) => tell(format_args!("  username: {username}")),
                    Err((template, why)) => {
                        tell(format_args!("  username: {template} (cannot be rendered here: {why})"));
                    }
                }
                let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
                tell(format_args!("  groups: {groups}"));
                for note in notes {
                    tell(format_args!("  {note}"));
                }
                mapped = true;
            }
            Explanation::NotMapped(misses) => {
                if *mode != BackendMode::AdminPrincipals || !misses.is_empty() {
                    println!("{mode}: does not map {}", identity.principal().canonical_arn());
                }
                for miss in misses {
                    tell(format_args!("  nearly: {}, {}: {}", miss.origin, miss.subject, miss.why));
                }
            }
        }
    }
    Ok(if mapped { ExitCode::SUCCESS } else { ExitCode::from(NOT_MAPPED) })
}

/// What in `name` looks like a template, and is none.
fn misspelt(name: &str) -> Vec<String> {
    let unknown = Template::unknown(name).into_iter();
    let told = unknown.map(|(name, meant)| {
        let meant = meant.map(|meant| format!("; did you mean {{{{{meant}}}}}?")).unwrap_or_default();
        format!("{{{{{name}}}}} is no template, and stays as it is{meant}")
    });
    told.collect()
}

/// The caller as STS would tell of it.
fn identity(args: &Args) -> anyhow::Result<Identity> {
    let (principal, session) = match args.arn.kind() {
        PrincipalKind::Role { path_and_name } => {
            let name = path_and_name.rsplit('/').next().unwrap_or_default();
            let (partition, account) = (args.arn.partition(), args.arn.account());
            let session = &args.session_name;
            let arn = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}");
            (Principal::parse(&arn).context("--session-name")?, Some(session))
        }
        PrincipalKind::AssumedRole { session, .. } => (args.arn.clone(), Some(session)),
        _ => (args.arn.clone(), None),
    };
    let user_id =
        session.map_or_else(|| args.user_id.clone(), |session| format!("{}:{session}", args.user_id));
    Identity::new(principal.partition(), &principal.arn(), principal.account(), &user_id, "UNKNOWN")
        .context("--user-id")
}
