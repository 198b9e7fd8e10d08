//! Credentials on disk, in the file that aws-iam-authenticator keeps them in: both share it.
//!
//! ```text
//! get: open ─▶ flock, shared ──▶ read ─▶ entry, if it is good a while longer
//! put: open ─▶ flock, exclusive ▶ read ─▶ drop what has expired, add ─▶ write beside, rename
//! ```
//!
//! The lock is on the file itself, as aws-iam-authenticator's is. It writes in place; here the file is replaced,
//! so that a full disk or a crash leaves the old one. A lock that was waited for may therefore be on a file that is
//! no longer there: then the new one is opened and locked. aws-iam-authenticator does not look, so that where it
//! writes in the same moment one of the two entries is lost, and a code is asked for once more.

mod format;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;

use crate::{atomic_file, yaml::Position};
use format::{Damage, Entries};

/// The longest file that is read or written, in bytes.
const MAX_LEN: usize = 1024 * 1024;
/// How long to wait for whoever has the file locked, as in aws-iam-authenticator.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait between two tries to lock it.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How much longer credentials must be good to be used: a token of theirs is verified after it is made.
const MARGIN: Duration = Duration::from_mins(1);

/// What credentials are kept under: they are those of the profile, before the role is assumed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey {
    /// The cluster's ID.
    pub cluster: String,
    /// The profile; `default` where none is named.
    pub profile: String,
    /// The role that is assumed with them; empty where none is.
    pub role: String,
}

/// A file of credentials.
#[derive(Debug, Clone)]
pub struct Cache {
    path: PathBuf,
    /// How long to wait for whoever has the file locked.
    patience: Duration,
}

/// Why the file is not used. Nothing of its content is told.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{0} holds secrets, and others may read it: chmod 600 it")]
    NotPrivate(PathBuf),
    /// Somebody has it locked.
    #[error("{0} stays locked by another program")]
    Locked(PathBuf),
    /// It is longer than anything meant.
    #[error("{0} would be, or is, longer than {MAX_LEN} bytes: remove it")]
    TooLong(PathBuf),
    /// It is no file of credentials. It may be replaced.
    #[error("{path} is damaged at {position}: what it holds is not used, and replaced by what comes next")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        position: Position,
    },
}

