//! Who answers on the authentication port, as kube-apiserver reaches it.

use std::sync::Arc;

use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::{Check, certificate, kubeconfig::Webhook, sts::why};
use crate::{config::ServerSettings, sts::http, webhook::certificate::facts::Facts};

const NAME: &str = "port";
/// The longest answer that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long one request may take.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Asks who is there.
pub(super) async fn examine(webhook: Option<Webhook>, settings: &ServerSettings) -> Vec<Check> {
    let Some(Webhook { url, verifier, own }) = webhook else {
        return vec![Check::skip(NAME, "no kubeconfig says where it is")];
    };
    let client =
        Arc::clone(&verifier).client_config(own).map_err(|error| error.to_string()).and_then(|config| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(config)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(WITHIN)
                .build()
                .map_err(|error| error.to_string())
        });
    let client = match client {
        Ok(client) => client,
        Err(error) => return vec![Check::fail(NAME, format!("cannot be asked: {error}"), "")],
    };
    let mut checks = vec![health(&client, &url).await];
    // What is shown counts more than what is on disk: it may have been made anew, or issued by that.
    if let Some(facts) = verifier.shown().and_then(|shown| Facts::of(&shown)) {
        checks.push(certificate::names(&facts, &settings.hostname, "what the server shows"));
    }
    checks
}

async fn health(client: &reqwest::Client, url: &Url) -> Check {
    const STRANGER: &str = "stop what has the port, aws-iam-authenticator perhaps, and start arngate";
    let place = url.origin().ascii_serialization();
    let healthz = match ask(client, url, "/healthz").await {
        Ok(answer) => answer,
        Err(error) => {
            let (cause, advice) = why(&error, WITHIN);
            let advice = if error.is_connect() && !error.is_timeout() && cause.contains("refused") {
                "start arngate, and see its log if it has ended"
            } else if cause.contains("certificate") {
                "restart arngate, which writes the webhook kubeconfig anew, and then kube-apiserver"
            } else {
                advice
            };
            return Check::fail(NAME, format!("{place}: {cause}"), advice);
        }
    };
    let ready = ask(client, url, "/readyz?format=json").await.ok();
    let readyz = ready.as_ref().and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let backends = readyz.as_ref().and_then(|readyz| readyz.get("backends")).and_then(Value::as_array);
    match (healthz, backends) {
        ((StatusCode::OK, _), Some(backends)) => {
            if readyz.as_ref().is_some_and(|readyz| readyz.get("ready") == Some(&Value::Bool(true))) {
                return Check::ok(NAME, format!("{place}: arngate answers, and is ready"));
            }
            let waiting = backends.iter().filter(|backend| backend.get("standing") != Some(&"loaded".into()));
            let waiting: Vec<_> =
                waiting.filter_map(|backend| backend.get("name").and_then(Value::as_str)).collect();
            let found = format!("{place}: arngate answers, and has not loaded {}", waiting.join(", "));
            Check::fail(NAME, found, "its log says why; see the checks of the API server and the mappings")
        }
        // It may serve its health elsewhere, and say so in its own form.
        ((StatusCode::NOT_FOUND, body), None) if is_arngates(&body) => {
            Check::ok(NAME, format!("{place}: arngate answers; its health is served elsewhere"))
        }
        ((status, _), _) => {
            Check::fail(NAME, format!("{place} answers {status}, and not as arngate"), STRANGER)
        }
    }
}

/// Whether an answer to a path that is not served is arngate's: Kubernetes' own form of a failure.
fn is_arngates(body: &str) -> bool {
    let status: Option<Value> = serde_json::from_str(body).ok();
    status.is_some_and(|status| {
        status.get("kind") == Some(&"Status".into()) && body.contains(crate::webhook::admission::PATH)
    })
}

async fn ask(
    client: &reqwest::Client,
    url: &Url,
    path_and_query: &str,
) -> Result<(StatusCode, String), reqwest::Error> {
    let place = url.origin().ascii_serialization();
    let response = client.get(format!("{place}{path_and_query}")).send().await?;
    let status = response.status();
    Ok((status, http::read(response, MAX_BODY).await.unwrap_or_default()))
}
