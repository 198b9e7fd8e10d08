//! The places where mappings are kept, each looked at once, for commands that say what a server would say.
//!
//! What is found is read by the code that serves, and put into a chain that is held to the same rules. Nothing is
//! written: no status, no event, no file.

mod objects;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::ListParams};

use super::{
    BackendSettings, KubeconfigChoice, KubernetesError, backend_mode_file, client, client_of_user,
    config_map, dynamic_file,
    last_good::{Kept, LastGoodError},
    watched_file,
};
use crate::mapping::{
    AwsAuth, BackendMode, Chain, Diagnostic, Finding, Manifest, Objects, Publisher, Saved, Snapshot,
};

/// How long an answer of the API server may go without a byte.
const QUIET: Duration = Duration::from_secs(30);
/// How long a list may take, all its pages together.
const LIST_WITHIN: Duration = Duration::from_mins(1);

/// Files to look at instead of what a server looks at.
#[derive(Debug, Default)]
pub struct Instead {
    /// A file's name, and the aws-auth in it.
    pub aws_auth: Option<(String, Manifest)>,
    /// A file's name, and its text: IAMIdentityMappings as YAML or JSON.
    pub identity_mappings: Option<(String, String)>,
}

/// What was found.
#[derive(Debug)]
pub struct Looked {
    /// The chain that a server would have, had it found the same. A backend whose place could not be read has loaded
    /// nothing, and holds up those after it no longer, as in a server that has waited for it.
    pub chain: Chain,
    /// Where each of its backends was looked for, in their order.
    pub places: Vec<Place>,
}

/// A place that was looked at.
#[derive(Debug)]
pub struct Place {
    /// Whose place it is.
    pub backend: BackendMode,
    /// Where that is, for people.
    pub location: String,
    /// What is wrong or odd in it.
    pub findings: Vec<Finding>,
    /// What else whoever asks should know.
    pub notes: Vec<String>,
    /// Why nothing was read.
    pub error: Option<LookError>,
}

/// Why a place could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no way to the API server.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The API server refused, or did not answer.
    #[error("cannot list {what}: {error}")]
    Api {
        /// What was asked for.
        what: &'static str,
        /// Why. No `source`, or whoever prints the chain says it twice.
        error: Box<kube::Error>,
    },
    /// It took too long.
    #[error("no list of {0} within {seconds} s", seconds = LIST_WITHIN.as_secs())]
    Late(&'static str),
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file}: {message}")]
    Content {
        /// Which file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// DynamicFile has no file.
    #[error("DynamicFile has no file; set server.dynamicfilepath in the configuration file")]
    NoDynamicFile,
}

