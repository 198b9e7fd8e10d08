//! Where a command at the desk gets aws-auth from: a file, or a cluster.

use std::{io::Read, path::Path, time::Duration};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::{
    mapping::{AwsAuth, Manifest, ManifestError},
    source::{self, config_map},
};

/// How long the API server has.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a cluster is reached.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Kubeconfig by which to reach the cluster; otherwise as kubectl finds it
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
    /// URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL", requires = "kubeconfig")]
    master: Option<String>,
}

/// The text of the file at `path`; of standard input where that is `-`.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let limit = crate::mapping::MAX_MANIFEST_LEN as u64;
    let mut text = String::new();
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    let read = reader.take(limit + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > limit {
        bail!("{} is longer than {limit} bytes", path.display());
    }
    Ok(text)
}

/// Reads the file at `path`.
pub(super) fn manifest(path: &Path) -> anyhow::Result<Manifest> {
    let read = |text: String| -> Result<Manifest, ManifestError> { Manifest::read(&text) };
    read(text(path)?).with_context(|| path.display().to_string())
}

/// aws-auth as the cluster has it.
pub(super) async fn of_cluster(cluster: &ClusterArgs) -> anyhow::Result<Manifest> {
    let client = match &cluster.kubeconfig {
        Some(path) => source::client(Some(path), cluster.master.as_deref(), TIMEOUT).await?,
        None => kube::Client::try_default().await.context("no cluster; set --kubeconfig")?,
    };
    let api: Api<ConfigMap> = Api::namespaced(client, config_map::NAMESPACE);
    let name = format!("configmap/{} in {}", config_map::NAME, config_map::NAMESPACE);
    let object = tokio::time::timeout(TIMEOUT, api.get_opt(config_map::NAME)).await;
    let object = object.with_context(|| format!("no answer within {} s", TIMEOUT.as_secs()))?;
    let Some(object) = object.with_context(|| format!("cannot read {name}"))? else {
        bail!("there is no {name}");
    };
    Ok(Manifest::of(AwsAuth {
        data: object.data.unwrap_or_default(),
        binary: object.binary_data.unwrap_or_default().into_keys().collect(),
    }))
}
