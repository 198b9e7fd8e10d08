use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Error;

/// The one directory of a control plane.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Removes the directory on drop, unless the caller has named one to keep.
    _temporary: Option<TempDir>,
}

impl Directory {
    /// Opens the directory given, or a temporary one.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, Error> {
        let directory = if let Some(given) = given {
            let failed = || format!("create {}", given.display());
            DirBuilder::new().recursive(true).mode(0o700).create(given).map_err(Error::io(failed()))?;
            // kubeconfigs name files by absolute paths, so that they work from anywhere.
            let root = fs::canonicalize(given).map_err(Error::io(failed()))?;
            Self { root, _temporary: None }
        } else {
            let temporary = tempfile::Builder::new()
                .prefix("control-plane-")
                .tempdir()
                .map_err(Error::io("create a temporary directory"))?;
            Self { root: temporary.path().to_owned(), _temporary: Some(temporary) }
        };
        fs::create_dir_all(directory.home()).map_err(Error::io("create a home directory"))?;
        Ok(directory)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The home of every process started, so that nobody's own configuration and
    /// caches take part.
    pub(super) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write_private(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        write_private(&path, content)?;
        Ok(path)
    }
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(Error::io(format!("write {}", path.display())))
}
