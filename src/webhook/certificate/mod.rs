//! What the server shows its clients, and what it wants to be shown.
//!
//! kube-apiserver reads the webhook kubeconfig only when it starts. What that trusts must stay, then, while what is
//! served is renewed:
//!
//! ```text
//! state directory                        in memory
//! cert.pem, key.pem ── may sign ──▶ Issuer ── every 60 days ──▶ Serving ──▶ Tls ──▶ listener
//!      │            ── may not ──────────── as found ─────────────┘          ▲
//!      ▼                                                   client CA ────────┘
//! kubeconfig: certificate-authority-data
//! ```
//!
//! The certificate that arngate makes, and the one that aws-iam-authenticator makes, is a CA that signed itself. It
//! stands in the kubeconfig, and does not change; what is served is issued by it, for 90 days at a time. A
//! pair that may not sign, such as one of a CA elsewhere, is served as it is found. Either is loaded anew when the files
//! change. All of that is [`Keeper`]'s.

pub mod clients;
pub(crate) mod facts;
mod issuer;
mod keeper;
mod pair;
mod serving;
#[cfg(test)]
mod tests;
mod tls;

use std::{io, net::IpAddr, path::PathBuf};

pub use clients::{ClientPem, Clients};
pub use keeper::{Keeper, KeeperError, Kubeconfig, Options};
pub use pair::Pair;
pub use tls::Tls;

/// The name by which an API server knows the admission webhook where it reaches it by a Service: NAME.NAMESPACE.svc.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference>
pub const ADMISSION_NAME: &str = "arngate.kube-system.svc";

/// Whom clients ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The host in the kubeconfig's URL: a name or an address.
    pub hostname: String,
    /// Where the server listens; an unspecified address is nobody's.
    pub address: IpAddr,
}

impl Names {
    /// Each of them once.
    fn all(&self) -> Vec<String> {
        let mut all = vec![self.hostname.clone(), ADMISSION_NAME.to_owned()];
        let address = self.address.to_string();
        if !self.address.is_unspecified() && address != self.hostname {
            all.push(address);
        }
        all
    }
}

/// Why there is no certificate to serve with, or none to ask for.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of the kind wanted.
    #[error("{path} holds no {want} in PEM: {source}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for in it.
        want: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// What a file holds is no certificate that can be read.
    #[error("{path}: the first certificate cannot be read: it is no X.509 certificate")]
    NoX509 {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate for {name:?}: {source}")]
    Make {
        /// For whom.
        name: String,
        /// Why.
        source: rcgen::Error,
    },
    /// TLS refuses the pair.
    #[error("{certificate} and {key} cannot be used together: {source}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Clients' certificates cannot be checked by this.
    #[error("clients' certificates cannot be checked by {path}: {message}")]
    ClientAuthority {
        /// The CAs' file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// arngate was asked to issue what it cannot.
    #[error(
        "clientCertificate is `generate`, but the certificate {path} may not sign: set clientCAFile, clientCertificate \
         and clientKey to files of a CA, or remove cert.pem and key.pem to have new ones made, and restart \
         kube-apiserver then"
    )]
    MayNotSign {
        /// The certificate's file.
        path: PathBuf,
    },
}

impl CertificateError {
    fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
