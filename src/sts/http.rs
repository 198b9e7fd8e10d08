//! HTTP to AWS's endpoints: whom to trust, which way to go, how long to wait, how much to read. STS is asked this
//! way, and so is EC2.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{ClientError, ClientOptions, ConnectTo, trust};

/// What is left of an HTTP client's error, whose text holds the URL: its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpFailure {
    /// No connection: refused, no address, no TLS, no proxy.
    Connect,
    /// The deadline passed.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Transport,
    /// A longer body than is read.
    Oversized,
    /// A body that is not UTF-8.
    Encoding,
}

impl HttpFailure {
    /// The kind of `error`.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Transport
        }
    }
}

/// A pooled HTTP/1.1 client as `options` have it. Proxy variables (`HTTPS_PROXY`, `NO_PROXY`) count unless
/// `connect_to` is set.
///
/// # Errors
/// Where there is nobody to trust.
pub(crate) fn builder(options: &ClientOptions) -> Result<reqwest::ClientBuilder, ClientError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(trust::client_config(options.ca_bundle.as_deref())?)
        .http1_only()
        // Whoever redirects is not AWS.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .timeout(options.total_timeout)
        // Every parallel call keeps its connection: Go's two idle ones a host are what makes the
        // authenticator of today open a new one for nine calls out of ten.
        .pool_max_idle_per_host(512)
        .pool_idle_timeout(Duration::from_secs(55))
        .tcp_nodelay(true)
        .user_agent(concat!("arngate/", env!("CARGO_PKG_VERSION")));
    Ok(match &options.connect_to {
        Some(connect_to) => builder.no_proxy().dns_resolver(Arc::new(FixedAddress(connect_to.clone()))),
        None => builder,
    })
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// Where it is longer, breaks off or is not UTF-8.
pub(crate) async fn read(mut response: reqwest::Response, limit: usize) -> Result<String, HttpFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| HttpFailure::of(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(HttpFailure::Oversized);
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| HttpFailure::Encoding)
}

/// Resolves every name to one address, for `--sts-connect-to` and `--ec2-connect-to`.
struct FixedAddress(ConnectTo);

impl Resolve for FixedAddress {
    fn resolve(&self, _name: Name) -> Resolving {
        let ConnectTo { host, port } = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
