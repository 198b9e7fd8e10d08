//! Keeps what is shown to clients good: renews it, loads it anew when the files change, and says what ends when.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::select_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    CertificateError, Clients, Names,
    clients::{self, Known},
    facts::Facts,
    issuer, pair,
    pair::{Pair, Paths},
    serving::Serving,
    tls::{self, Tls},
};
use crate::{
    atomic_file,
    source::WatchedFile,
    telemetry::{CertificateKind, Metrics},
    webhook::kubeconfig,
};

/// How often to look whether anything is to be renewed: by the clock on the wall, which may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long whoever replaces certificate and key may take from the first to the last of them.
const SETTLE: Duration = Duration::from_secs(1);
/// How long after a renewal that failed to try again.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// How often to tell of what ends soon.
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How long before its end to tell of a certificate that kube-apiserver read when it started.
const TELL_BEFORE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The same of one that takes effect when its file changes.
const TELL_OF_FILES_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What a [`Keeper`] goes by.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `cert.pem` and `key.pem` are.
    pub state_dir: PathBuf,
    /// What they are for.
    pub names: Names,
    /// Who has to show a certificate.
    pub clients: Clients,
    /// The kubeconfig to write; none where it is made by hand.
    pub kubeconfig: Option<Kubeconfig>,
}

/// A kubeconfig to write.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// Where to.
    pub path: PathBuf,
    /// The webhook's URL.
    pub url: String,
}