/// What a place holds.
#[derive(Default)]
struct Found {
    snapshot: Arc<Snapshot>,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

/// Looks at the places of `modes`, and before them at the administrators.
pub async fn look(settings: &BackendSettings, modes: &[BackendMode], mut instead: Instead) -> Looked {
    let (mut backends, mut places) = (Vec::new(), Vec::new());
    let administrators =
        (!settings.administrators.index().is_empty()).then_some(BackendMode::AdminPrincipals);
    for mode in administrators.into_iter().chain(modes.iter().copied()) {
        let (backend, publisher) = settings.backend(mode);
        let (mut notes, location) = (Vec::new(), location(mode, settings, &instead));
        let found = match mode {
            BackendMode::AdminPrincipals => Ok(Found::of(&settings.administrators)),
            BackendMode::MountedFile => Ok(Found::of(&settings.mounted)),
            BackendMode::EksConfigMap => match instead.aws_auth.take() {
                Some((_, Manifest { snapshot, findings, .. })) => {
                    Ok(Found { snapshot: Arc::new(snapshot), findings, notes: Vec::new() })
                }
                None => aws_auth_in_force(settings, &publisher, &mut notes).await,
            },
            BackendMode::Crd => match instead.identity_mappings.take() {
                Some((name, text)) => objects::in_file(&name, &text),
                None => objects::in_cluster(settings, &publisher, &mut notes).await,
            },
            BackendMode::DynamicFile => dynamic_file_content(settings),
        };
        let (findings, error) = match found {
            Ok(found) => {
                publisher.publish(found.snapshot);
                notes.extend(found.notes);
                (found.findings, None)
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        backend.stop_waiting();
        backends.push(backend);
        places.push(Place { backend: mode, location, findings, notes, error });
    }
    Looked { chain: Chain::new(backends), places }
}

/// The backends that the file at `path` names for a server with `server.dynamicBackendModePath`; `None` where it is not
/// there, so that the configured ones count.
///
/// # Errors
/// Where it cannot be read, or names none: a server keeps the backends that it has.
pub fn backend_modes(path: &Path) -> Result<Option<Vec<BackendMode>>, LookError> {
    let Some(content) = read_if_there(path)? else { return Ok(None) };
    let (_, modes) = backend_mode_file::modes(&content)
        .map_err(|message| LookError::Content { file: path.display().to_string(), message })?;
    Ok(Some(modes))
}

/// aws-auth as the API server has it; `None` where there is none. It is asked for as a server asks, by a list of this one
/// name; whoever may not list may perhaps get it.
///
/// # Errors
/// See [`LookError`].
pub async fn aws_auth(client: Client) -> Result<Option<AwsAuth>, LookError> {
    const WHAT: &str = "configmap/aws-auth in kube-system";
    let api: Api<ConfigMap> = Api::namespaced(client, config_map::NAMESPACE);
    let asked = async {
        let only_this = ListParams::default().fields(&format!("metadata.name={}", config_map::NAME));
        match api.list(&only_this).await {
            Ok(list) => Ok(list.items.into_iter().find(config_map::is_aws_auth)),
            Err(kube::Error::Api(status)) if status.code == 403 => api.get_opt(config_map::NAME).await,
            Err(error) => Err(error),
        }
    };
    Ok(within(WHAT, asked).await?.map(config_map::held))
}

impl Found {
    fn of(snapshot: &Arc<Snapshot>) -> Self {
        Self { snapshot: Arc::clone(snapshot), ..Self::default() }
    }

    fn new(snapshot: Snapshot, diagnostics: Vec<Diagnostic>) -> Self {
        let findings = diagnostics.into_iter().map(Finding::from).collect();
        Self { snapshot: Arc::new(snapshot), findings, notes: Vec::new() }
    }

    fn of_objects(objects: &Objects) -> Self {
        let (snapshot, diagnostics) = objects.snapshot();
        Self::new(snapshot, diagnostics)
    }

    /// The same, which tells of what is kept.
    fn noting_kept(self) -> Self {
        let kept = self.snapshot.figures().kept;
        let mappings = if kept == 1 { "mapping is" } else { "mappings are" };
        let note = format!("{kept} {mappings} kept from the last good snapshot in the state directory");
        if kept == 0 { self } else { self.noting(note) }
    }

    fn noting(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }
}

fn location(mode: BackendMode, settings: &BackendSettings, instead: &Instead) -> String {
    match (mode, &instead.aws_auth, &instead.identity_mappings, &settings.dynamic_file) {
        (BackendMode::AdminPrincipals, ..) => "server.adminPrincipals".to_owned(),
        (BackendMode::MountedFile, ..) => "the configuration file".to_owned(),
        (BackendMode::EksConfigMap, Some((name, _)), ..) | (BackendMode::Crd, _, Some((name, _)), _) => {
            name.clone()
        }
        (BackendMode::EksConfigMap, ..) => "configmap/aws-auth in kube-system".to_owned(),
        (BackendMode::Crd, ..) => "the cluster's IAMIdentityMappings".to_owned(),
        (BackendMode::DynamicFile, .., Some(path)) => path.display().to_string(),
        (BackendMode::DynamicFile, .., None) => "no file".to_owned(),
    }
}

/// What aws-auth maps where it follows what a server has kept as last good, as in a server that starts now.
async fn aws_auth_in_force(
    settings: &BackendSettings,
    publisher: &Publisher,
    notes: &mut Vec<String>,
) -> Result<Found, LookError> {
    let saved = kept::<Snapshot>(settings, notes);
    let read = async { aws_auth(the_client(settings).await?).await };
    match read.await {
        Ok(Some(aws_auth)) => {
            let last = saved.as_ref().map(|saved| &saved.content);
            let (snapshot, diagnostics) = Snapshot::update(last, &aws_auth);
            Ok(Found::new(snapshot, diagnostics).noting_kept())
        }
        Ok(None) => Ok(Found::default().noting("there is no such ConfigMap: it maps nobody".to_owned())),
        Err(error) => {
            if let Some(Saved { content, confirmed_at }) = saved {
                restore(content, confirmed_at, publisher, notes);
            }
            Err(error)
        }
    }
}

/// What a server has kept as last good.
fn kept<T: Kept>(settings: &BackendSettings, notes: &mut Vec<String>) -> Option<Saved<T>> {
    match settings.last_good.as_ref()?.read(Timestamp::now()) {
        Ok(saved) => saved,
        // Where the state directory is another machine's or another user's, there is nothing to be told.
        Err(LastGoodError::Io(_)) => None,
        Err(error) => {
            notes.push(format!("the last good snapshot in the state directory is not used: {error}"));
            None
        }
    }
}

/// Puts in force what was last good, as a server does that finds no API server at its start.
fn restore(snapshot: Snapshot, confirmed_at: Timestamp, publisher: &Publisher, notes: &mut Vec<String>) {
    notes.push(format!("a server that starts now serves what was last good at {confirmed_at}"));
    publisher.publish_restored(Arc::new(snapshot), confirmed_at);
}

fn dynamic_file_content(settings: &BackendSettings) -> Result<Found, LookError> {
    let path = settings.dynamic_file.as_ref().ok_or(LookError::NoDynamicFile)?;
    let Some(content) = read_if_there(path)? else {
        return Ok(Found::default().noting("there is no such file: it maps nobody".to_owned()));
    };
    let (_, snapshot, diagnostics) = dynamic_file::parse(&content, None, settings.dynamic_file_matches)
        .map_err(|error| LookError::Content {
            file: path.display().to_string(),
            message: format!("{error}; a server keeps what it last read of it"),
        })?;
    Ok(Found::new(snapshot, diagnostics))
}

/// A file's content, within the bounds of a file that is watched; `None` where there is none.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LookError> {
    match watched_file::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if watched_file::is_absence(&error) => Ok(None),
        Err(error) => Err(LookError::File { path: path.to_owned(), error }),
    }
}

/// The client that a server would have; where that would be a pod's and this is no pod, that of whoever asks.
async fn the_client(settings: &BackendSettings) -> Result<Client, KubernetesError> {
    let (kubeconfig, master) = (settings.kubeconfig.as_deref(), settings.master.as_deref());
    let is_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if kubeconfig.is_some() || master.is_some() || is_pod {
        client(kubeconfig, master, QUIET).await
    } else {
        client_of_user(KubeconfigChoice::default(), QUIET).await
    }
}

async fn within<T>(
    what: &'static str,
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, LookError> {
    match tokio::time::timeout(LIST_WITHIN, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(LookError::Api { what, error: Box::new(error) }),
        Err(_) => Err(LookError::Late(what)),
    }
}
