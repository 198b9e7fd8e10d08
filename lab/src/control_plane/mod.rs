//! A real etcd and kube-apiserver on this machine, for tests and for people.
//!
//! arngate and kube-apiserver each need a file of the other before they start: arngate
//! a kubeconfig of the apiserver, the apiserver a kubeconfig of arngate's webhook. So a
//! control plane comes in two steps:
//!
//! ```text
//! prepare   ports, CA, certificates, kubeconfigs      no process yet
//!    │         └── admin_kubeconfig() ──▶ arngate
//!    │      arngate's webhook kubeconfig ──▶ set_webhook()
//!    ▼
//! start     etcd, then kube-apiserver, until /readyz
//! ```
//!
//! Ports stay reserved from `prepare` to the end, so that no other process takes one
//! in between or while kube-apiserver restarts. Everything is in one directory, which
//! is temporary unless one is given. No process outlives its [`ControlPlane`]: dropping
//! it kills them, also when a test panics.
mod apiserver;
mod assets;
mod certificates;
pub mod cli;
mod directory;
mod error;
mod etcd;
mod kubeconfig;
mod kubectl;
mod port;
mod process;
mod readiness;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use assets::Assets;
pub use error::Error;
pub use kubeconfig::ExecPlugin;
pub use kubectl::Output;

use certificates::Certificates;
use directory::Directory;
use kubeconfig::Kubeconfigs;
use port::ReservedPort;
use process::Process;
pub(crate) use process::{bound_to_this_process, spawn};

/// The API version in which kube-apiserver asks its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WebhookVersion {
    /// `authentication.k8s.io/v1`
    #[value(name = "v1")]
    V1,
    /// `authentication.k8s.io/v1beta1`, what kube-apiserver uses unless told otherwise
    #[value(name = "v1beta1")]
    V1beta1,
}

/// The token webhook that kube-apiserver asks.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The webhook's kubeconfig. It has to exist when kube-apiserver starts; the
    /// webhook itself may come later.
    pub kubeconfig: PathBuf,
    /// The version it is asked in.
    pub version: WebhookVersion,
    /// How long kube-apiserver keeps an answer; zero to have it ask every time.
    pub cache_ttl: Duration,
}

/// What a control plane is made with.
#[derive(Debug, Default)]
pub struct ControlPlaneBuilder {
    assets: Option<Assets>,
    directory: Option<PathBuf>,
    webhook: Option<Webhook>,
}

impl ControlPlaneBuilder {
    /// The programs to run; [`Assets::locate`] finds them otherwise.
    #[must_use]
    pub fn assets(mut self, assets: Assets) -> Self {
        self.assets = Some(assets);
        self
    }

    /// A directory that stays, in place of a temporary one.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The webhook that kube-apiserver asks; without one it knows no bearer tokens
    /// but those of service accounts.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Makes ports, certificates and kubeconfigs. Needs a tokio runtime's context.
    ///
    /// # Errors
    /// If the programs are missing, or a port or file can't be had.
    pub fn prepare(self) -> Result<ControlPlane, Error> {
        let assets = self.assets.map_or_else(Assets::locate, Ok)?;
        let directory = Directory::open(self.directory.as_deref())?;
        let port = ReservedPort::take()?;
        let certificates = Certificates::issue(&directory)?;
        let url = format!("https://127.0.0.1:{}", port.number());
        let kubeconfigs = Kubeconfigs::new(&directory, &url, &certificates)?;
        Ok(ControlPlane {
            apiserver: None,
            etcd: None,
            assets,
            certificates,
            kubeconfigs,
            apiserver_log: directory.path("kube-apiserver.log"),
            etcd_port: ReservedPort::take()?,
            port,
            url,
            webhook: self.webhook,
            directory,
        })
    }

    /// [`prepare`](Self::prepare) and [`ControlPlane::start`] in one, for when the
    /// webhook's kubeconfig exists already or there is no webhook.
    ///
    /// # Errors
    /// As both.
    pub async fn start(self) -> Result<ControlPlane, Error> {
        let mut control_plane = self.prepare()?;
        control_plane.start().await?;
        Ok(control_plane)
    }
}