/// Why there is nothing to serve by.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The certificates.
    #[error("no certificate to serve with: {0}")]
    Certificate(#[from] CertificateError),
    /// The kubeconfig.
    #[error(
        "cannot write the webhook kubeconfig {path}: {source}; set --generate-kubeconfig to another place, or --kubeconfig-pregenerated where one is made by hand"
    )]
    Kubeconfig {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Has what is shown to clients, and keeps it good.
#[derive(Debug)]
pub struct Keeper {
    options: Options,
    paths: Paths,
    current: Current,
    tls: Arc<Tls>,
    metrics: Metrics,
    /// When to tell of what ends soon again.
    tell_at: Timestamp,
    /// Before that, a renewal that failed is not tried again.
    retry_at: Timestamp,
    /// What was told last of files that cannot be used.
    last_failure: Option<String>,
}

/// What is in force.
struct Current {
    pair: Pair,
    serving: Serving,
    clients: Option<Known>,
    /// What a kube-apiserver that has not been started since the last renewal trusts.
    previous: Option<Facts>,
}

// It has keys.
impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("pair", &self.pair).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Loads or makes the certificate, and writes the kubeconfig.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub fn start(options: Options, metrics: Metrics, now: Timestamp) -> Result<Self, KeeperError> {
        let paths = Paths::new(&options.state_dir);
        let pair = Pair::load_or_make(&options.state_dir, &options.names, now)?;
        let (current, config) = build(&options, &paths, pair, now)?;
        let tls = Arc::new(Tls::new(config));
        let (tell_at, retry_at) = (now + TELL_EVERY, now + RETRY_AFTER);
        let keeper = Self { options, paths, current, tls, metrics, tell_at, retry_at, last_failure: None };
        if let Some(Kubeconfig { path, .. }) = &keeper.options.kubeconfig {
            keeper
                .write_kubeconfig()
                .map_err(|source| KeeperError::Kubeconfig { path: path.clone(), source })?;
            tracing::info!(
                path = %path.display(),
                "wrote the webhook kubeconfig; start kube-apiserver with \
                 --authentication-token-webhook-config-file set to it"
            );
        }
        keeper.show();
        keeper.tell(now);
        Ok(keeper)
    }

    /// What connections are met with, now and after each change.
    #[must_use]
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Keeps it good for as long as it is polled.
    pub async fn run(mut self) {
        let mut files: Vec<_> = [&self.paths.certificate, &self.paths.key]
            .into_iter()
            .chain(self.options.clients.files())
            .map(|path| WatchedFile::new(path.clone()))
            .collect();
        loop {
            let changed = select_all(files.iter_mut().map(|file| Box::pin(file.next())));
            if tokio::time::timeout(LOOK_EVERY, changed).await.is_ok() {
                tokio::time::sleep(SETTLE).await;
            }
            let look = tokio::task::spawn_blocking(move || {
                self.look(Timestamp::now());
                self
            });
            match look.await {
                Ok(keeper) => self = keeper,
                Err(error) if error.is_panic() => {
                    tracing::error!(
                        "certificates are renewed and loaded no more: restart this, and report it"
                    );
                    return;
                }
                // The runtime ends.
                Err(_) => return,
            }
        }
    }

    /// Looks once, at `now`, whether there is anything to load or to renew.
    pub fn look(&mut self, now: Timestamp) {
        match self.next(now) {
            Ok(None) => self.last_failure = None,
            Ok(Some((current, config, why))) => {
                let retrusted = current.pair.facts.public_key != self.current.pair.facts.public_key;
                (self.current, self.last_failure) = (current, None);
                self.tls.replace(config);
                self.metrics.certificate_loaded();
                let until = self.current.serving.facts.not_after;
                tracing::info!(%until, why, "new connections get a new certificate; those that there are stay");
                self.rewrite_kubeconfig(retrusted);
                self.show();
                self.tell_at = now;
            }
            Err(error) => {
                let error = error.to_string();
                if self.last_failure.as_ref() != Some(&error) {
                    self.metrics.certificate_load_failed();
                    tracing::error!(
                        error,
                        "certificate files have changed and cannot be used; what was loaded stays"
                    );
                    self.last_failure = Some(error);
                }
            }
        }
        if now >= self.tell_at {
            self.tell(now);
            self.tell_at = now + TELL_EVERY;
        }
    }

    /// What is to replace what is in force, and why.
    fn next(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<(Current, rustls::ServerConfig, &'static str)>, CertificateError> {
        let pair = Pair::load(&self.paths)?;
        let files = clients::seen(&self.options.clients)?;
        let seen = self.current.clients.as_ref().map(|known| &known.seen);
        let why = if pair != self.current.pair || seen.is_some_and(|seen| *seen != files) {
            "files have changed"
        } else if self.current.serving.is_due(now) {
            "the last one ends before long"
        } else if now >= self.retry_at && self.is_due(now) {
            // Where it cannot be written, it is still due after this.
            self.retry_at = now + RETRY_AFTER;
            "the certificate in the state directory ends before long"
        } else {
            return Ok(None);
        };
        let (current, config) = build(&self.options, &self.paths, pair, now)?;
        Ok(Some((current, config, why)))
    }

    /// Whether what lies in the state directory should be renewed by this program.
    fn is_due(&self, now: Timestamp) -> bool {
        let due = |facts: &Facts| issuer::is_due(facts.not_before, facts.not_after, now);
        let Current { pair, clients, .. } = &self.current;
        let own = clients.as_ref().filter(|_| self.options.clients == Clients::Own);
        (due(&pair.facts) && issuer::can_renew(pair))
            || own.and_then(|known| known.facts.as_ref()).is_some_and(due)
    }

    fn write_kubeconfig(&self) -> io::Result<()> {
        let Some(Kubeconfig { path, url }) = &self.options.kubeconfig else { return Ok(()) };
        let client = self.current.clients.as_ref().and_then(|known| known.kube_apiserver.as_ref());
        kubeconfig::write(path, url, &self.current.pair.pem, client)
    }

    fn rewrite_kubeconfig(&self, retrusted: bool) {
        let Some(Kubeconfig { path, .. }) = &self.options.kubeconfig else { return };
        let path = path.display();
        match self.write_kubeconfig() {
            Ok(()) if retrusted => tracing::warn!(
                kubeconfig = %path,
                "the key in the state directory is another: kube-apiserver must be restarted, unless what it trusts \
                 has issued the new certificate"
            ),
            Ok(()) => {}
            Err(error) => tracing::error!(kubeconfig = %path, %error, "cannot write the webhook kubeconfig"),
        }
    }

    /// Shows in the metrics what ends when.
    fn show(&self) {
        let Current { pair, serving, clients, previous } = &self.current;
        let end = |facts: &Facts| facts.not_after;
        let client = clients.as_ref().and_then(|known| known.facts.as_ref());
        for (kind, until) in [
            (CertificateKind::Serving, Some(end(&serving.facts))),
            (CertificateKind::Authority, serving.issued.then(|| end(&pair.facts))),
            (CertificateKind::PreviousAuthority, previous.as_ref().map(end)),
            (CertificateKind::Client, client.map(end)),
        ] {
            self.metrics.certificate_expiry(kind, until);
        }
    }

    /// Tells of what ends soon.
    fn tell(&self, now: Timestamp) {
        let Current { pair, serving, clients, previous } = &self.current;
        let certificate = self.paths.certificate.as_path();
        if serving.issued {
            let advice = "it could not be renewed, or is not arngate's to renew: have it renewed with the same key and \
                          subject, and restart kube-apiserver before its end";
            tell_of(&pair.facts, certificate, TELL_BEFORE, now, advice);
        } else {
            let advice = "have it issued anew; it takes effect when the files are replaced. Where kube-apiserver \
                          trusts this very certificate, restart it then";
            tell_of(&pair.facts, certificate, TELL_OF_FILES_BEFORE, now, advice);
        }
        // Once it has ended, whoever trusted it has been told by its own errors.
        if let Some(previous) = previous.as_ref().filter(|previous| now <= previous.not_after) {
            let advice = "a kube-apiserver that was last started before cert.pem was renewed trusts this one: restart it \
                          before the end of this one";
            tell_of(previous, &self.paths.previous, TELL_BEFORE, now, advice);
        }
        if let Some(facts) = clients.as_ref().and_then(|known| known.facts.as_ref()) {
            let advice = "kube-apiserver shows it to this server: have it issued anew, and restart kube-apiserver \
                          before its end";
            let path = self.options.kubeconfig.as_ref().map_or(Path::new("client.pem"), |there| &there.path);
            tell_of(facts, path, TELL_BEFORE, now, advice);
        }
    }
}

fn tell_of(facts: &Facts, path: &Path, before: SignedDuration, now: Timestamp, advice: &str) {
    let (path, end) = (path.display(), facts.not_after);
    if now > end {
        tracing::error!(certificate = %path, %end, "a certificate has ended: {advice}");
    } else if end.duration_since(now) < before {
        tracing::warn!(certificate = %path, %end, "a certificate ends soon: {advice}");
    }
}

/// What is in force with `pair`, which is renewed first where that is due.
fn build(
    options: &Options,
    paths: &Paths,
    pair: Pair,
    now: Timestamp,
) -> Result<(Current, rustls::ServerConfig), CertificateError> {
    let pair = renew(pair, paths, &options.names, now);
    let serving = Serving::of(&pair, paths, &options.names, now);
    let clients = Known::find(&options.clients, &options.state_dir, &pair, now)?;
    let config =
        tls::server_config(&serving, clients.as_ref().map(|known| &known.roots)).map_err(|source| {
            CertificateError::Unusable {
                certificate: paths.certificate.clone(),
                key: paths.key.clone(),
                source,
            }
        })?;
    let previous = previous(paths, &pair, now);
    Ok((Current { pair, serving, clients, previous }, config))
}

/// `pair`, renewed on disk where that is due and can be done.
fn renew(pair: Pair, paths: &Paths, names: &Names, now: Timestamp) -> Pair {
    let end = pair.facts.not_after;
    if !issuer::is_due(pair.facts.not_before, end, now) || !issuer::can_renew(&pair) {
        return pair;
    }
    let renewed = issuer::renewed(&pair, names, now)
        .map_err(|source| CertificateError::Make { name: names.hostname.clone(), source })
        .and_then(|renewed| {
            // The old one first: it tells until when a kube-apiserver may go without a restart.
            atomic_file::write(&paths.previous, pair.pem.as_bytes(), 0o644)
                .map_err(CertificateError::file(&paths.previous))?;
            atomic_file::write(&paths.certificate, renewed.pem().as_bytes(), 0o644)
                .map_err(CertificateError::file(&paths.certificate))?;
            Pair::load(paths)
        });
    let certificate = paths.certificate.display();
    match renewed {
        Ok(renewed) => {
            tracing::warn!(
                %certificate,
                until = %renewed.facts.not_after,
                previous_until = %end,
                "renewed the certificate that kube-apiserver trusts, with the same key: one that was started before now \
                 goes on by the previous one, and must be restarted before that one's end"
            );
            renewed
        }
        Err(error) => {
            tracing::error!(%certificate, until = %end, %error, "the certificate cannot be renewed");
            pair
        }
    }
}

/// What was there before the last renewal, where it has not ended and its key is `pair`'s.
fn previous(paths: &Paths, pair: &Pair, now: Timestamp) -> Option<Facts> {
    fs::exists(&paths.previous).ok().filter(|exists| *exists)?;
    let pem = pair::read(&paths.previous).ok()?;
    let facts = Facts::of(pair::chain(&paths.previous, &pem).ok()?.first()?)?;
    (facts.not_after > now && facts.public_key == pair.facts.public_key).then_some(facts)
}
