//! The server put together: settings in, listeners bound, files written, sources started, all of it stopped.

use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    authenticator::Authenticator,
    config::{Address, ServerSettings},
    ec2,
    identity::Principal,
    mapping::{BackendMode, Snapshot},
    source::{BackendError, BackendSettings, Backends, LastGood, backend_mode_file, last_good},
    sts::{Client, ClientError, NoRandomNumbers, Verifier},
    telemetry::{Metrics, Quotes},
    webhook::{
        admission::Admission,
        certificate::{Certificate, CertificateError},
        health, kubeconfig, listener,
        router::Router,
    },
};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The authentication port.
    #[error("cannot listen on {address}: {source}; is another authenticator running there?")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The serving certificate.
    #[error("no serving certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The webhook kubeconfig.
    #[error(
        "cannot write the webhook kubeconfig {path}: {source}; set --generate-kubeconfig to another place, or --kubeconfig-pregenerated where one is made by hand"
    )]
    Kubeconfig {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The clients for STS and EC2.
    #[error(transparent)]
    Sts(#[from] ClientError),
    /// The verifier's keys.
    #[error(transparent)]
    Random(#[from] NoRandomNumbers),
    /// The backends.
    #[error(transparent)]
    Backends(#[from] BackendError),
}

/// A server whose ports are bound and whose files are written.
pub struct Server {
    listener: TcpListener,
    health: Option<TcpListener>,
    tls: TlsAcceptor,
    router: Arc<Router>,
    backends: Backends,
    /// The file that says which backends there are, and those that there are without it.
    backend_mode: (Option<PathBuf>, Vec<BackendMode>),
    metrics: Metrics,
    url: String,
}

// Neither the key nor the API server's credentials belong into a debug text.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds the ports, loads or makes the certificate and writes the webhook kubeconfig.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn bind(settings: ServerSettings) -> Result<Self, ServerError> {
        let metrics = Metrics::new();
        let listen =
            |source| ServerError::Listen { address: settings.address.with_port(settings.port), source };
        let listener = settings.address.bind(settings.port).await.map_err(listen)?;
        // Port 0 asks for any free port; from here on it is the one that was given.
        let port = listener.local_addr().map_err(listen)?.port();
        let url = settings.url(port);

        let certificate = Certificate::load_or_make(
            &settings.state_dir,
            &settings.hostname,
            settings.address.of_certificate(),
            Timestamp::now(),
        )?;
        if !settings.kubeconfig_pregenerated {
            let path = &settings.generate_kubeconfig;
            kubeconfig::write(path, &url, &certificate.pem)
                .map_err(|source| ServerError::Kubeconfig { path: path.clone(), source })?;
            tracing::info!(
                path = %path.display(),
                "wrote the webhook kubeconfig; start kube-apiserver with \
                 --authentication-token-webhook-config-file set to it"
            );
        }
        let tls = TlsAcceptor::from(Arc::new(certificate.server_config()?));

        let administrators = &settings.admin_principals;
        if !administrators.is_empty() {
            // Of a scrubbed account's principals there is only their number.
            let told = |principal: &&Principal| !settings.scrubbed_accounts.contains(&principal.account());
            let arns: Vec<_> = administrators.iter().filter(told).map(Principal::canonical_arn).collect();
            let number = administrators.len();
            tracing::warn!(number, arns = arns.join(","), "in system:masters whatever the backends say");
        }
        let reserved =
            settings.reserved_prefixes.iter().filter(|(mode, _)| *mode == BackendMode::EksConfigMap);
        let quotes = Quotes::where_any_is_scrubbed(!settings.scrubbed_accounts.is_empty());
        let admission = Admission::new(reserved.flat_map(|(_, prefixes)| prefixes.clone()).collect(), quotes);
        let backends = backend_settings(&settings);
        let backends = Backends::start(backends, metrics.clone(), &settings.backend_modes).await?;
        let client = Client::new(&settings.sts, &settings.cluster_id, metrics.clone())?;
        let (partition, limits) = (settings.partition, &settings.sts_limits);
        let authenticator = Authenticator {
            verifier: Verifier::new(client, partition, &settings.endpoints, limits, &metrics)?,
            ec2: ec2::Resolver::start(settings.ec2, metrics.clone())?,
            endpoints: settings.endpoints,
            chain: backends.current(),
            scrubbed_accounts: settings.scrubbed_accounts,
        };
        let health = bind_health(settings.health_port).await;
        Ok(Self {
            router: Arc::new(
                Router::new(authenticator, settings.audiences, metrics.clone()).with_admission(admission),
            ),
            listener,
            health,
            tls,
            backends,
            backend_mode: (settings.dynamic_backend_mode, settings.backend_modes),
            metrics,
            url,
        })
    }

    /// Where kube-apiserver finds it: `https://HOSTNAME:PORT/authenticate`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `shutdown` ends, then finishes the reviews under way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, health, tls, router, backends, backend_mode, metrics, url } = self;
        let stop = CancellationToken::new();
        let mut background = JoinSet::new();
        // What is not moved into the background lives to the end, and its sources with it.
        let _backends = match backend_mode {
            (Some(path), configured) => {
                background.spawn(backend_mode_file::follow(path, backends, configured, metrics));
                None
            }
            (None, _) => Some(backends),
        };
        if let Some(health) = health {
            let stop = stop.clone();
            background.spawn(listener::serve(
                health,
                None,
                // On every path, as aws-iam-authenticator does: probes of any path may be set up.
                |_request, _client| async { Ok(health::healthz()) },
                async move { stop.cancelled().await },
            ));
        }
        let addresses = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(address = addresses, url, version = env!("CARGO_PKG_VERSION"), "listening");
        listener::serve(
            listener,
            Some(tls),
            move |request, client| Arc::clone(&router).route(request, client),
            shutdown,
        )
        .await;
        stop.cancel();
        background.shutdown().await;
        tracing::info!("stopped");
    }
}

/// What `settings` say of the backends.
#[must_use]
pub fn backend_settings(settings: &ServerSettings) -> BackendSettings {
    BackendSettings {
        kubeconfig: settings.kubeconfig.clone(),
        master: settings.master.clone(),
        mounted: Arc::clone(&settings.mounted),
        dynamic_file: settings.dynamic_file.clone(),
        dynamic_file_matches: settings.dynamic_file_matches,
        last_good: (settings.snapshot_max_age.0 > Duration::ZERO).then(|| LastGood {
            path: settings.state_dir.join(last_good::NAME),
            cluster_id: settings.cluster_id.as_str().to_owned(),
            max_age: settings.snapshot_max_age.0,
        }),
        administrators: Arc::new(Snapshot::administrators(&settings.admin_principals)),
        reserved_prefixes: settings.reserved_prefixes.clone(),
        permission_sets: settings.permission_sets,
        quotes: Quotes::where_any_is_scrubbed(!settings.scrubbed_accounts.is_empty()),
    }
}

/// Binds the port for plain health checks on every address, since a kubelet's probe comes to the node's. That
/// it is taken, as it is while another authenticator still runs, must not keep this one from serving.
async fn bind_health(port: u16) -> Option<TcpListener> {
    match Address::Everywhere.bind(port).await {
        Ok(listener) => {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::info!(address, "health checks");
            Some(listener)
        }
        Err(error) => {
            tracing::error!(port, %error, "cannot listen for health checks; serving without");
            None
        }
    }
}
