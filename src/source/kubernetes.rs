//! The connection to the API server.

use std::{path::Path, time::Duration};

use kube::config::{KubeConfigOptions, Kubeconfig};

/// Why there is no connection to the API server. Whether it answers is not looked at here.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig.
    #[error("cannot use the kubeconfig {path}: {source}")]
    Kubeconfig {
        /// Which file.
        path: String,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// No kubeconfig given, and no service account found.
    #[error(
        "not in a pod with a service account, and no kubeconfig given: {0}; set --kubeconfig for the backend \
         EKSConfigMap"
    )]
    InCluster(#[from] kube::config::InClusterError),
    /// `--master` is no URL.
    #[error("--master is no URL: {0}")]
    Master(#[from] http::uri::InvalidUri),
    /// TLS or the credentials.
    #[error("cannot set up the client for the API server: {0}")]
    Client(#[from] kube::Error),
}

/// A client for the API server: of `kubeconfig` where one is given, of the pod's service account otherwise.
/// `master` overrides the URL.
///
/// `quiet` is how long a watch may go without a byte before it is given up.
///
/// # Errors
/// See [`KubernetesError`].
pub async fn client(
    kubeconfig: Option<&Path>,
    master: Option<&str>,
    quiet: Duration,
) -> Result<kube::Client, KubernetesError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let error = |source| KubernetesError::Kubeconfig { path: path.display().to_string(), source };
            let kubeconfig = Kubeconfig::read_from(path).map_err(error)?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(error)?
        }
        None => kube::Config::incluster()?,
    };
    if let Some(master) = master {
        config.cluster_url = master.parse()?;
    }
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(quiet);
    Ok(kube::Client::try_from(config)?)
}
