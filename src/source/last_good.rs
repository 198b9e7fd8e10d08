//! What aws-auth and the IAMIdentityMappings held last, on disk: a file each in the state directory.
//!
//! It is read once, at the start, and written by a task of its own, so that a full disk or a directory that cannot be
//! written is told, and holds nothing up.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    atomic_file,
    mapping::{BackendMode, Lasting, ObjectRecords, SaveError, Saved, SavedError, Snapshot},
    telemetry::Metrics,
};

/// How long the API server has to answer at the start until what an earlier run saw is served. Until then a review
/// gets no verdict, and kube-apiserver asks again.
pub(super) const RESTORE_AFTER: Duration = Duration::from_secs(1);
/// How often what is kept is written anew while it does not change, so that its age tells when it was last known to be
/// in force.
const CONFIRM_EVERY: Duration = Duration::from_hours(1);
/// The longest pause between two writes.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long after a failed write the next one is tried.
const AGAIN: Duration = Duration::from_mins(1);

/// How far ahead of the clock the time may be at which it was last known to be in force.
const MAX_AHEAD: Duration = Duration::from_mins(5);

/// What is kept of a backend.
pub trait Kept: Lasting {
    /// The file's name in the state directory.
    const NAME: &'static str;
    /// What it is called in the log.
    const WHAT: &'static str;
    /// Whose it is.
    const BACKEND: BackendMode;
}

impl Kept for Snapshot {
    const NAME: &'static str = "aws-auth.snapshot";
    const WHAT: &'static str = "aws-auth";
    const BACKEND: BackendMode = BackendMode::EksConfigMap;
}

impl Kept for ObjectRecords {
    const NAME: &'static str = "iam-identity-mappings.snapshot";
    const WHAT: &'static str = "IAMIdentityMappings";
    const BACKEND: BackendMode = BackendMode::Crd;
}

/// The names of all files in the state directory.
pub const NAMES: [&str; 2] = [<Snapshot as Kept>::NAME, <ObjectRecords as Kept>::NAME];

/// Where the last good snapshots are kept, and for how long they are good.
#[derive(Debug, Clone)]
pub struct LastGood {
    /// The folder.
    pub folder: PathBuf,
    /// Whose mappings they are. A state directory that was copied to another cluster maps nobody there.
    pub cluster_id: String,
    /// For how long after it was last known to be in force it is used.
    pub max_age: Duration,
}

/// Why there is no last good snapshot.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no regular file, or others than its owner may write it.
    #[error("it is no regular file that its owner alone may write")]
    Permissions,
    /// Somebody else wrote it.
    #[error(
        "it is the user {owner}'s, and arngate runs as the user {own}; remove it, or have arngate run as that user"
    )]
    Owner {
        /// The file's user ID.
        owner: u32,
        /// This process'.
        own: u32,
    },
    /// Its content.
    #[error(transparent)]
    Content(#[from] SavedError),
    /// The snapshot cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The clock has been set back, or the file is not what it seems.
    #[error(
        "it was last known to be in force at {0}, which is more than {minutes} minutes ahead; set the clock right, or \
         remove it",
        minutes = MAX_AHEAD.as_secs() / 60
    )]
    Ahead(Timestamp),
    /// It is too old.
    #[error(
        "it was last known to be in force {hours} h ago, and counts for {max_hours} h (server.snapshotMaxAge)"
    )]
    TooOld {
        /// How old it is, in hours.
        hours: u64,
        /// How old it may be, in hours.
        max_hours: u64,
    },
}

/// What is to be kept, and when it was known to be in force.
type Latest<T> = Option<(Arc<T>, Timestamp)>;

/// Has the latest snapshot written. When it is dropped, writing ends.
#[derive(Debug)]
pub struct Keeper<T> {
    latest: watch::Sender<Latest<T>>,
    /// When the last one was given to it.
    kept_at: Option<Timestamp>,
    _writer: tokio_util::task::AbortOnDropHandle<()>,
}

