//! `arngate healthcheck`

use std::{process::ExitCode, time::Duration};

use anyhow::Context;

use super::Global;
use crate::{
    config::{LocalFlags, LocalServer},
    webhook::probe::{Question, probe},
};

/// Ask the server on this machine whether it serves
///
/// It is for images and supervisors that have no curl: exit code 0 where it does, 1 with a line on stderr where it does not.
///
/// With the server's own file and flags it asks where the server listens, and believes whoever shows the certificate of
/// the state directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        arngate healthcheck -c /etc/aws-iam-authenticator/config.yaml\n  \
                        arngate healthcheck --ready --port 21362 --timeout 1")]
pub(super) struct Args {
    #[command(flatten)]
    flags: LocalFlags,
    /// Ask whether all mappings have loaded (/readyz), not just whether it serves (/healthz)
    #[arg(long)]
    ready: bool,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let server = LocalServer::load(global.config.as_deref(), &args.flags)
        .context("it is not known where the server is")?;
    let question = if args.ready { Question::Ready } else { Question::Healthy };
    let within = Duration::from_secs(args.timeout);
    let check = async {
        let addresses = server.addresses().await.context("the address that the server listens on")?;
        anyhow::Ok(probe(&addresses, &server.hostname, &server.certificate, question, within).await?)
    };
    // A name server may take longer than the server.
    let answer = tokio::time::timeout(within, check)
        .await
        .with_context(|| format!("no answer within {} s", args.timeout))??;
    println!("{answer}");
    Ok(ExitCode::SUCCESS)
}