impl Cache {
    /// The cache in the file at `path`, which need not be there.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, patience: LOCK_TIMEOUT }
    }

    /// The credentials under `key`, where there are some that are good for another minute.
    ///
    /// # Errors
    /// See [`CacheError`]. A file that is not there is an empty one.
    pub async fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Option<Credentials>, CacheError> {
        let file = match self.lock(OpenOptions::new().read(true), File::try_lock_shared).await {
            Err(CacheError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            file => file?,
        };
        Ok(self.read(&file)?.get(key, now + MARGIN).cloned())
    }

    /// Puts credentials under `key`, and takes out what has expired. Credentials that do not expire are not kept.
    ///
    /// # Errors
    /// See [`CacheError`]. A damaged file is replaced.
    pub async fn put(
        &self,
        key: CacheKey,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), CacheError> {
        if credentials.expiry().is_none() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            // Where it fails, opening the file says so.
            let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let mut options = OpenOptions::new();
        let file = self.lock(options.read(true).write(true).create(true).mode(0o600), File::try_lock).await?;
        let mut entries = match self.read(&file) {
            Err(CacheError::Damaged { .. }) => Entries::default(),
            entries => entries?,
        };
        entries.put(key, credentials.clone(), now);
        let text = entries.write();
        if text.len() > MAX_LEN {
            return Err(CacheError::TooLong(self.path.clone()));
        }
        atomic_file::write(&self.path, text.as_bytes(), 0o600).map_err(self.io("write"))
    }

    /// Opens the file and locks it, and sees that it is still the one at its path.
    async fn lock(
        &self,
        options: &OpenOptions,
        try_lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<File, CacheError> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let file = options.open(&self.path).map_err(self.io("open"))?;
            match try_lock(&file) {
                Ok(()) if is_at(&file, &self.path) => return Ok(file),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(self.io("lock")(error)),
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(CacheError::Locked(self.path.clone()));
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
    }

    fn read(&self, file: &File) -> Result<Entries, CacheError> {
        let metadata = file.metadata().map_err(self.io("read"))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(CacheError::NotPrivate(self.path.clone()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(self.io("read"))?;
        if bytes.len() > MAX_LEN {
            return Err(CacheError::TooLong(self.path.clone()));
        }
        let damaged = |position| CacheError::Damaged { path: self.path.clone(), position };
        let text = str::from_utf8(&bytes).map_err(|_| damaged(Position { line: 1, column: 1 }))?;
        Entries::parse(text).map_err(|Damage(position)| damaged(position))
    }

    fn io(&self, what: &'static str) -> impl FnOnce(io::Error) -> CacheError {
        let path = self.path.clone();
        move |source| CacheError::Io { what, path, source }
    }
}

/// Whether `file` is what stands at `path` now.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(locked), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (locked.dev(), locked.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn key(role: &str) -> CacheKey {
        CacheKey { cluster: "c".to_owned(), profile: "p".to_owned(), role: role.to_owned() }
    }

    fn credentials(name: &str, seconds: u64) -> Credentials {
        Credentials::new(name, "secret", None, Some(NOW + Duration::from_secs(seconds)), "test")
    }

    fn cache() -> (Cache, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Cache::new(folder.path().join("a/b/credentials.yaml")), folder)
    }

    #[tokio::test]
    async fn what_is_put_is_there_until_a_minute_before_it_expires() {
        let (cache, _folder) = cache();
        assert!(cache.get(&key(""), NOW).await.unwrap().is_none(), "no file yet");
        cache.put(key(""), &credentials("one", 3600), NOW).await.unwrap();
        cache.put(key("r"), &credentials("other", 3600), NOW).await.unwrap();
        let get = async |role, seconds| {
            let found = cache.get(&key(role), NOW + Duration::from_secs(seconds)).await.unwrap();
            found.map(|credentials| credentials.access_key_id().to_owned())
        };
        assert_eq!(get("", 3539).await.as_deref(), Some("one"));
        assert_eq!(get("r", 0).await.as_deref(), Some("other"));
        assert_eq!(get("", 3540).await, None);
        assert_eq!(get("x", 0).await, None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&cache.path), mode(cache.path.parent().unwrap())), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_is_neither_read_nor_written() {
        let (cache, _folder) = cache();
        cache.put(key(""), &credentials("one", 3600), NOW).await.unwrap();
        fs::set_permissions(&cache.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(cache.get(&key(""), NOW).await, Err(CacheError::NotPrivate(_))));
        let put = cache.put(key("r"), &credentials("other", 3600), NOW).await;
        assert!(matches!(put, Err(CacheError::NotPrivate(_))));
        assert!(!fs::read_to_string(&cache.path).unwrap().contains("other"));
    }

    #[tokio::test]
    async fn a_damaged_file_is_told_without_its_content_and_replaced() {
        let (cache, _folder) = cache();
        cache.put(key(""), &credentials("one", 3600), NOW).await.unwrap();
        fs::write(&cache.path, "clusters:\n  c: [canary").unwrap();
        let error = cache.get(&key(""), NOW).await.unwrap_err();
        assert!(
            matches!(error, CacheError::Damaged { .. }) && !format!("{error} {error:?}").contains("canary")
        );
        cache.put(key(""), &credentials("one", 3600), NOW).await.unwrap();
        assert!(cache.get(&key(""), NOW).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_lock_is_waited_for_and_not_for_ever() {
        let (mut cache, _folder) = cache();
        cache.put(key(""), &credentials("one", 3600), NOW).await.unwrap();
        let other = File::open(&cache.path).unwrap();
        other.lock().unwrap();
        cache.patience = Duration::ZERO;
        assert!(matches!(cache.get(&key(""), NOW).await, Err(CacheError::Locked(_))));
        let put = cache.put(key(""), &credentials("one", 3600), NOW).await;
        assert!(matches!(put, Err(CacheError::Locked(_))));
        cache.patience = Duration::from_mins(1);
        // The first of the two is polled first, and finds the lock taken.
        let (key, release) = (key(""), async { other.unlock().unwrap() });
        assert!(tokio::join!(biased; cache.get(&key, NOW), release).0.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_that_write_at_once_lose_nothing() {
        let (cache, _folder) = cache();
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    cache.put(key(&number.to_string()), &credentials("x", 3600), NOW).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for number in 0..8 {
            assert!(cache.get(&key(&number.to_string()), NOW).await.unwrap().is_some(), "{number}");
        }
    }
}
