use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::Value;

use crate::load::{Population, TooFewMappings};

/// The file of mappings that arngate reads while a scenario is played.
pub(super) struct MappingsFile {
    folder: tempfile::TempDir,
    population: Population,
    /// Each content has another one, so that to write the same mappings again is a change.
    version: AtomicU64,
}

/// There is no file of mappings.
#[derive(Debug, thiserror::Error)]
pub enum MappingsFileError {
    /// It cannot be written.
    #[error("the file of mappings cannot be written: {0}")]
    Io(#[from] io::Error),
    /// There is no room for everybody.
    #[error(transparent)]
    TooFew(#[from] TooFewMappings),
}

impl MappingsFile {
    /// One of `count` mappings, `population`'s among them.
    pub(super) async fn new(population: Population, count: usize) -> Result<Self, MappingsFileError> {
        let file = Self { folder: tempfile::tempdir()?, population, version: AtomicU64::new(0) };
        file.replace(file.content(count)?).await?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mappings.json")
    }

    /// What arngate's configuration says of it.
    pub(super) fn config(&self) -> String {
        // JSON's quoting is YAML's.
        format!("  dynamicfilepath: {}\n", Value::from(self.path().display().to_string()))
    }

    /// What it holds with `count` mappings. To make it takes a while.
    pub(super) fn content(&self, count: usize) -> Result<String, TooFewMappings> {
        self.population.dynamic_file(count, self.version.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts `content` into its place, whole.
    pub(super) async fn replace(&self, content: String) -> io::Result<()> {
        let beside = self.folder.path().join("new");
        tokio::fs::write(&beside, content).await?;
        tokio::fs::rename(beside, self.path()).await
    }
}
