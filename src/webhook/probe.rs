//! Asks a server on this machine how it is, as a health check does.
//!
//! It is believed to be that server where it shows the very certificate that lies in its state directory, or one that was
//! issued by that for the name by which kube-apiserver asks. The first is what aws-iam-authenticator's certificate wants,
//! which is its own CA.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// How much of an answer is read. `/readyz` has a line a backend.
const MAX_ANSWER: usize = 16 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `/healthz`: does it serve?
    Healthy,
    /// `/readyz`: has every backend loaded its mappings?
    Ready,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Healthy => "/healthz",
            Self::Ready => "/readyz",
        }
    }
}

/// Why a server is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The certificate by which the server would be known.
    #[error(
        "cannot read {path}: {source}; name the server's state directory by --state-dir or the file of -c"
    )]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate that is none.
    #[error("{path} holds no certificate that can be used: {source}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A name that no certificate can have.
    #[error("{0:?} is no name of a server: it is the hostname in the file of -c")]
    Name(String),
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// What is checked about certificates cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The HTTP client cannot be set up at all.
    #[error("the HTTP client cannot be set up")]
    Client,
    /// No connection.
    #[error(
        "cannot connect to {url}: nothing listens there, or it does not show the certificate in {certificate}; \
         --address, --port and the file of -c say where the server is"
    )]
    Connect {
        /// Where.
        url: String,
        /// The certificate that was expected.
        certificate: PathBuf,
    },
    /// No answer in time.
    #[error("{url} does not answer within {} s", within.as_secs_f64())]
    Timeout {
        /// Where.
        url: String,
        /// How long it had.
        within: Duration,
    },
    /// The connection broke, or what came was no answer.
    #[error("{url} gives no answer that can be read")]
    Transport {
        /// Where.
        url: String,
    },
    /// It says that it is not well.
    #[error("{url} answers {status}: {text}")]
    Unwell {
        /// Where.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it says, without the line break at the end.
        text: String,
    },
}

/// Asks the server at the first of `addresses` that takes a connection, and gives what it answers.
///
/// `certificate` is the server's `cert.pem`, and `name` the one by which kube-apiserver asks; `within` bounds all of it.
///
/// # Errors
/// See [`ProbeError`].
pub async fn probe(
    addresses: &[SocketAddr],
    name: &str,
    certificate: &Path,
    question: Question,
    within: Duration,
) -> Result<String, ProbeError> {
    // It stands for the addresses alone: what the certificate must be for is `name`.
    let port = addresses.first().map_or(0, SocketAddr::port);
    let url = format!("https://localhost:{port}{}", question.path());
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(name, certificate)?)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs("localhost", addresses)
        .timeout(within)
        .build()
        .map_err(|_| ProbeError::Client)?;
    let failed = |error: reqwest::Error| {
        let url = url.clone();
        if error.is_timeout() {
            ProbeError::Timeout { url, within }
        } else if error.is_connect() {
            ProbeError::Connect { url, certificate: certificate.to_owned() }
        } else {
            ProbeError::Transport { url }
        }
    };
    let mut response = client.get(&url).send().await.map_err(failed)?;
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER {
            return Err(ProbeError::Transport { url });
        }
    }
    let (status, text) = (response.status(), String::from_utf8_lossy(&answer).trim_end().to_owned());
    if status == StatusCode::OK { Ok(text) } else { Err(ProbeError::Unwell { url, status, text }) }
}

fn client_config(name: &str, path: &Path) -> Result<ClientConfig, ProbeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(path)
        .map_err(|source| ProbeError::Certificate { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate.clone())
        .map_err(|source| ProbeError::Unusable { path: path.to_owned(), source })?;
    let issued =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let name = ServerName::try_from(name.to_owned()).map_err(|_| ProbeError::Name(name.to_owned()))?;
    let verifier = Arc::new(OfThisServer { certificate, name, issued });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts one certificate, and those that it has issued for a name; and whoever has their keys.
#[derive(Debug)]
struct OfThisServer {
    certificate: CertificateDer<'static>,
    name: ServerName<'static>,
    issued: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OfThisServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        self.issued.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// Serves "ok" with this certificate; where it listens.
    async fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> SocketAddr {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (tls, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = tls.accept(stream).await {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n").await;
                }
            }
        });
        address
    }

    async fn ask(address: SocketAddr, name: &str, trusted: &Authority) -> Result<String, ProbeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        std::fs::write(&path, trusted.pem()).unwrap();
        probe(&[address], name, &path, Question::Healthy, Duration::from_secs(10)).await
    }

    #[tokio::test]
    async fn what_the_certificate_has_issued_for_the_name_is_the_servers() {
        let (own, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        let issued = params.signed_by(&key, &own).unwrap();
        let address = serve(issued.der().clone(), &key).await;
        assert_eq!(ask(address, "localhost", &own).await.unwrap(), "ok");
        assert_eq!(ask(address, "10.0.0.1", &own).await.unwrap(), "ok");
        assert!(matches!(ask(address, "elsewhere", &own).await, Err(ProbeError::Connect { .. })));
        assert!(matches!(ask(address, "localhost", &other).await, Err(ProbeError::Connect { .. })));
        assert!(matches!(ask(address, "a b", &own).await, Err(ProbeError::Name(_))));
    }

    #[tokio::test]
    async fn a_certificate_that_is_its_own_ca_is_the_servers() {
        let own = authority();
        let address = serve(own.der().clone(), own.key()).await;
        assert_eq!(ask(address, "whatever", &own).await.unwrap(), "ok");
    }
}
