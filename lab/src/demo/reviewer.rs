//! Posts TokenReviews as kube-apiserver does: over HTTP/2, by the certificate in the webhook kubeconfig.

use std::path::Path;

use anyhow::Context;
use reqwest::Certificate;
use serde_json::{Value, json};

/// A client of one arngate.
pub(super) struct Reviewer {
    http: reqwest::Client,
    url: String,
}

impl Reviewer {
    pub(super) fn new(url: &str, certificate: &Path) -> anyhow::Result<Self> {
        let pem = std::fs::read(certificate).context("cannot read arngate's certificate")?;
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&pem)?])
            .no_proxy()
            .timeout(std::time::Duration::from_secs(15))
            .build()?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// The HTTP status and the body of the answer.
    pub(super) async fn review(&self, token: &str) -> anyhow::Result<(u16, Value)> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        let answer = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .body(review.to_string())
            .send()
            .await
            .context("arngate does not answer")?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?)?))
    }

    /// Waits until arngate is ready: its sources have loaded.
    pub(super) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let url = self.url.replace("/authenticate", "/readyz");
        for _ in 0..200 {
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::bail!("arngate is not ready after 10 s; see {url}")
    }
}
