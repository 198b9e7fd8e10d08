use std::time::{Duration, Instant};

use super::Error;
use super::process::Process;

const INTERVAL: Duration = Duration::from_millis(100);

/// Asks a process's health address until it answers 200.
///
/// An end of the process and a passed deadline are errors that carry the end of its
/// log.
pub(super) async fn wait(
    process: &mut Process,
    client: &reqwest::Client,
    url: &str,
    limit: Duration,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let last = match client.get(url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => format!("{url} answers {}", answer.status()),
            Err(error) => format!("{url} does not answer ({error})"),
        };
        if let Some(status) = process.status() {
            return Err(Error::Ended { name: process.name(), status, log: process.log_end() });
        }
        if started.elapsed() >= limit {
            return Err(Error::NotReady {
                name: process.name(),
                waited: limit,
                last,
                log: process.log_end(),
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// A client for [`wait`], which goes nowhere but to the address given.
pub(super) fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2))
}
