//! `arngate init`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use jiff::Timestamp;

use super::{Global, stray::Stray};
use crate::{
    config::{Address, ServerFlags, ServerSettings},
    webhook::{certificate::Certificate, kubeconfig},
};

/// The kubeconfig's name in the working directory.
const KUBECONFIG: &str = "aws-iam-authenticator.kubeconfig";

/// Make certificate, key and webhook kubeconfig before the server first starts
///
/// That is for where kube-apiserver must find them already. Files that are there are kept.
///
/// They are written to the working directory, to be copied from there; with
/// `--feature-gates ConfiguredInitDirectories=true` to the places that the server is configured with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate init -i my-cluster --hostname localhost
  arngate init -c /etc/arngate/config.yaml --feature-gates ConfiguredInitDirectories=true")]
pub(super) struct Args {
    /// Name that kube-apiserver will reach the server by [default: localhost]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Address that the server will listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
    #[command(flatten)]
    stray: Stray,
}

pub(super) fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    args.stray.tell();
    let flags = ServerFlags { hostname: args.hostname, address: args.address, ..ServerFlags::default() };
    let settings = ServerSettings::load(global.config.as_deref(), global.cluster_id.as_deref(), &flags)
        .context("the configuration cannot be used")?;
    let here = !global.gates().configured_init_directories;
    let state_dir = if here { PathBuf::from(".") } else { settings.state_dir.clone() };
    let kubeconfig = if here { PathBuf::from(KUBECONFIG) } else { settings.generate_kubeconfig.clone() };

    let address = settings.address.of_certificate();
    let certificate = Certificate::load_or_make(&state_dir, &settings.hostname, address, Timestamp::now())?;
    kubeconfig::write(&kubeconfig, &settings.url(settings.port), &certificate.pem)
        .with_context(|| format!("cannot write {}", kubeconfig.display()))?;

    for (made, wanted) in [
        (state_dir.join("cert.pem"), settings.state_dir.join("cert.pem")),
        (state_dir.join("key.pem"), settings.state_dir.join("key.pem")),
        (kubeconfig, settings.generate_kubeconfig.clone()),
    ] {
        if here {
            println!("copy {} to {} on each control-plane node", made.display(), wanted.display());
        } else {
            println!("{} is there; each control-plane node needs it", made.display());
        }
    }
    println!(
        "then start kube-apiserver with --authentication-token-webhook-config-file={}",
        settings.generate_kubeconfig.display()
    );
    Ok(ExitCode::SUCCESS)
}
