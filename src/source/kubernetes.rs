//! The connection to the API server.

use std::{net::IpAddr, path::Path, time::Duration};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::{
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::pace::PaceLayer;

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
        "not in a pod with a service account, and no kubeconfig given: {0}; set --kubeconfig for the backends \
         EKSConfigMap and CRD"
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
    let mut names_a_proxy = false;
    let mut config = match kubeconfig {
        Some(path) => {
            let error = |source| KubernetesError::Kubeconfig { path: path.display().to_string(), source };
            let kubeconfig = Kubeconfig::read_from(path).map_err(error)?;
            names_a_proxy = self::names_a_proxy(&kubeconfig);
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(error)?
        }
        None => kube::Config::incluster()?,
    };
    if let Some(master) = master {
        config.cluster_url = master.parse()?;
    }
    if !names_a_proxy {
        // kube 5.0 holds NO_PROXY against the proxy's own address, and sends what is on this machine through it.
        config.proxy_url = proxy(&config.cluster_url, &Matcher::from_env());
    }
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(quiet);
    Ok(ClientBuilder::try_from(config)?.with_layer(&PaceLayer).build())
}

/// Whether the kubeconfig's current cluster has a `proxy-url`.
fn names_a_proxy(kubeconfig: &Kubeconfig) -> bool {
    let context =
        kubeconfig.contexts.iter().find(|context| Some(&context.name) == kubeconfig.current_context.as_ref());
    let name = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|cluster| Some(&cluster.name) == name);
    let url =
        cluster.and_then(|cluster| cluster.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.as_deref());
    url.is_some_and(|url| !url.is_empty())
}

/// The proxy that the environment names for `url`; none for this machine itself, as in Go's clients.
fn proxy(url: &Uri, environment: &Matcher) -> Option<Uri> {
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_local { None } else { environment.intercept(url).map(|proxy| proxy.uri().clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_proxy_is_not_for_this_machine_nor_for_what_no_proxy_names() {
        let environment =
            Matcher::builder().https("http://proxy.example:3128").no("10.0.0.0/8,.internal").build();
        for (url, wanted) in [
            ("https://api.example:6443", true),
            ("https://10.1.2.3:6443", false),
            ("https://api.internal", false),
            ("https://127.0.0.1:6443", false),
            ("https://[::1]:6443", false),
            ("https://localhost:6443", false),
        ] {
            let url: Uri = url.parse().unwrap();
            assert_eq!(proxy(&url, &environment).is_some(), wanted, "{url}");
        }
    }

    #[test]
    fn a_kubeconfigs_own_proxy_is_seen() {
        for (cluster, wanted) in
            [("server: https://a", false), ("server: https://a, proxy-url: 'http://p'", true)]
        {
            let text = format!(
                "{{current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}],
                  clusters: [{{name: k, cluster: {{{cluster}}}}}]}}"
            );
            assert_eq!(names_a_proxy(&Kubeconfig::from_yaml(&text).unwrap()), wanted, "{cluster}");
        }
    }
}
