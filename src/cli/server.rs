//! `arngate server`

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, stray::Stray};
use crate::{
    config::{ServerFlags, ServerSettings},
    server::Server,
};

/// Serve kube-apiserver's token webhook
///
/// It is served on https://ADDRESS:PORT/authenticate, with /metrics, /healthz and /readyz beside it, and a plain "ok" on
/// every path of the health port.
///
/// Flags win over environment variables, those over the configuration file. TERM and INT finish the reviews
/// under way and end it with exit code 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate server -c /etc/arngate/config.yaml --kubeconfig /etc/kubernetes/arngate.kubeconfig
  arngate server -i my-cluster --backend-mode EKSConfigMap,MountedFile -c /etc/arngate/config.yaml
  arngate server -c /etc/arngate/config.yaml --port 0 --health-port 0 --state-dir /tmp/try --generate-kubeconfig /tmp/try/kubeconfig")]
pub(super) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
    #[command(flatten)]
    stray: Stray,
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    // Set before anything else, so that a signal during the start is not lost.
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    args.stray.tell();
    let mut settings =
        ServerSettings::load(global.config.as_deref(), global.cluster_id.as_deref(), &args.flags)
            .context("the configuration cannot be used")?;
    settings.permission_sets = global.gates().sso_role_match;
    let server = Server::bind(settings).await.context("cannot start")?;
    server
        .run(async move {
            tokio::select! {
                _ = term.recv() => tracing::info!("TERM: finishing the reviews under way"),
                _ = int.recv() => tracing::info!("INT: finishing the reviews under way"),
            }
        })
        .await;
    Ok(ExitCode::SUCCESS)
}
