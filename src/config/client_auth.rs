use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use crate::webhook::certificate::Clients;

/// What the generated kubeconfig has kube-apiserver show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// A certificate that the server issues.
    Generate,
    /// The certificate in a file.
    File(PathBuf),
}

impl FromStr for ClientCertificate {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "generate" { Self::Generate } else { Self::File(text.into()) })
    }
}

/// What flags or file say of clients' certificates.
#[derive(Debug, Default)]
pub(super) struct ClientKeys {
    pub(super) authorities: Option<PathBuf>,
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) key: Option<PathBuf>,
}

/// What is said of clients' certificates does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthError {
    /// Two authorities for one purpose.
    #[error(
        "clientCertificate is `generate`, by which the server issues kube-apiserver's certificate itself: remove \
         clientCAFile and clientKey, or set clientCertificate and clientKey to files"
    )]
    GenerateAndFiles,
    /// Nobody would look at it.
    #[error(
        "clientCertificate or clientKey is set, but no clients' certificates are asked for: set clientCAFile to the CA \
         that issued it, or clientCertificate to `generate`"
    )]
    NoAuthorities,
    /// Half a pair.
    #[error("clientCertificate and clientKey are files that belong together: set both")]
    HalfAPair,
    /// kube-apiserver would be refused.
    #[error(
        "clientCAFile is set, and the kubeconfig for kube-apiserver is to be generated, but there is no certificate to \
         put into it: set clientCertificate and clientKey to files, or kubeconfigPregenerated where the kubeconfig is \
         made by hand"
    )]
    NothingToShow,
}

impl ClientKeys {
    /// What they come to. `pregenerated` says that the kubeconfig is made by hand.
    pub(super) fn clients(self, pregenerated: bool) -> Result<Clients, ClientAuthError> {
        let Self { authorities, certificate, key } = self;
        match (authorities, certificate, key) {
            (None, None, None) => Ok(Clients::Anybody),
            (None, Some(ClientCertificate::Generate), None) => Ok(Clients::Own),
            (_, Some(ClientCertificate::Generate), _) => Err(ClientAuthError::GenerateAndFiles),
            (None, _, _) => Err(ClientAuthError::NoAuthorities),
            (Some(authorities), Some(ClientCertificate::File(certificate)), Some(key)) => {
                Ok(Clients::Of { authorities, kube_apiserver: Some((certificate, key)) })
            }
            (Some(authorities), None, None) if pregenerated => {
                Ok(Clients::Of { authorities, kube_apiserver: None })
            }
            (Some(_), None, None) => Err(ClientAuthError::NothingToShow),
            (Some(_), _, _) => Err(ClientAuthError::HalfAPair),
        }
    }
}

/// As it is written in the file.
impl fmt::Display for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate => f.write_str("generate"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(
        ca: &str,
        certificate: &str,
        key: &str,
        pregenerated: bool,
    ) -> Result<Clients, ClientAuthError> {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let certificate = (!certificate.is_empty()).then(|| certificate.parse().unwrap());
        ClientKeys { authorities: path(ca), certificate, key: path(key) }.clients(pregenerated)
    }

    #[test]
    fn what_is_said_of_clients_certificates_holds_together_or_is_refused() {
        use ClientAuthError::{GenerateAndFiles, HalfAPair, NoAuthorities, NothingToShow};
        let of = |kube_apiserver: Option<(&str, &str)>| Clients::Of {
            authorities: "ca".into(),
            kube_apiserver: kube_apiserver.map(|(certificate, key)| (certificate.into(), key.into())),
        };
        for (ca, certificate, key, pregenerated, wanted) in [
            ("", "", "", false, Ok(Clients::Anybody)),
            ("", "generate", "", false, Ok(Clients::Own)),
            ("", "generate", "", true, Ok(Clients::Own)),
            ("ca", "c", "k", false, Ok(of(Some(("c", "k"))))),
            ("ca", "", "", true, Ok(of(None))),
            ("ca", "", "", false, Err(NothingToShow)),
            ("ca", "c", "", false, Err(HalfAPair)),
            ("ca", "", "k", true, Err(HalfAPair)),
            ("", "c", "k", false, Err(NoAuthorities)),
            ("", "", "k", false, Err(NoAuthorities)),
            ("ca", "generate", "", false, Err(GenerateAndFiles)),
            ("", "generate", "k", false, Err(GenerateAndFiles)),
        ] {
            assert_eq!(clients(ca, certificate, key, pregenerated), wanted, "{ca:?} {certificate:?} {key:?}");
        }
    }
}
