//! `arngate undo`

use std::process::ExitCode;

use clap::ArgAction;

use super::{
    cluster::ClusterOptions,
    editing::{self, Caution},
};

/// Take back arngate's last edit of aws-auth
///
/// Whoever made it; a second time, it is made again. What an edit replaces is kept in the annotation arngate/undo of the
/// object itself. As with any edit, a list whose key is misspelt is left alone: the server keeps who is in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate undo --dry-run
  arngate undo --prompt=false --kubeconfig-context my-cluster")]
pub(super) struct Args {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Ask before writing
    #[arg(
        long,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = ArgAction::Set
    )]
    prompt: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Also where somebody has edited the same list since, whose edit is lost by it
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let aws_auth = args.cluster.aws_auth().await?;
    let caution = Caution { dry_run: args.dry_run, prompt: args.prompt };
    editing::undo(&aws_auth, caution, args.force).await?;
    Ok(ExitCode::SUCCESS)
}
