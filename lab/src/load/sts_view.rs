use std::{sync::Arc, time::Duration};

use crate::sts::{Emulator, Seen};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where to read what the STS emulator has seen.
#[derive(Debug, Clone)]
pub enum StsView {
    /// One in this process.
    Here(Arc<Emulator>),
    /// Another process's, by its admin endpoint.
    Elsewhere {
        /// The endpoint's URL.
        url: String,
        /// What it is asked with.
        http: reqwest::Client,
    },
}

/// The emulator's admin endpoint does not answer as one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{url} does not answer as an STS emulator does (start one with `arngate-lab sts --admin ADDRESS`): {reason}"
)]
pub struct StsViewError {
    url: String,
    reason: String,
}

#[derive(serde::Deserialize)]
struct Calls {
    calls: u64,
}

impl StsView {
    /// That of an admin endpoint, `http://HOST:PORT`.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn at(url: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build()?;
        Ok(Self::Elsewhere { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// What has been seen so far.
    ///
    /// # Errors
    /// Where an admin endpoint does not answer.
    pub async fn seen(&self) -> Result<Seen, StsViewError> {
        match self {
            Self::Here(emulator) => Ok(emulator.seen()),
            Self::Elsewhere { url, http } => get(http, format!("{url}/seen")).await,
        }
    }

    /// How many calls there have been with an access key.
    ///
    /// # Errors
    /// Where an admin endpoint does not answer.
    pub async fn calls_of(&self, access_key_id: &str) -> Result<u64, StsViewError> {
        match self {
            Self::Here(emulator) => Ok(emulator.calls_of(access_key_id)),
            Self::Elsewhere { url, http } => {
                get::<Calls>(http, format!("{url}/seen/{access_key_id}")).await.map(|answer| answer.calls)
            }
        }
    }
}

async fn get<T: serde::de::DeserializeOwned>(http: &reqwest::Client, url: String) -> Result<T, StsViewError> {
    let failed = |reason: String| StsViewError { url: url.clone(), reason };
    let answer = http.get(&url).send().await.map_err(|error| failed(error.to_string()))?;
    if !answer.status().is_success() {
        return Err(failed(format!("HTTP {}", answer.status())));
    }
    let body = answer.bytes().await.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
}
