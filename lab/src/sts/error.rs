use std::{io, net::SocketAddr, path::PathBuf};

/// Why an emulator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },

    /// The admin endpoint knows no authentication.
    #[error("the admin endpoint lets everybody change what goes wrong: {0} is not a loopback address")]
    AdminNotLoopback(SocketAddr),

    /// A file or directory could not be made or read.
    #[error("could not {what} {}", .path.display())]
    File {
        /// What was tried, to be read after "could not".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// The CA or a certificate could not be made.
    #[error("could not make a certificate")]
    Certificate(#[from] rcgen::Error),

    /// TLS could not be set up.
    #[error("could not set up TLS")]
    Tls(#[from] rustls::Error),

    /// A table of principals is not one.
    #[error(transparent)]
    Principals(#[from] super::PrincipalsError),
}

impl Error {
    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
