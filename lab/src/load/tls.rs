use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::VerifierBuilderError,
};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate is in it.
    #[error("the CA holds no certificate in PEM")]
    Authority,
    /// The client's certificate or key is none.
    #[error("the client certificate or its key is no PEM, or they do not belong together: {0}")]
    Client(String),
    /// rustls does not take them.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// rustls does not take the authorities.
    #[error("the CAs cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// What connections are made with: HTTP/2 alone, as kube-apiserver speaks it.
pub(super) fn client(
    authority: Option<&[u8]>,
    client: Option<&(Vec<u8>, Vec<u8>)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trusted: Vec<CertificateDer<'static>> = match authority {
        Some(pem) => {
            let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            read.ok().filter(|read| !read.is_empty()).ok_or(TlsError::Authority)?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let chained =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    // The system's are CAs, none of which is a server itself.
    let pinned = if authority.is_some() { trusted } else { Vec::new() };
    let verifier = PinnedOrChained { pinned, chained, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let failed = |error: &dyn std::fmt::Display| TlsError::Client(error.to_string());
            let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| failed(&error))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| failed(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Takes a certificate that is itself among those to trust, and else one that leads to them.
///
/// aws-iam-authenticator serves with a certificate that says it is a CA. Go's clients, kube-apiserver's too, take
/// it where it is the very one that the kubeconfig holds; webpki takes no CA for a server.
#[derive(Debug)]
struct PinnedOrChained {
    pinned: Vec<CertificateDer<'static>>,
    chained: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedOrChained {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chained =
            self.chained.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match chained {
            // What is wrong with the very certificate, its name or time, stays wrong.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if self.pinned.iter().any(|pinned| pinned == end_entity) => {
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer, server::WebPkiClientVerifier};
    use tokio::io::duplex;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A self-signed certificate for `localhost` that says that it is a CA, as aws-iam-authenticator's, or that it is
    /// none; in PEM, with its key.
    fn certificate(is_ca: bool) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        let key = KeyPair::generate().unwrap();
        let pem = key.serialize_pem();
        (CertifiedIssuer::self_signed(params, key).unwrap().pem(), pem)
    }

    fn server((certificate, key): &(String, String), clients: Option<&str>) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap().into();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Whether both sides take each other.
    async fn connects(server: &TlsAcceptor, config: Arc<ClientConfig>, name: &'static str) -> bool {
        let (one, other) = duplex(16 * 1024);
        let connector = TlsConnector::from(config);
        let (client, server) =
            tokio::join!(connector.connect(ServerName::try_from(name).unwrap(), one), server.accept(other));
        client.is_ok() && server.is_ok()
    }

    #[tokio::test]
    async fn the_very_certificate_is_taken_even_where_it_is_a_cas() {
        for is_ca in [false, true] {
            let (mine, another) = (certificate(is_ca), certificate(is_ca));
            let server = server(&mine, None);
            let trusting = |pem: &str| client(Some(pem.as_bytes()), None).unwrap();
            assert!(connects(&server, trusting(&mine.0), "localhost").await, "{is_ca}");
            assert!(!connects(&server, trusting(&another.0), "localhost").await, "{is_ca}");
            // One of several will do.
            assert!(
                connects(&server, trusting(&(another.0.clone() + &mine.0)), "localhost").await,
                "{is_ca}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_the_certificate_does_not_have_is_refused() {
        let mine = certificate(false);
        let config = client(Some(mine.0.as_bytes()), None).unwrap();
        assert!(!connects(&server(&mine, None), config, "elsewhere").await);
    }

    #[tokio::test]
    async fn a_client_certificate_is_shown() {
        let (mine, theirs) = (certificate(false), certificate(false));
        let server = server(&mine, Some(&theirs.0));
        let shown = (theirs.0.clone().into_bytes(), theirs.1.clone().into_bytes());
        let config = client(Some(mine.0.as_bytes()), Some(&shown)).unwrap();
        assert!(connects(&server, config, "localhost").await);
        let silent = client(Some(mine.0.as_bytes()), None).unwrap();
        assert!(!connects(&server, silent, "localhost").await);
    }

    #[test]
    fn what_is_no_pem_is_refused() {
        assert!(matches!(client(Some(b"x"), None), Err(TlsError::Authority)));
        let (mine, other) = (certificate(false), certificate(false));
        let mixed = (mine.0.into_bytes(), other.1.into_bytes());
        assert!(matches!(client(None, Some(&mixed)), Err(TlsError::Client(_))));
    }
}
