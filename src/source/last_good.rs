//! What aws-auth held last, on disk: `aws-auth.snapshot` in the state directory.
//!
//! It is read once, at the start, and written by a task of its own, so that a full disk or a directory that cannot be
//! written is told, and holds nothing up.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    atomic_file,
    mapping::{SaveError, Saved, SavedError, Snapshot},
    telemetry::Metrics,
};

/// The file's name in the state directory.
pub const NAME: &str = "aws-auth.snapshot";

/// The longest file that is read, in bytes: a little more than is ever written.
const MAX_LEN: u64 = 17 * 1024 * 1024;
/// How long after a failed write the next one is tried.
const AGAIN: Duration = Duration::from_mins(1);

/// How far ahead of the clock the time may be at which it was last known to be in force.
const MAX_AHEAD: Duration = Duration::from_mins(5);

/// Where the last good snapshot is kept, and for how long it is good.
#[derive(Debug, Clone)]
pub struct LastGood {
    /// The file.
    pub path: PathBuf,
    /// Whose aws-auth it is. A state directory that was copied to another cluster maps nobody there.
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

/// A snapshot to be kept, and when it was known to be in force.
type Latest = Option<(Arc<Snapshot>, Timestamp)>;

/// Has the latest snapshot written. When it is dropped, writing ends.
#[derive(Debug)]
pub struct Keeper {
    latest: watch::Sender<Latest>,
    _writer: tokio_util::task::AbortOnDropHandle<()>,
}

impl LastGood {
    /// Reads what was kept; `None` where nothing was.
    ///
    /// # Errors
    /// See [`LastGoodError`].
    pub fn read(&self, now: Timestamp) -> Result<Option<Saved>, LastGoodError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o022 != 0 {
            return Err(LastGoodError::Permissions);
        }
        check_owner(metadata.uid(), own_user()?)?;
        let mut text = String::new();
        file.take(MAX_LEN).read_to_string(&mut text)?;
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

