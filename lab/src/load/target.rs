use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::Uri;
use tokio::{net::lookup_host, time::timeout};

use super::{guard, tls};

const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// What is asked about the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The webhook itself, by TokenReviews of this version, as a kube-apiserver sends them.
    Webhook(ReviewVersion),
    /// A kube-apiserver, by `SelfSubjectReviews` that carry the token.
    ApiServer,
}

/// The version of TokenReviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReviewVersion {
    /// `authentication.k8s.io/v1`
    #[value(name = "v1")]
    V1,
    /// `authentication.k8s.io/v1beta1`
    #[value(name = "v1beta1")]
    V1beta1,
}

/// Where a server is, before it is looked at.
#[derive(Clone, Default)]
pub struct Location {
    /// Its URL.
    pub url: String,
    /// The CAs, or the very certificate, to trust, in PEM; the system's CAs where absent.
    pub authority: Option<Vec<u8>>,
    /// The name that the certificate is checked for, where it is not the URL's.
    pub server_name: Option<String>,
    /// A client certificate and its key, in PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// A server that may be loaded: only [`Target::resolve`] makes one.
#[derive(Clone)]
pub struct Target {
    /// Where requests go.
    pub(super) uri: Uri,
    /// What is asked there.
    pub(super) via: Via,
    /// The address that was checked, which connections are made to.
    pub(crate) address: SocketAddr,
    pub(super) server_name: rustls::pki_types::ServerName<'static>,
    pub(super) tls: std::sync::Arc<rustls::ClientConfig>,
}

/// Why a server is not, or cannot be, loaded.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none of HTTPS.
    #[error("{0:?} is no HTTPS URL: expected https://HOST:PORT/PATH")]
    Url(String),
    /// The host is one of AWS's.
    #[error("{0} is a host of AWS STS: this is not for loading AWS; the target is the webhook")]
    Sts(String),
    /// The host has no address.
    #[error("{host} has no address: {reason}")]
    NoAddress {
        /// The host.
        host: String,
        /// What came of the look-up.
        reason: String,
    },
    /// The host is not this machine.
    #[error("{host} ({address}) is not this machine: add --allow-remote if loading it is meant")]
    Remote {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// Its certificates are none.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl Target {
    /// Looks a server up, and refuses it where it is AWS STS or, unless `allow_remote`, not this machine.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub async fn resolve(location: &Location, via: Via, allow_remote: bool) -> Result<Self, TargetError> {
        let not_a_url = || TargetError::Url(location.url.clone());
        let uri: Uri = location.url.parse().map_err(|_| not_a_url())?;
        if uri.scheme_str() != Some("https") {
            return Err(not_a_url());
        }
        let host = uri.host().ok_or_else(not_a_url)?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(443);
        for name in [Some(host.as_str()), location.server_name.as_deref()].into_iter().flatten() {
            if guard::is_sts(name) {
                return Err(TargetError::Sts(name.to_owned()));
            }
        }
        let no_address = |reason: String| TargetError::NoAddress { host: host.clone(), reason };
        let found = timeout(LOOK_UP_WITHIN, lookup_host((host.as_str(), port))).await;
        let found = found.map_err(|_| no_address("the look-up takes too long".to_owned()))?;
        let addresses: Vec<SocketAddr> = found.map_err(|error| no_address(error.to_string()))?.collect();
        // An IPv4 address first: what listens on this machine's `localhost` often listens there alone.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied();
        let address = address.ok_or_else(|| no_address("the look-up found none".to_owned()))?;
        if !address.ip().is_loopback() && !allow_remote {
            return Err(TargetError::Remote { host, address: address.ip() });
        }
        let name = location.server_name.clone().unwrap_or(host);
        let server_name = name.try_into().map_err(|_| not_a_url())?;
        let tls = tls::client(location.authority.as_deref(), location.client.as_ref())?;
        Ok(Self { uri: path(&uri, via).ok_or_else(not_a_url)?, via, address, server_name, tls })
    }

    /// As reports name it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.via {
            Via::Webhook(_) => format!("webhook {}", self.uri),
            Via::ApiServer => format!("kube-apiserver {}", self.uri),
        }
    }
}

/// Where exactly requests go: as kube-apiserver asks its webhook, or its own API for `SelfSubjectReviews`.
fn path(uri: &Uri, via: Via) -> Option<Uri> {
    let path = match via {
        Via::Webhook(_) if uri.query().is_some() => return Some(uri.clone()),
        Via::Webhook(_) => format!("{}?timeout=30s", uri.path()),
        Via::ApiServer => {
            format!("{}/apis/authentication.k8s.io/v1/selfsubjectreviews", uri.path().trim_end_matches('/'))
        }
    };
    Uri::builder().scheme("https").authority(uri.authority()?.clone()).path_and_query(path).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(url: &str, allow_remote: bool) -> Result<Target, String> {
        let location = Location { url: url.to_owned(), ..Location::default() };
        let via = Via::Webhook(ReviewVersion::V1);
        Target::resolve(&location, via, allow_remote).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn this_machine_is_taken_and_asked_as_kube_apiserver_asks() {
        let target =
            resolve("https://127.0.0.1:21362/authenticate", false).await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(target.uri.to_string(), "https://127.0.0.1:21362/authenticate?timeout=30s");
        assert!(target.address.ip().is_loopback());
        let location = Location { url: "https://127.0.0.1:6443".to_owned(), ..Location::default() };
        let target =
            Target::resolve(&location, Via::ApiServer, false).await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(target.uri.path(), "/apis/authentication.k8s.io/v1/selfsubjectreviews");
    }

    #[tokio::test]
    async fn others_are_not_unless_that_is_meant() {
        // An address of documentation (RFC 5737): nothing is sent to it.
        let refused = resolve("https://192.0.2.1/authenticate", false).await.err().unwrap();
        assert!(refused.contains("--allow-remote"), "{refused}");
        assert!(resolve("https://192.0.2.1/authenticate", true).await.is_ok());
    }

    #[tokio::test]
    async fn sts_never_is() {
        for url in ["https://sts.amazonaws.com/", "https://STS.eu-central-1.amazonaws.com:443/?x"] {
            let refused = resolve(url, true).await.err().unwrap();
            assert!(refused.contains("AWS STS"), "{refused}");
        }
        let location = Location {
            url: "https://127.0.0.1:1/".to_owned(),
            server_name: Some("sts.us-east-1.amazonaws.com".to_owned()),
            ..Location::default()
        };
        assert!(Target::resolve(&location, Via::ApiServer, true).await.is_err());
    }

    #[tokio::test]
    async fn plain_http_is_no_target() {
        for url in ["http://127.0.0.1/", "127.0.0.1", "", "https://"] {
            assert!(resolve(url, true).await.is_err(), "{url}");
        }
    }
}
