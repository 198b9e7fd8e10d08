//! What makes an installation fail, looked at one by one, each with what to do about it.
//!
//! ```text
//! configuration ─▶ settings ─┬▶ sts          a host of the partition: connection, certificate, clock
//!                            ├▶ kubernetes   the API server, arngate's rights there, the mappings, EC2's credentials
//!                            ├▶ certificate  cert.pem and key.pem
//!                            ├▶ kubeconfig   the one that kube-apiserver reads ─▶ port: who answers there
//!                            └▶ apiserver    kube-apiserver's flags in its static pod's manifest
//! ```
//!
//! Nothing is changed: files are read, and what is asked for over the network is what anybody may read, or what the API
//! server says of arngate's own rights. Every check has the same time, and one that takes longer has failed.

mod apiserver;
mod certificate;
mod clock;
mod kubeconfig;
mod kubernetes;
mod port;
mod sts;
mod trust;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use crate::{config::ServerSettings, mapping::BackendMode};

/// What is looked at beside the server's settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// kube-apiserver's static pod's manifest.
    pub apiserver_manifest: PathBuf,
    /// How long each check may take.
    pub within: Duration,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but something is odd, or will go wrong.
    Warn,
    /// It does not work.
    Fail,
    /// There was nothing to look at, or no way to.
    Skip,
}

/// A check, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

impl Check {
    /// A check that went well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), advice: String::new() }
    }

    /// A check that there was no way to make, or no need to.
    pub fn skip(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Skip, found: found.into(), advice: String::new() }
    }

    /// A check that went well, but for what is to be done.
    pub fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, found: found.into(), advice: advice.into() }
    }

    /// A check that failed.
    pub fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, found: found.into(), advice: advice.into() }
    }
}

/// Looks at everything that a server of `settings` needs, whose backends are `modes`.
pub async fn examine(settings: &ServerSettings, modes: &[BackendMode], options: &Options) -> Vec<Check> {
    let within = options.within;
    let now = Timestamp::now();
    let files = async {
        let (state_dir, hostname) = (settings.state_dir.clone(), settings.hostname.clone());
        let certificate =
            in_time_blocking("certificate", within, move || certificate::examine(&state_dir, &hostname, now));
        let (path, manifest) = (settings.generate_kubeconfig.clone(), options.apiserver_manifest.clone());
        let apiserver =
            in_time_blocking("kube-apiserver", within, move || apiserver::examine(&manifest, &path));
        let wanted = kubeconfig::Wanted::new(settings);
        let webhook = async {
            let (mut checks, webhook) = kubeconfig::examine(&wanted, within, now).await;
            checks.extend(in_time("port", within, port::examine(webhook, settings)).await);
            checks
        };
        tokio::join!(certificate, webhook, apiserver)
    };
    let (sts, kubernetes, (certificate, webhook, apiserver)) =
        tokio::join!(sts::examine(settings, within), kubernetes::examine(settings, modes, within), files);
    [sts, kubernetes, certificate, webhook, apiserver].concat()
}

/// What `checking` comes to, where it does so in time.
async fn in_time(
    name: &'static str,
    within: Duration,
    checking: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    tokio::time::timeout(within, checking).await.unwrap_or_else(|_| vec![late(name, within)])
}

/// The same, of what may wait for a disk.
async fn in_time_blocking(
    name: &'static str,
    within: Duration,
    checking: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let task = tokio::task::spawn_blocking(checking);
    let checks = async {
        task.await
            .unwrap_or_else(|error| vec![Check::fail(name, format!("cannot be looked at: {error}"), "")])
    };
    in_time(name, within, checks).await
}

fn late(name: &'static str, within: Duration) -> Check {
    let seconds = within.as_secs();
    Check::fail(
        name,
        format!("nothing within {seconds} s"),
        "see what holds it up, or give it longer by --timeout",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_takes_too_long_has_failed() {
        let checks = in_time("port", Duration::from_secs(3), std::future::pending()).await;
        assert_eq!((checks[0].status, checks[0].found.as_str()), (Status::Fail, "nothing within 3 s"));
    }
}
