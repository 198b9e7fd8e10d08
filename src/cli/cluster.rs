//! The options by which commands of people's own reach the API server.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use anyhow::Context;

use crate::{
    edit::AwsAuth,
    source::{KubeconfigChoice, client_of_user},
};

/// How long the API server may be silent.
const QUIET: Duration = Duration::from_secs(30);

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterOptions {
    /// kubeconfig of the cluster; by default what KUBECONFIG names, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", global = true)]
    kubeconfig_context: Option<String>,
    /// URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL", global = true)]
    master_url: Option<String>,
    /// eksctl's flag
    #[arg(long, value_name = "NAME", global = true, hide = true, value_parser = no_cluster_of_eks)]
    cluster: Option<Infallible>,
    /// eksctl's flag
    #[arg(long, value_name = "REGION", global = true, hide = true, value_parser = no_cluster_of_eks)]
    region: Option<Infallible>,
}

/// Whoever names a cluster as eksctl does must not edit the one of the kubeconfig unawares.
fn no_cluster_of_eks(_: &str) -> Result<Infallible, &'static str> {
    Err("the cluster is the one that kubectl would reach; another is named by --kubeconfig FILE or \
         --kubeconfig-context NAME")
}

impl ClusterOptions {
    pub(super) async fn aws_auth(&self) -> anyhow::Result<AwsAuth> {
        Ok(AwsAuth::new(self.client().await?))
    }

    pub(super) async fn client(&self) -> anyhow::Result<kube::Client> {
        let given = |text: &&String| !text.is_empty();
        let choice = KubeconfigChoice {
            file: self.kubeconfig.as_deref().filter(|path| !path.as_os_str().is_empty()),
            context: self.kubeconfig_context.as_ref().filter(given).map(String::as_str),
            master: self.master_url.as_ref().filter(given).map(String::as_str),
        };
        client_of_user(choice, QUIET).await.context("cannot reach the API server")
    }
}
