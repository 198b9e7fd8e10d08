//! The backends that are in force, and the sources that feed them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{ConfigMapSource, CrdSource, DynamicFileSource, KubernetesError, LastGood, client, watch};
use crate::{
    mapping::{Backend, BackendMode, Chain, CurrentChain, Figures, MatchBy, Publisher, Snapshot},
    telemetry::{Metrics, Quotes},
};

/// How long a backend has to load before those after it are asked without it, and before a chain that would come in
/// force waits for it no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the backends need, whichever of them there are.
#[derive(Debug)]
pub struct BackendSettings {
    /// By which the API server is reached; a pod's service account where absent.
    pub kubeconfig: Option<PathBuf>,
    /// The API server's URL, instead of the kubeconfig's.
    pub master: Option<String>,
    /// The configuration file's own mappings.
    pub mounted: Arc<Snapshot>,
    /// The file of the backend DynamicFile.
    pub dynamic_file: Option<PathBuf>,
    /// What its entries are found by.
    pub dynamic_file_matches: MatchBy,
    /// Where the last good snapshots of aws-auth and the IAMIdentityMappings are kept, where they are.
    pub last_good: Option<LastGood>,
    /// Who is an administrator whatever the backends say; nobody where empty.
    pub administrators: Arc<Snapshot>,
    /// Beginnings of usernames that a backend may not give.
    pub reserved_prefixes: Vec<(BackendMode, Vec<String>)>,
    /// Permission sets match somebody.
    pub permission_sets: bool,
    /// Whether log lines and events quote what mappings hold.
    pub quotes: Quotes,
}

impl BackendSettings {
    /// The backend `mode` under the rules that it is held to, and what loads it.
    pub(super) fn backend(&self, mode: BackendMode) -> (Backend, Publisher) {
        let (backend, publisher) = mode.backend();
        let reserved = self.reserved_prefixes.iter().filter(|(reserving, _)| *reserving == mode);
        let reserved: Vec<String> = reserved.flat_map(|(_, prefixes)| prefixes.clone()).collect();
        (backend.reserving(&reserved).matching_permission_sets(self.permission_sets), publisher)
    }
}

/// Why there cannot be these backends.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The client for the API server.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// DynamicFile has no file.
    #[error("DynamicFile has no file; set server.dynamicfilepath in the configuration file")]
    NoDynamicFile,
}

/// The backends that are in force. When it is dropped, their sources stop.
#[derive(Debug)]
pub struct Backends {
    settings: BackendSettings,
    metrics: Metrics,
    current: Arc<CurrentChain>,
    /// Asked before all others, and never switched off.
    administrators: Option<Running>,
    running: Vec<Running>,
}

