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
        "not in a pod with a service account, and no kubeconfig given: {0}; set --kubeconfig or --master for the \
         backends EKSConfigMap and CRD"
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
    let master = master.filter(|url| !url.is_empty());
    let Some(path) = kubeconfig else {
        let config = match (kube::Config::incluster(), master) {
            (Ok(config), _) => config,
            // As client-go does: without credentials.
            (Err(_), Some(master)) => kube::Config::new(url(master)?),
            (Err(error), None) => return Err(error.into()),
        };
        return finish(config, master, quiet, false);
    };
    let error = |source| KubernetesError::Kubeconfig { path: path.display().to_string(), source };
    of_kubeconfig(Kubeconfig::read_from(path).map_err(error)?, master, quiet, error).await
}

async fn of_kubeconfig(
    kubeconfig: Kubeconfig,
    master: Option<&str>,
    quiet: Duration,
    error: impl FnOnce(kube::config::KubeconfigError) -> KubernetesError,
) -> Result<kube::Client, KubernetesError> {
    let names_a_proxy = names_a_proxy(&kubeconfig);
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    finish(config.map_err(error)?, master, quiet, names_a_proxy)
}

fn finish(
    mut config: kube::Config,
    master: Option<&str>,
    quiet: Duration,
    names_a_proxy: bool,
) -> Result<kube::Client, KubernetesError> {
    if let Some(master) = master.filter(|url| !url.is_empty()) {
        config.cluster_url = url(master)?;
    }
    if !names_a_proxy {
        // kube 5.0 holds NO_PROXY against the proxy's own address, and sends what is on this machine through it.
        config.proxy_url = proxy(&config.cluster_url, &Matcher::from_env());
    }
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(quiet);
    Ok(ClientBuilder::try_from(config)?.with_layer(&PaceLayer).build())
}

/// The API server's URL; plain HTTP where it has no scheme, as client-go takes it.
fn url(master: &str) -> Result<Uri, http::uri::InvalidUri> {
    if master.contains("://") { master.parse() } else { format!("http://{master}").parse() }
}

/// What people say of the cluster that they mean; nothing is what kubectl would take.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubeconfigChoice<'a> {
    /// The kubeconfig; what KUBECONFIG names, or `~/.kube/config`, where absent.
    pub file: Option<&'a Path>,
    /// Its context; the current one where absent.
    pub context: Option<&'a str>,
    /// The API server's URL, instead of the kubeconfig's.
    pub master: Option<&'a str>,
}

/// A client for the API server, as the person who runs the program: of the kubeconfig, or of the pod's service account
/// where there is none.
///
/// `quiet` is how long an answer may go without a byte before it is given up.
///
/// # Errors
/// See [`KubernetesError`].
pub async fn client_of_user(
    choice: KubeconfigChoice<'_>,
    quiet: Duration,
) -> Result<kube::Client, KubernetesError> {
    let path = choice
        .file
        .map_or_else(|| "of KUBECONFIG or ~/.kube/config".to_owned(), |file| file.display().to_string());
    let error = |source| KubernetesError::Kubeconfig { path: path.clone(), source };
    let mut kubeconfig = match choice.file {
        Some(path) => Kubeconfig::read_from(path).map_err(error)?,
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => kubeconfig,
            // Without a kubeconfig, and in a pod.
            Err(source) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
                return Err(error(source));
            }
            Err(_) => return client(None, choice.master, quiet).await,
        },
    };
    if let Some(context) = choice.context {
        kubeconfig.current_context = Some(context.to_owned());
    }
    of_kubeconfig(kubeconfig, choice.master, quiet, error).await
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
