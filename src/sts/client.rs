//! The one thing that talks to STS.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use ::http::HeaderValue;

use super::{
    ConnectTo, Endpoint,
    error::{NoVerdict, StsError, classify},
    http::{self, HttpFailure},
    trust::TrustError,
    xml::{self, CallerIdentity},
};
use crate::{
    telemetry::Metrics,
    token::{ClusterId, PresignedRequest},
};

/// The longest answer that is read, in bytes. STS's longest are near two thousand.
pub const MAX_BODY: usize = 64 * 1024;

/// The header that binds a token to one cluster. Its value is always this server's own.
const CLUSTER_ID_HEADER: &str = "x-k8s-aws-id";

/// How STS is reached.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Connect here instead of to the endpoint's own address; Host, SNI and certificate check stay.
    pub connect_to: Option<ConnectTo>,
    /// PEM file of CAs trusted beside the system's.
    pub ca_bundle: Option<PathBuf>,
    /// For the TCP connection and the TLS handshake.
    pub connect_timeout: Duration,
    /// For the whole call. kube-apiserver gives up after 30 s, and wants to be answered within 10.
    pub total_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_to: None,
            ca_bundle: None,
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(8),
        }
    }
}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No roots, or a bad bundle.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client refused its settings, a proxy variable among them.
    #[error("the HTTP client cannot be set up (is HTTPS_PROXY a URL?): {0}")]
    Http(#[source] reqwest::Error),
}

/// A pooled HTTP/1.1 client that sends presigned requests to STS, and what keeps its connections open.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    cluster_id: HeaderValue,
    metrics: Metrics,
}

/// What requests leave by.
#[derive(Debug, Clone)]
enum Transport {
    Https(reqwest::Client),
    /// What a test says in the place of STS; all behind it is the real client.
    #[cfg(test)]
    Scripted(std::sync::Arc<dyn Script>),
}

/// STS as a test has it: the status and the body that come back, or how the connection fails.
#[cfg(test)]
pub(crate) trait Script: std::fmt::Debug + Send + Sync {
    /// What comes of sending `request`.
    fn answer(
        &self,
        request: &PresignedRequest,
    ) -> futures::future::BoxFuture<'static, Result<(u16, String), HttpFailure>>;
}

impl Client {
    /// Builds the client. Proxy variables (`HTTPS_PROXY`, `NO_PROXY`) count unless `connect_to` is set.
    ///
    /// # Errors
    /// Where roots, bundle or proxy settings cannot be used.
    pub fn new(
        options: &ClientOptions,
        cluster_id: &ClusterId,
        metrics: Metrics,
    ) -> Result<Self, ClientError> {
        let http = http::builder(options)?.https_only(true).build().map_err(ClientError::Http)?;
        Ok(Self { transport: Transport::Https(http), cluster_id: cluster_id.header_value(), metrics })
    }

    /// A client whose answers are `script`'s.
    #[cfg(test)]
    pub(crate) fn scripted(
        script: std::sync::Arc<dyn Script>,
        cluster_id: &ClusterId,
        metrics: Metrics,
    ) -> Self {
        Self { transport: Transport::Scripted(script), cluster_id: cluster_id.header_value(), metrics }
    }

    /// Has STS verify `request`.
    ///
    /// # Errors
    /// STS's verdict against the token, or why there is none.
    pub async fn get_caller_identity(&self, request: &PresignedRequest) -> Result<CallerIdentity, StsError> {
        let region = request.endpoint().region_label();
        let started = Instant::now();
        let result = self.call(request).await;
        self.metrics.sts_call(region, started.elapsed(), &result);
        result
    }

    /// Asks `endpoint` for nothing, so that a connection to it stays open. What it says, or whether it says anything,
    /// is of no interest.
    pub async fn keep_warm(&self, endpoint: &Endpoint) {
        match &self.transport {
            Transport::Https(http) => {
                let Ok(response) = http.get(format!("https://{}/", endpoint.host())).send().await else {
                    return tracing::debug!(sts_host = endpoint.host(), "no connection is kept open");
                };
                // A connection whose answer was not read to its end is closed.
                let _ = http::read(response, MAX_BODY).await;
            }
            #[cfg(test)]
            Transport::Scripted(_) => {}
        }
    }

    async fn call(&self, request: &PresignedRequest) -> Result<CallerIdentity, StsError> {
        // The URL must leave as it was signed and as it was checked: where the HTTP client's own idea of it
        // differs by a byte, nothing is sent.
        let signed = request.url();
        let url = reqwest::Url::parse(&signed).map_err(|_| NoVerdict::Transport)?;
        if url.as_str() != signed {
            return Err(NoVerdict::Transport.into());
        }
        let (status, body) = self.send(request, url).await?;
        let body = body.map_err(NoVerdict::from);
        if status == 200 {
            return Ok(xml::caller_identity(&body?).map_err(NoVerdict::Unreadable)?);
        }
        match body {
            Ok(body) => {
                let error = xml::error(&body);
                let code_and_message =
                    error.as_ref().map(|error| (error.code.as_str(), error.message.as_str()));
                Err(classify(status, code_and_message.map_err(|error| *error)))
            }
            // The status alone tells more than a broken body, where it says that STS is at fault.
            Err(_) if status == 429 || status >= 500 || !(400..500).contains(&status) => {
                Err(classify(status, Err(xml::XmlError::Missing)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The status that comes back, and the body, or why it cannot be read.
    async fn send(
        &self,
        request: &PresignedRequest,
        url: reqwest::Url,
    ) -> Result<(u16, Result<String, HttpFailure>), HttpFailure> {
        match &self.transport {
            Transport::Https(http) => {
                let call = http.get(url).header(CLUSTER_ID_HEADER, self.cluster_id.clone());
                let response = call.send().await.map_err(|error| HttpFailure::of(&error))?;
                let status = response.status().as_u16();
                self.metrics.sts_response(request.endpoint().region_label(), status);
                Ok((status, http::read(response, MAX_BODY).await))
            }
            #[cfg(test)]
            Transport::Scripted(script) => {
                script.answer(request).await.map(|(status, body)| (status, Ok(body)))
            }
        }
    }
}
