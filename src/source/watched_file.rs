//! One file, watched: what it holds whenever that has changed.
//!
//! The directory is watched rather than the file, since a file is replaced as often as it is written: by a rename,
//! or, as Kubernetes does with a mounted ConfigMap, by turning the link `..data` beside it. Events only say when to
//! look; what counts is the content. So a missed event is made good by the next look, some seconds later.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::Notify, time};

use super::aside::{elsewhere, later};

/// The longest file that is read, in bytes.
pub const MAX_LEN: u64 = 16 * 1024 * 1024;

/// How long after an event to look: a change comes as a burst of events.
const SETTLE: Duration = Duration::from_millis(50);
/// How long a file must be gone until that counts. Editors and scripts remove a file a moment before they write it.
const GONE_FOR: Duration = Duration::from_millis(250);
/// How often to look without an event.
const RECHECK: Duration = Duration::from_secs(5);
/// How often to look while the directory cannot be watched.
const RECHECK_UNWATCHED: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The file, and what it holds.
    Content(Arc<[u8]>),
    /// There is no such file.
    Absent,
    /// It is there, but cannot be read.
    Unreadable(String),
}

/// A file that is watched.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    last: Option<Seen>,
}

impl WatchedFile {
    /// Will watch the file at `path`, which need not be there, nor its directory.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, changed: Arc::new(Notify::new()), watcher: None, last: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there at first, and then whenever it is something else. To drop the future loses nothing.
    pub async fn next(&mut self) -> Seen {
        loop {
            if self.last.is_some() {
                let recheck = if self.watcher.is_some() { RECHECK } else { RECHECK_UNWATCHED };
                if time::timeout(recheck, self.changed.notified()).await.is_ok() {
                    time::sleep(SETTLE).await;
                }
            }
            // Before the look, so that no change falls between the two.
            self.watch();
            let mut news = self.look().await;
            if news == Some(Seen::Absent) && self.last.is_some() {
                time::sleep(GONE_FOR).await;
                news = self.look().await;
            }
            if let Some(seen) = news {
                // A long content is many pages of memory to be given back.
                if let Some(before @ Seen::Content(_)) = self.last.replace(seen.clone()) {
                    later(move || drop(before));
                }
                return seen;
            }
        }
    }

    /// Watches the directory, also one that has come in the place of the one that was watched: to watch a directory
    /// again does nothing.
    fn watch(&mut self) {
        let directory = match self.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        if let Some(watcher) = &mut self.watcher
            && watcher.watch(directory, RecursiveMode::NonRecursive).is_ok()
        {
            return;
        }
        let changed = Arc::clone(&self.changed);
        // Whatever it is, an error included, to look again is what there is to do. That it was read is no change.
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                changed.notify_one();
            }
        });
        let result = watcher.and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &result
            && (self.watcher.is_some() || self.last.is_none())
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot watch for changes; looking every second");
        }
        self.watcher = result.ok();
    }

    /// What is there, where that is something else than before. To read and to compare a long file takes a while.
    async fn look(&self) -> Option<Seen> {
        let (path, last) = (self.path.clone(), self.last.clone());
        let looking = elsewhere(move || {
            let seen = see(&path);
            (last.as_ref() != Some(&seen)).then_some(seen)
        });
        looking.await.unwrap_or_else(|error| Some(Seen::Unreadable(error.to_string())))
    }
}

fn see(path: &Path) -> Seen {
    match read(path) {
        Ok(content) => Seen::Content(content.into()),
        Err(error) if is_absence(&error) => Seen::Absent,
        Err(error) => Seen::Unreadable(error.to_string()),
    }
}

/// Whether an error of [`read`] says that there is no such file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What a file holds now.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_LEN + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_LEN {
        return Err(io::Error::other(format!("longer than {MAX_LEN} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    async fn next(file: &mut WatchedFile) -> Seen {
        // Longer than the slow look takes, so that a missed event would still be told from a lost change.
        time::timeout(Duration::from_secs(20), file.next()).await.expect("no change seen")
    }

    fn content(text: &str) -> Seen {
        Seen::Content(text.as_bytes().into())
    }

    #[tokio::test]
    async fn every_kind_of_replacement_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("later");
        let path = directory.join("file");
        let mut file = WatchedFile::new(path.clone());
        assert_eq!(next(&mut file).await, Seen::Absent, "nor is its directory there");
        fs::create_dir(&directory).unwrap();
        fs::write(&path, "created").unwrap();
        assert_eq!(next(&mut file).await, content("created"));
        fs::write(&path, "written").unwrap();
        assert_eq!(next(&mut file).await, content("written"));
        fs::write(directory.join("new"), "renamed").unwrap();
        fs::rename(directory.join("new"), &path).unwrap();
        assert_eq!(next(&mut file).await, content("renamed"));
        fs::remove_file(&path).unwrap();
        assert_eq!(next(&mut file).await, Seen::Absent);
        fs::create_dir(&path).unwrap();
        assert!(matches!(next(&mut file).await, Seen::Unreadable(_)));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "again").unwrap();
        assert_eq!(next(&mut file).await, content("again"));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(next(&mut file).await, Seen::Absent);
        fs::create_dir(&directory).unwrap();
        fs::write(&path, "in a new directory").unwrap();
        assert_eq!(next(&mut file).await, content("in a new directory"));
    }

    #[tokio::test]
    async fn the_link_that_kubernetes_turns_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), version).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        let mut file = WatchedFile::new(at("file"));
        assert_eq!(next(&mut file).await, content("..1"));
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at("..1")).unwrap();
        assert_eq!(next(&mut file).await, content("..2"));
    }

    #[tokio::test]
    async fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::File::create(&path).unwrap().set_len(MAX_LEN + 1).unwrap();
        let seen = next(&mut WatchedFile::new(path)).await;
        assert!(matches!(&seen, Seen::Unreadable(why) if why.contains("longer than")), "{seen:?}");
    }
}
