use std::{fs, time::Duration};

use serde::Deserialize;

use super::Server;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An arngate's `/readyz`.
#[derive(Debug, Clone)]
pub struct Readyz {
    http: reqwest::Client,
    url: String,
}

/// There is no asking for it.
#[derive(Debug, thiserror::Error)]
#[error("arngate's /readyz cannot be asked: {0}")]
pub struct ReadyzError(String);

/// What it says.
#[derive(Debug, Clone, Deserialize)]
pub struct Readiness {
    /// Every backend has loaded.
    pub ready: bool,
    backends: Vec<Backend>,
}

#[derive(Debug, Clone, Deserialize)]
struct Backend {
    mappings: usize,
}

impl Readiness {
    /// How many mappings are in force.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.backends.iter().map(|backend| backend.mappings).sum()
    }
}

impl Readyz {
    /// That of this server, by the certificate that it has made.
    ///
    /// # Errors
    /// Where it has made none.
    pub fn of(server: &Server) -> Result<Self, ReadyzError> {
        let failed = |error: &dyn std::fmt::Display| ReadyzError(error.to_string());
        let pem = fs::read(server.state().join("cert.pem")).map_err(|error| failed(&error))?;
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(|error| failed(&error))?;
        let http = reqwest::Client::builder()
            .tls_certs_only([certificate])
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { http, url: server.url().replace("/authenticate", "/readyz?format=json") })
    }

    /// What it says now; `None` where nobody answers.
    pub async fn ask(&self) -> Option<Readiness> {
        let answer = self.http.get(&self.url).send().await.ok()?.bytes().await.ok()?;
        serde_json::from_slice(&answer).ok()
    }
}