/// An etcd and a kube-apiserver, and the files to reach them with.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: the apiserver before its store, processes
    // before the directory that they write to.
    apiserver: Option<Process>,
    etcd: Option<Process>,
    assets: Assets,
    certificates: Certificates,
    kubeconfigs: Kubeconfigs,
    apiserver_log: PathBuf,
    port: ReservedPort,
    etcd_port: ReservedPort,
    url: String,
    webhook: Option<Webhook>,
    directory: Directory,
}

impl ControlPlane {
    /// A control plane of its own directory and ports.
    #[must_use]
    pub fn builder() -> ControlPlaneBuilder {
        ControlPlaneBuilder::default()
    }

    /// Sets the webhook that kube-apiserver asks from its next start on.
    pub fn set_webhook(&mut self, webhook: Option<Webhook>) {
        self.webhook = webhook;
    }

    /// Starts etcd and kube-apiserver, where they don't run yet, and waits until both
    /// are ready.
    ///
    /// # Errors
    /// If one ends or isn't ready in time; the error carries the end of its log.
    pub async fn start(&mut self) -> Result<(), Error> {
        if self.etcd.is_none() {
            let etcd = etcd::start(&self.assets, &self.directory, self.etcd_port.number()).await?;
            self.etcd = Some(etcd);
        }
        if self.apiserver.is_none() {
            let options = apiserver::Options {
                port: self.port.number(),
                etcd_port: self.etcd_port.number(),
                certificates: &self.certificates,
                webhook: self.webhook.as_ref(),
                log: &self.apiserver_log,
            };
            let apiserver = apiserver::start(&self.assets, &self.directory, &options).await?;
            self.apiserver = Some(apiserver);
        }
        Ok(())
    }

    /// Stops kube-apiserver and starts it again, at the same address, over the same
    /// etcd, with the webhook set last.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart_apiserver(&mut self) -> Result<(), Error> {
        if let Some(apiserver) = self.apiserver.take() {
            apiserver.stop(apiserver::GRACE).await;
        }
        self.start().await
    }

    /// Stops both processes, the apiserver first, and removes a temporary directory.
    pub async fn stop(mut self) {
        if let Some(apiserver) = self.apiserver.take() {
            apiserver.stop(apiserver::GRACE).await;
        }
        if let Some(etcd) = self.etcd.take() {
            etcd.stop(etcd::GRACE).await;
        }
    }

    /// A kubeconfig of a client certificate in `system:masters`. It exists before the
    /// apiserver runs.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        self.kubeconfigs.admin()
    }

    /// Writes a kubeconfig of a bearer token.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn kubeconfig_with_token(&self, token: &str) -> Result<PathBuf, Error> {
        self.kubeconfigs.with_token(token)
    }

    /// Writes a kubeconfig whose tokens come from a program.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn kubeconfig_with_exec(&self, plugin: &ExecPlugin) -> Result<PathBuf, Error> {
        self.kubeconfigs.with_exec(plugin)
    }

    /// Runs kubectl, for at most 30 s.
    ///
    /// # Errors
    /// If it doesn't run or doesn't end in time. Its own failure is in the output.
    pub async fn kubectl(&self, kubeconfig: &Path, args: &[&str]) -> Result<Output, Error> {
        kubectl::run(&self.assets, &self.directory, kubeconfig, args, "").await
    }

    /// Runs kubectl with an input, as for `apply -f -`, for at most 30 s.
    ///
    /// # Errors
    /// As [`kubectl`](Self::kubectl).
    pub async fn kubectl_with_input(
        &self,
        kubeconfig: &Path,
        args: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        kubectl::run(&self.assets, &self.directory, kubeconfig, args, input).await
    }

    /// The apiserver's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CA of the apiserver's certificate.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.certificates.ca
    }

    /// The key of that CA, which also signs client certificates.
    #[must_use]
    pub fn ca_key_file(&self) -> &Path {
        &self.certificates.ca_key
    }

    /// What kube-apiserver writes, over all its starts.
    #[must_use]
    pub fn apiserver_log(&self) -> &Path {
        &self.apiserver_log
    }

    /// The directory that all of its files are in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.root()
    }

    /// The programs that it runs.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The process IDs of kube-apiserver and etcd, of those that run.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        [&self.apiserver, &self.etcd].into_iter().flatten().map(Process::id).collect()
    }
}
