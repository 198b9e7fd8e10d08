//! `arngate init`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use jiff::Timestamp;

use super::{Global, stray::Stray};
use crate::{
    config::{Address, ServerFlags, ServerSettings},
    file_owner::Owner,
    source::last_good,
    webhook::{
        certificate::{ClientPem, Pair},
        kubeconfig,
    },
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
    /// Make no files, but the state directory and the webhook kubeconfig's folder, and give them and what the server
    /// has put there to this user and group, so that a server that is not root can write them. It takes the right to
    /// change owners (root, or `CAP_CHOWN`), and none where all of it is theirs already
    #[arg(long, value_name = "UID:GID")]
    folders_for: Option<Owner>,
    #[command(flatten)]
    stray: Stray,
}

pub(super) fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    args.stray.tell();
    let flags = ServerFlags { hostname: args.hostname, address: args.address, ..ServerFlags::default() };
    let settings = ServerSettings::load(global.config.as_deref(), global.cluster_id.as_deref(), &flags)
        .context("the configuration cannot be used")?;
    if let Some(owner) = args.folders_for {
        return make_folders(&settings, owner);
    }
    let here = !global.gates().configured_init_directories;
    let state_dir = if here { PathBuf::from(".") } else { settings.state_dir.clone() };
    let kubeconfig = if here { PathBuf::from(KUBECONFIG) } else { settings.generate_kubeconfig.clone() };

    let now = Timestamp::now();
    let pair = Pair::load_or_make(&state_dir, &settings.names(), now)?;
    let client = ClientPem::find(&settings.clients, &state_dir, &pair, now)?;
    kubeconfig::write(&kubeconfig, &settings.url(settings.port), &pair.pem, client.as_ref())
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

/// Makes the folders that the server writes, and gives them to `owner`, with the files in them that are the server's.
fn make_folders(settings: &ServerSettings, owner: Owner) -> anyhow::Result<ExitCode> {
    let state_dir = &settings.state_dir;
    let kubeconfig_dir = settings.generate_kubeconfig.parent().unwrap_or(Path::new("."));
    for folder in [state_dir, kubeconfig_dir] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let files = ["cert.pem", "key.pem", "cert.previous.pem", "client.pem", "client-key.pem"]
        .into_iter()
        .chain(last_good::NAMES)
        .map(|name| state_dir.join(name))
        .collect::<Vec<_>>();
    for path in [state_dir, kubeconfig_dir, &settings.generate_kubeconfig]
        .into_iter()
        .chain(files.iter().map(PathBuf::as_path))
    {
        if owner.take(path).with_context(|| format!("cannot give {} to {owner}", path.display()))? {
            println!("{} is {owner}'s", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
