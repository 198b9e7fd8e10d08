//! `arngate diff`

use std::{path::PathBuf, process::ExitCode};

use super::{
    aws_auth::{self, ClusterArgs},
    printable::tell,
};
use crate::mapping::Severity;

/// Exit code where there are differences.
const DIFFERENT: u8 = 3;

/// Say who gains access, who loses it, and whose changes, between two states of aws-auth.
///
/// The second follows the first as it would in arngate: what is broken in it keeps what was good. Exit code 3 where
/// anything differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As it is: a file, or `configmap/aws-auth` for a cluster's
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// As it would be: a file, or - for standard input
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let old = if args.old.as_os_str() == "configmap/aws-auth" {
        aws_auth::of_cluster(&args.cluster).await?
    } else {
        aws_auth::manifest(&args.old)?
    };
    let new = aws_auth::manifest(&args.new)?;
    for (path, manifest) in [(&args.old, &old), (&args.new, &new)] {
        let errors = manifest.count(Severity::Error);
        if errors > 0 {
            eprintln!("{}: {errors} errors; see arngate lint {}", path.display(), path.display());
        }
    }
    let changes = old.snapshot.changes(&new.following(&old.snapshot));
    for change in &changes {
        tell(change);
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