impl LastGood {
    /// Reads what was kept; `None` where nothing was.
    ///
    /// # Errors
    /// See [`LastGoodError`].
    pub fn read<T: Kept>(&self, now: Timestamp) -> Result<Option<Saved<T>>, LastGoodError> {
        let file = match File::open(self.path::<T>()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o022 != 0 {
            return Err(LastGoodError::Permissions);
        }
        check_owner(metadata.uid(), own_user()?)?;
        let mut text = String::new();
        // A byte more than is ever written tells that it is too long.
        file.take(T::MAX_LEN as u64 + 1).read_to_string(&mut text)?;
        let saved = Saved::from_text(&text, &self.cluster_id)?;
        let ahead = saved.confirmed_at.duration_since(now);
        if Duration::try_from(ahead).is_ok_and(|ahead| ahead > MAX_AHEAD) {
            return Err(LastGoodError::Ahead(saved.confirmed_at));
        }
        // A clock that has been set back a little makes it no older than new.
        let age = Duration::try_from(now.duration_since(saved.confirmed_at)).unwrap_or_default();
        if age > self.max_age {
            let hours = |duration: Duration| duration.as_secs() / 3600;
            return Err(LastGoodError::TooOld { hours: hours(age), max_hours: hours(self.max_age) });
        }
        Ok(Some(saved))
    }

    /// Where `T` is kept.
    #[must_use]
    pub fn path<T: Kept>(&self) -> PathBuf {
        self.folder.join(T::NAME)
    }

    /// Reads what was kept, and starts the writer. A file that cannot be used is told, and ignored.
    pub async fn open<T: Kept>(self, metrics: &Metrics) -> (Option<Saved<T>>, Keeper<T>) {
        let reader = self.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(Timestamp::now())).await;
        let saved = match read.unwrap_or_else(|error| Err(io::Error::other(error).into())) {
            Ok(saved) => saved,
            Err(error) => {
                let (path, what) = (self.path::<T>(), T::WHAT);
                tracing::error!(
                    path = %path.display(),
                    %error,
                    "the last good snapshot of {what} cannot be used, and is ignored"
                );
                None
            }
        };
        if let Some(saved) = &saved {
            metrics.snapshot_kept(T::BACKEND, saved.confirmed_at);
        }
        (saved, self.keeper(metrics.clone()))
    }

    /// Starts the writer. Needs a runtime's context.
    #[must_use]
    pub fn keeper<T: Kept>(self, metrics: Metrics) -> Keeper<T> {
        let (latest, seen) = watch::channel(None);
        let writer = tokio::spawn(write_each(self, seen, metrics));
        Keeper { latest, kept_at: None, _writer: tokio_util::task::AbortOnDropHandle::new(writer) }
    }
}

/// This process' user ID, by which it makes files.
fn own_user() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// Believes root beside the process' own user: whoever is root could replace arngate as well.
const fn check_owner(owner: u32, own: u32) -> Result<(), LastGoodError> {
    if owner == own || owner == 0 { Ok(()) } else { Err(LastGoodError::Owner { owner, own }) }
}

impl<T> Keeper<T> {
    /// Keeps `content`, which was known to be in force at `confirmed_at`, as soon as may be.
    pub fn keep(&mut self, content: Arc<T>, confirmed_at: Timestamp) {
        self.kept_at = Some(confirmed_at);
        self.latest.send_replace(Some((content, confirmed_at)));
    }

    /// Keeps what it was given last as what is in force at `now` still, where that has not been written for long.
    pub fn confirm(&mut self, now: Timestamp) {
        let due = |kept_at: Timestamp| now.duration_since(kept_at).unsigned_abs() >= CONFIRM_EVERY;
        if self.kept_at.is_some_and(due) {
            self.kept_at = Some(now);
            self.latest.send_modify(|latest| {
                if let Some((_, confirmed_at)) = latest {
                    *confirmed_at = now;
                }
            });
        }
    }
}

/// Writes the latest snapshot whenever there is one, and again where that failed.
async fn write_each<T: Kept>(last_good: LastGood, mut seen: watch::Receiver<Latest<T>>, metrics: Metrics) {
    let mut failed = false;
    loop {
        let changed = seen.changed();
        let ended = if failed {
            matches!(tokio::time::timeout(AGAIN, changed).await, Ok(Err(_)))
        } else {
            changed.await.is_err()
        };
        let Some((content, confirmed_at)) = seen.borrow_and_update().clone() else { return };
        if ended {
            return;
        }
        let started = Instant::now();
        let (path, cluster_id) = (last_good.path::<T>(), last_good.cluster_id.clone());
        let written =
            tokio::task::spawn_blocking(move || write(&path, &*content, &cluster_id, confirmed_at)).await;
        let result = written.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        failed = result.is_err();
        match result {
            Ok(()) => metrics.snapshot_kept(T::BACKEND, confirmed_at),
            Err(error) => {
                metrics.snapshot_write_failure();
                let (path, what) = (last_good.path::<T>(), T::WHAT);
                tracing::error!(
                    path = %path.display(),
                    %error,
                    "cannot keep the last good snapshot of {what}; a restart without an API server would use an \
                     older one, or none"
                );
            }
        }
        // Many objects that change all the time are not written all the time.
        tokio::time::sleep(started.elapsed().saturating_mul(9).min(MAX_PAUSE)).await;
    }
}

fn write<T: Kept>(
    path: &Path,
    content: &T,
    cluster_id: &str,
    confirmed_at: Timestamp,
) -> Result<(), LastGoodError> {
    match Saved::to_text(content, cluster_id, confirmed_at) {
        Ok(text) => Ok(atomic_file::write(path, text.as_bytes(), 0o600)?),
        Err(error) => {
            // Nothing shorter comes by itself, and what was kept before maps whom nothing maps any more.
            match fs::remove_file(path) {
                Err(stays) if stays.kind() != io::ErrorKind::NotFound => Err(stays.into()),
                _ => Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