    /// Starts the writer. Needs a runtime's context.
    #[must_use]
    pub fn keeper(self, metrics: Metrics) -> Keeper {
        let (latest, seen) = watch::channel(None);
        let writer = tokio::spawn(write_each(self, seen, metrics));
        Keeper { latest, _writer: tokio_util::task::AbortOnDropHandle::new(writer) }
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

impl Keeper {
    /// Keeps `snapshot`, which was known to be in force at `confirmed_at`, as soon as may be.
    pub fn keep(&self, snapshot: Arc<Snapshot>, confirmed_at: Timestamp) {
        self.latest.send_replace(Some((snapshot, confirmed_at)));
    }
}

/// Writes the latest snapshot whenever there is one, and again where that failed.
async fn write_each(last_good: LastGood, mut seen: watch::Receiver<Latest>, metrics: Metrics) {
    let mut failed = false;
    loop {
        let changed = seen.changed();
        let ended = if failed {
            matches!(tokio::time::timeout(AGAIN, changed).await, Ok(Err(_)))
        } else {
            changed.await.is_err()
        };
        let Some((snapshot, confirmed_at)) = seen.borrow_and_update().clone() else { return };
        if ended {
            return;
        }
        let (path, cluster_id) = (last_good.path.clone(), last_good.cluster_id.clone());
        let written =
            tokio::task::spawn_blocking(move || write(&path, &snapshot, &cluster_id, confirmed_at)).await;
        let result = written.unwrap_or_else(|error| Err(io::Error::other(error).into()));
        failed = result.is_err();
        match result {
            Ok(()) => metrics.snapshot_kept(confirmed_at),
            Err(error) => {
                metrics.snapshot_write_failure();
                tracing::error!(
                    path = %last_good.path.display(),
                    %error,
                    "cannot keep the last good snapshot of aws-auth; a restart without an API server would use an \
                     older one, or none"
                );
            }
        }
    }
}

fn write(
    path: &Path,
    snapshot: &Snapshot,
    cluster_id: &str,
    confirmed_at: Timestamp,
) -> Result<(), LastGoodError> {
    let text = Saved::to_text(snapshot, cluster_id, confirmed_at)?;
    Ok(atomic_file::write(path, text.as_bytes(), 0o600)?)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::mapping::AwsAuth;

    const SAVED_AT: &str = "2026-01-01T00:00:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn last_good(folder: &Path) -> LastGood {
        LastGood { path: folder.join(NAME), cluster_id: "c".to_owned(), max_age: Duration::from_hours(24) }
    }

    fn snapshot() -> Arc<Snapshot> {
        let data = BTreeMap::from([("mapAccounts".to_owned(), "['111122223333']".to_owned())]);
        Arc::new(Snapshot::update(None, &AwsAuth::from(data)).0)
    }

    fn saved(folder: &Path) -> LastGood {
        let last_good = last_good(folder);
        write(&last_good.path, &snapshot(), "c", time(SAVED_AT)).unwrap();
        last_good
    }

    #[test]
    fn it_is_read_again_by_its_owner_while_it_is_not_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let last_good = saved(folder.path());
        let mode = fs::metadata(&last_good.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for now in ["2026-01-02T00:00:00Z", "2025-12-31T23:55:00Z"] {
            let saved = last_good.read(time(now)).unwrap().unwrap();
            assert_eq!((saved.snapshot.index().len(), saved.confirmed_at), (1, time(SAVED_AT)));
        }
        let error = last_good.read(time("2026-01-02T00:00:01Z")).unwrap_err();
        assert!(matches!(error, LastGoodError::TooOld { hours: 24, max_hours: 24 }), "{error}");
        let error = last_good.read(time("2025-12-31T23:54:59Z")).unwrap_err();
        assert!(
            error.to_string().contains("in force at 2026-01-01T00:00:00Z, which is more than 5"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_there_is_nothing_and_what_others_may_write_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(last_good(folder.path()).read(time(SAVED_AT)).unwrap().is_none());
        let last_good = saved(folder.path());
        fs::set_permissions(&last_good.path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(last_good.read(time(SAVED_AT)), Err(LastGoodError::Permissions)));
        fs::remove_file(&last_good.path).unwrap();
        fs::create_dir(&last_good.path).unwrap();
        assert!(last_good.read(time(SAVED_AT)).is_err());
    }

    #[test]
    fn what_another_user_has_written_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let last_good = saved(folder.path());
        let own = fs::metadata(&last_good.path).unwrap().uid();
        assert_eq!(own_user().unwrap(), own);
        assert!(check_owner(own, own).is_ok() && check_owner(0, 1000).is_ok());
        assert!(matches!(check_owner(1001, 1000), Err(LastGoodError::Owner { owner: 1001, own: 1000 })));
        // Only root can give a file away.
        if std::os::unix::fs::chown(&last_good.path, Some(own + 1), None).is_ok() {
            let error = last_good.read(time(SAVED_AT)).unwrap_err();
            assert!(matches!(error, LastGoodError::Owner { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn the_latest_is_written_and_a_failure_is_counted_and_made_good() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let last_good = last_good(&folder.path().join("later"));
        let keeper = last_good.clone().keeper(metrics.clone());
        keeper.keep(snapshot(), time(SAVED_AT));
        let figure = |name: &str| {
            let text = String::from_utf8(metrics.render(time(SAVED_AT)).unwrap().0).unwrap();
            let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            line.and_then(|line| line.rsplit(' ').next().map(str::to_owned))
        };
        while figure("aws_iam_authenticator_snapshot_write_failures_total").as_deref() != Some("1") {
            tokio::task::yield_now().await;
        }
        assert_eq!(figure("aws_iam_authenticator_snapshot_age_seconds"), None);
        fs::create_dir(folder.path().join("later")).unwrap();
        keeper.keep(snapshot(), time(SAVED_AT));
        while figure("aws_iam_authenticator_snapshot_age_seconds").as_deref() != Some("0") {
            tokio::task::yield_now().await;
        }
        assert!(last_good.read(time(SAVED_AT)).unwrap().is_some());
    }
}
