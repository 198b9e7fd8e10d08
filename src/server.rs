//! The server put together: settings in, listeners bound, files written, sources started, all of it stopped.

use std::{
    future::Future,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    authenticator::Authenticator,
    config::{Address, Listen, ServerSettings},
    ec2,
    identity::Principal,
    mapping::{BackendMode, Snapshot},
    source::{BackendError, BackendSettings, Backends, LastGood, backend_mode_file},
    sts::{Client, ClientError, NoRandomNumbers, Verifier},
    telemetry::{AuditLog, Metrics, Quotes},
    webhook::{
        admission::Admission,
        certificate::{Keeper, KeeperError, Kubeconfig, Options},
        health,
        listener::{self, MAX_CONNECTIONS, MAX_PROBE_CONNECTIONS, Port},
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
    /// The address for metrics and health checks.
    #[error("cannot listen on {address} for metrics: {source}; set metricsAddress to another one")]
    ListenForMetrics {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The certificates, or the webhook kubeconfig.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The clients for STS and EC2.
    #[error(transparent)]
    Sts(#[from] ClientError),
    /// The verifier's keys.
    #[error(transparent)]
    Random(#[from] NoRandomNumbers),
    /// The backends.
    #[error(transparent)]
    Backends(#[from] BackendError),
    /// The audit log's own: not that its file cannot be opened.
    #[error("cannot start the audit log: {0}; is there a standard output?")]
    Audit(#[source] io::Error),
    /// What was done on a thread of its own has panicked.
    #[error("a part of the start did not end: {0}")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// A server whose ports are bound and whose files are written.
pub struct Server {
    listener: TcpListener,
    health: Option<TcpListener>,
    operations: Option<TcpListener>,
    keeper: Keeper,
    router: Arc<Router>,
    backends: Backends,
    /// The file that says which backends there are, and those that there are without it.
    backend_mode: (Option<PathBuf>, Vec<BackendMode>),
    audit: Option<AuditLog>,
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
        let mut phases = Phases::begin();
        let metrics = Metrics::new();
        // Each on a thread of its own: the two take longer than all the rest of the start together.
        let random_numbers = tokio::task::spawn_blocking(seed_random_numbers);
        let clients = tokio::task::spawn_blocking({
            let (sts, cluster_id) = (settings.sts.clone(), settings.cluster_id.clone());
            let (ec2, metrics) = (settings.ec2.clone(), metrics.clone());
            move || {
                let client = Client::new(&sts, &cluster_id, metrics.clone())?;
                Ok::<_, ClientError>((client, ec2::Resolver::start(ec2, metrics)?))
            }
        });
        let listen =
            |source| ServerError::Listen { address: settings.address.with_port(settings.port), source };
        let listener = settings.address.bind(settings.port).await.map_err(listen)?;
        // Port 0 asks for any free port; from here on it is the one that was given.
        let port = listener.local_addr().map_err(listen)?.port();
        let url = settings.url(port);
        phases.ended("port");

        let operations = match &settings.metrics_address {
            Some(listen) => Some(bind_operations(listen).await?),
            None => None,
        };
        let keeper = Options {
            state_dir: settings.state_dir.clone(),
            names: settings.names(),
            clients: settings.clients.clone(),
            kubeconfig: (!settings.kubeconfig_pregenerated)
                .then(|| Kubeconfig { path: settings.generate_kubeconfig.clone(), url: url.clone() }),
        };
        let keeper = Keeper::start(keeper, metrics.clone(), Timestamp::now())?;
        phases.ended("certificate and webhook kubeconfig");

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
        phases.ended("backends");
        let (client, ec2) = clients.await.map_err(ServerError::Interrupted)??;
        phases.ended("clients for STS and EC2");
        random_numbers.await.map_err(ServerError::Interrupted)??;
        phases.ended("random numbers");
        let (partition, limits) = (settings.partition, &settings.sts_limits);
        let authenticator = Authenticator {
            verifier: Verifier::new(client, partition, &settings.endpoints, limits, &metrics)?,
            ec2,
            endpoints: settings.endpoints,
            chain: backends.current(),
            scrubbed_accounts: settings.scrubbed_accounts,
        };
        let health = bind_health(settings.health_port).await;
        let audit = settings.audit.map(|audit| AuditLog::start(&audit, &metrics));
        let audit = audit.transpose().map_err(ServerError::Audit)?;
        Ok(Self {
            router: Arc::new(
                Router::new(authenticator, settings.audiences, metrics.clone())
                    .with_admission(admission)
                    .with_audit(audit.as_ref().map(AuditLog::recorder))
                    .with_operations_apart(operations.is_some())
                    .with_certified_alone(settings.clients.must_show_one()),
            ),
            listener,
            health,
            operations,
            keeper,
            backends,
            backend_mode: (settings.dynamic_backend_mode, settings.backend_modes),
            audit,
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
        let Self {
            listener,
            health,
            operations,
            keeper,
            router,
            backends,
            backend_mode,
            audit,
            metrics,
            url,
        } = self;
        let stop = CancellationToken::new();
        let mut background = JoinSet::new();
        // What is not moved into the background lives to the end, and its sources with it.
        let _backends = match backend_mode {
            (Some(path), configured) => {
                background.spawn(backend_mode_file::follow(path, backends, configured, metrics.clone()));
                None
            }
            (None, _) => Some(backends),
        };
        let probed = |listener| Port {
            listener,
            tls: None,
            connections: MAX_PROBE_CONNECTIONS,
            metrics: metrics.clone(),
        };
        if let Some(health) = health {
            background.spawn(listener::serve(
                probed(health),
                // On every path, as aws-iam-authenticator does: probes of any path may be set up.
                |_request, _client| async { Ok(health::healthz()) },
                stop.clone().cancelled_owned(),
            ));
        }
        if let Some(operations) = operations {
            let router = Arc::clone(&router);
            background.spawn(listener::serve(
                probed(operations),
                move |request, _client| std::future::ready(Ok(router.operate(&request))),
                stop.clone().cancelled_owned(),
            ));
        }
        let tls = Some(keeper.tls());
        background.spawn(keeper.run());
        let addresses = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(address = addresses, url, version = env!("CARGO_PKG_VERSION"), "listening");
        listener::serve(
            Port { listener, tls, connections: MAX_CONNECTIONS, metrics },
            move |request, client| Arc::clone(&router).route(request, client),
            shutdown,
        )
        .await;
        stop.cancel();
        background.shutdown().await;
        if let Some(audit) = audit {
            audit.close().await;
        }
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
            folder: settings.state_dir.clone(),
            cluster_id: settings.cluster_id.as_str().to_owned(),
            max_age: settings.snapshot_max_age.0,
        }),
        administrators: Arc::new(Snapshot::administrators(&settings.admin_principals)),
        reserved_prefixes: settings.reserved_prefixes.clone(),
        permission_sets: settings.permission_sets,
        quotes: Quotes::where_any_is_scrubbed(!settings.scrubbed_accounts.is_empty()),
    }
}

/// Tells how long each part of the start took.
struct Phases(Instant);

impl Phases {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// What came since the last one was `phase`.
    fn ended(&mut self, phase: &'static str) {
        let now = Instant::now();
        tracing::debug!(phase, took = ?now.duration_since(self.0), "starting");
        self.0 = now;
    }
}

/// Has the cryptographic library gather what its random numbers begin with. It measures the CPU's jitter for that, which
/// takes tens of milliseconds, and does so at the first number that anybody asks for.
fn seed_random_numbers() -> Result<(), NoRandomNumbers> {
    SystemRandom::new().fill(&mut [0; 1]).map_err(|_| NoRandomNumbers)
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

/// Binds the address for metrics and health checks. Who sets one wants to see what is there, so that a start without it
/// would be none.
async fn bind_operations(listen: &Listen) -> Result<TcpListener, ServerError> {
    let error = |source| ServerError::ListenForMetrics { address: listen.to_string(), source };
    let listener = listen.address.bind(listen.port).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?.to_string();
    tracing::info!(address, "metrics and health checks");
    Ok(listener)
}
