use std::{
    fs::DirBuilder,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempDir};

use super::Error;

/// A directory for an emulator's files: one that stays, or one that goes with the emulator.
#[derive(Debug)]
pub(super) enum Directory {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Directory {
    pub(super) fn open(given: Option<PathBuf>) -> Result<Self, Error> {
        let Some(path) = given else {
            let prefix = "arngate-lab-sts-";
            let made = TempDir::with_prefix(prefix).map_err(Error::file("make", std::env::temp_dir()))?;
            return Ok(Self::Temporary(made));
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        // Programs that are told of its files may run in another directory.
        let path = made.and_then(|()| path.canonicalize()).map_err(Error::file("make", path))?;
        Ok(Self::Given(path))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(made) => made.path(),
        }
    }
}

/// Writes a file for its owner alone; a reader sees the old one or the new one, whole.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Made with mode 0600.
    let written = NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.persist(path).map_err(io::Error::from)
    });
    written.map(drop).map_err(Error::file("write", path))
}
