use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no control plane, or no answer from it.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program isn't there.
    #[error("there is no {}: build the control plane's programs with `make assets`, which takes some minutes the first time", .0.display())]
    AssetMissing(PathBuf),

    /// A certificate could not be issued.
    #[error("could not issue a certificate")]
    Certificate(#[from] rcgen::Error),

    /// A file, a port or a process could not be had.
    #[error("could not {what}")]
    Io {
        /// What was tried, to be read after "could not".
        what: String,
        /// Why it failed.
        source: io::Error,
    },

    /// The client that asks for readiness could not be made.
    #[error("could not make an HTTP client")]
    Client(#[from] reqwest::Error),

    /// A process ended before it was ready.
    #[error("{name} ended ({status}) before it was ready; the end of its log:\n{log}")]
    Ended {
        /// The program.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log's last lines.
        log: String,
    },

    /// A process was not ready in time.
    #[error("{name} was not ready within {} s: {last}; the end of its log:\n{log}", .waited.as_secs())]
    NotReady {
        /// The program.
        name: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// What came of the last question.
        last: String,
        /// Its log's last lines.
        log: String,
    },

    /// kubectl did not end in time.
    #[error("kubectl {args} did not end within {} s", .waited.as_secs())]
    KubectlTimeout {
        /// Its arguments.
        args: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl Error {
    /// Wraps an I/O error; `what` is read after "could not".
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// As people read it: a test's `expect` shows errors this way, and a log on one line
/// with its newlines escaped tells them nothing.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}
