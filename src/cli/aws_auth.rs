//! Where a command at the desk gets aws-auth from: a file, or a cluster.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    mapping::{Manifest, ManifestError},
    source::{KubeconfigChoice, client_of_user, config_map, look},
};

/// How long the API server may be silent.
const QUIET: Duration = Duration::from_secs(30);

/// How a cluster is reached.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Namespace of the cluster's ConfigMap: kube-system, where aws-auth is
    #[arg(short, long, value_name = "NAMESPACE", default_value = "kube-system", hide_default_value = true)]
    namespace: String,
    /// Kubeconfig by which to reach the cluster; otherwise as kubectl finds it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    kubeconfig_context: Option<String>,
    /// URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL")]
    master: Option<String>,
}

/// The text of the file at `path`; of standard input where that is `-`.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let limit = crate::mapping::MAX_MANIFEST_LEN as u64;
    let name = name(path);
    let mut text = String::new();
    let reader: Box<dyn Read> = if is_standard_input(path) {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?)
    };
    let read = reader.take(limit + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {name}"))?;
    if text.len() as u64 > limit {
        bail!("{name} is longer than {limit} bytes");
    }
    Ok(text)
}

/// Whether a path means standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Refuses that two of `paths` are standard input, which can be read but once.
pub(super) fn check_standard_input<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> anyhow::Result<()> {
    if paths.into_iter().filter(|path| is_standard_input(path)).count() > 1 {
        bail!("standard input (-) can be read but once: give the others as files");
    }
    Ok(())
}

/// What a file is called in messages.
pub(super) fn name(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Reads aws-auth out of the file at `path`, or out of the cluster where it is `configmap/aws-auth`.
pub(super) async fn manifest(path: &Path, cluster: &ClusterArgs) -> anyhow::Result<Manifest> {
    if is_in_cluster(path) {
        return of_cluster(cluster).await;
    }
    let read = |text: String| -> Result<Manifest, ManifestError> { Manifest::read(&text) };
    read(text(path)?).with_context(|| name(path))
}

/// Refuses a ConfigMap that no server would read.
pub(super) fn check_is_read(path: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    if let Some(elsewhere) = &manifest.elsewhere {
        let line = elsewhere.position.map(|at| format!(":{}", at.line)).unwrap_or_default();
        bail!("{}{line}: {}; {}", name(path), elsewhere.message, elsewhere.advice);
    }
    Ok(())
}

/// Whether a path is a cluster's aws-auth, as kubectl names it.
pub(super) fn is_in_cluster(path: &Path) -> bool {
    ["configmap/aws-auth", "configmaps/aws-auth", "cm/aws-auth"].iter().any(|name| path == Path::new(name))
        && !path.exists()
}

/// aws-auth as the cluster has it.
pub(super) async fn of_cluster(cluster: &ClusterArgs) -> anyhow::Result<Manifest> {
    if cluster.namespace != config_map::NAMESPACE {
        bail!("aws-auth is in the namespace {}, and nowhere else", config_map::NAMESPACE);
    }
    let choice = KubeconfigChoice {
        file: cluster.kubeconfig.as_deref(),
        context: cluster.kubeconfig_context.as_deref(),
        master: cluster.master.as_deref(),
    };
    let client = client_of_user(choice, QUIET).await.context("cannot reach the API server")?;
    let Some(aws_auth) = look::aws_auth(client).await? else {
        bail!("there is no configmap/{} in {}", config_map::NAME, config_map::NAMESPACE);
    };
    Ok(Manifest::of(aws_auth))
}
