//! `arngate crd`

use std::process::ExitCode;

use crate::source::crd::definition;

/// Print the CustomResourceDefinition of IAMIdentityMapping, for kubectl apply -f -
///
/// It is what the backend CRD watches, as YAML. It takes the place of aws-iam-authenticator's; objects that a cluster has stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate crd | kubectl apply -f -")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    print!("{}", definition::yaml()?);
    Ok(ExitCode::SUCCESS)
}
