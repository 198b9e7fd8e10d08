//! `arngate-lab control-plane`: a control plane that runs until it is told to end.
use std::path::{self, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{ControlPlane, Webhook, WebhookVersion};

/// Run a real etcd and kube-apiserver on this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kubeconfig of a token webhook, as `arngate server` generates it
    #[arg(long, value_name = "FILE")]
    webhook_kubeconfig: Option<PathBuf>,

    /// The API version in which kube-apiserver asks the webhook
    #[arg(long, value_enum, default_value = "v1", requires = "webhook_kubeconfig")]
    webhook_version: WebhookVersion,

    /// How many seconds kube-apiserver keeps the webhook's answers; 0 to ask every time
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "webhook_kubeconfig")]
    cache_ttl: u64,

    /// A directory to keep everything in, the cluster's content too; without it,
    /// nothing is left when this ends
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs a control plane until SIGINT or SIGTERM.
///
/// # Errors
/// If it can't be started.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let mut builder = ControlPlane::builder();
    if let Some(dir) = &args.dir {
        builder = builder.directory(dir);
    }
    if let Some(kubeconfig) = &args.webhook_kubeconfig {
        builder = builder.webhook(Webhook {
            // kube-apiserver runs in another directory.
            kubeconfig: path::absolute(kubeconfig)?,
            version: args.webhook_version,
            cache_ttl: Duration::from_secs(args.cache_ttl),
        });
    }

    eprintln!("Starting etcd and kube-apiserver.");
    let control_plane = tokio::select! {
        started = builder.start() => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    explain(&control_plane, &args);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("Stopping.");
    control_plane.stop().await;
    Ok(())
}

fn explain(control_plane: &ControlPlane, args: &Args) {
    let kubectl = control_plane.assets().kubectl();
    let kubectl = kubectl.display();
    println!("kube-apiserver is ready at {}", control_plane.url());
    println!("Its log is {}", control_plane.apiserver_log().display());
    println!();
    println!("In another terminal, as the cluster's administrator:");
    println!();
    println!("  export KUBECONFIG={}", control_plane.admin_kubeconfig().display());
    println!("  {kubectl} get namespaces");
    println!("  {kubectl} auth whoami");
    if args.webhook_kubeconfig.is_some() {
        println!();
        println!("As whoever a token of the webhook's says:");
        println!();
        println!("  {kubectl} --kubeconfig /dev/null --server {} \\", control_plane.url());
        println!("    --certificate-authority {} \\", control_plane.ca_file().display());
        println!("    --token \"$TOKEN\" auth whoami");
    }
    println!();
    println!("Ctrl-C stops it.");
}