/// A backend, and what feeds it; nothing does the configuration file's, which never changes.
#[derive(Debug)]
struct Running {
    backend: Backend,
    /// Held for their end: what feeds the backend, and what waits for it, stop with it.
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Backends {
    /// Starts the sources of `modes`, and makes their chain without waiting until they have loaded.
    ///
    /// # Errors
    /// See [`BackendError`].
    pub async fn start(
        settings: BackendSettings,
        metrics: Metrics,
        modes: &[BackendMode],
    ) -> Result<Self, BackendError> {
        let current = Arc::new(CurrentChain::new(Chain::new(Vec::new())));
        let mut backends = Self { settings, metrics, current, administrators: None, running: Vec::new() };
        if !backends.settings.administrators.index().is_empty() {
            backends.administrators = Some(backends.backend(BackendMode::AdminPrincipals).await?);
        }
        for mode in modes {
            let running = backends.backend(*mode).await?;
            backends.running.push(running);
        }
        backends.put_in_force();
        Ok(backends)
    }

    /// The chain in force, now and later.
    #[must_use]
    pub fn current(&self) -> Arc<CurrentChain> {
        Arc::clone(&self.current)
    }

    /// Which backends are in force, in their order.
    #[must_use]
    pub fn modes(&self) -> Vec<BackendMode> {
        self.running.iter().map(|running| running.backend.mode()).collect()
    }

    /// Puts the chain of `modes` in force. Backends that were there stay, with what they have loaded; new ones
    /// have a while to load before requests come to them.
    ///
    /// # Errors
    /// See [`BackendError`]; then all stays as it was.
    pub async fn switch(&mut self, modes: &[BackendMode]) -> Result<(), BackendError> {
        let mut added = Vec::new();
        for mode in modes {
            if !self.modes().contains(mode) {
                match self.backend(*mode).await {
                    Ok(running) => added.push(running),
                    Err(error) => {
                        for running in added {
                            self.metrics.backend_removed(running.backend.mode());
                        }
                        return Err(error);
                    }
                }
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while !added.iter().all(|running| running.backend.has_loaded()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut all = std::mem::take(&mut self.running);
        all.extend(added);
        for mode in modes {
            if let Some(index) = all.iter().position(|running| running.backend.mode() == *mode) {
                self.running.push(all.swap_remove(index));
            }
        }
        self.put_in_force();
        for removed in all {
            self.metrics.backend_removed(removed.backend.mode());
        }
        Ok(())
    }

    fn put_in_force(&self) {
        let all = self.administrators.iter().chain(&self.running);
        self.current.replace(Chain::new(all.map(|running| running.backend.clone()).collect()));
        self.metrics.chain(&self.modes());
    }

    async fn backend(&self, mode: BackendMode) -> Result<Running, BackendError> {
        let (backend, publisher) = self.settings.backend(mode);
        let (metrics, quotes) = (self.metrics.clone(), self.settings.quotes);
        let source = match mode {
            // Their mappings are there from the start, and never change.
            BackendMode::MountedFile | BackendMode::AdminPrincipals => {
                let snapshot = Arc::clone(if mode == BackendMode::MountedFile {
                    &self.settings.mounted
                } else {
                    &self.settings.administrators
                });
                let Figures { errors, warnings, .. } = snapshot.figures();
                metrics.backend_loaded(mode, snapshot.index().len(), errors, warnings);
                metrics.snapshot_in_force(mode, &snapshot, Timestamp::now());
                publisher.publish(snapshot);
                None
            }
            BackendMode::EksConfigMap => {
                let client = self.client().await?;
                metrics.backend_waiting(mode);
                let last_good = self.settings.last_good.clone();
                let source = ConfigMapSource::new(publisher, metrics, last_good).quoting(quotes);
                Some(tokio::spawn(source.run(client)))
            }
            BackendMode::Crd => {
                let client = self.client().await?;
                metrics.backend_waiting(mode);
                let last_good = self.settings.last_good.clone();
                let source = CrdSource::new(publisher, metrics, last_good).quoting(quotes);
                Some(tokio::spawn(source.run(client)))
            }
            BackendMode::DynamicFile => {
                let path = self.settings.dynamic_file.clone().ok_or(BackendError::NoDynamicFile)?;
                metrics.backend_waiting(mode);
                let by = self.settings.dynamic_file_matches;
                let source = DynamicFileSource::new(path, by, publisher, metrics).quoting(quotes);
                Some(tokio::spawn(source.run()))
            }
        };
        let waiting = source.is_some().then(|| tokio::spawn(wait_for(backend.clone())));
        let tasks = source.into_iter().chain(waiting).map(AbortOnDropHandle::new);
        Ok(Running { backend, _tasks: tasks.collect() })
    }

    async fn client(&self) -> Result<kube::Client, KubernetesError> {
        let settings = &self.settings;
        client(settings.kubeconfig.as_deref(), settings.master.as_deref(), watch::QUIET).await
    }
}

/// Has the backends after `backend` wait for it a while, and no longer.
async fn wait_for(backend: Backend) {
    tokio::time::sleep(PATIENCE).await;
    backend.stop_waiting();
    if !backend.has_loaded() {
        let (seconds, mode) = (PATIENCE.as_secs(), backend.mode());
        tracing::error!(
            "the backend {mode} has not loaded its mappings within {seconds} s; the backends after it are asked \
             without it until it has"
        );
    }
}
