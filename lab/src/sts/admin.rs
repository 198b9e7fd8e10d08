//! A small HTTP endpoint by which people and scripts change what an emulator does wrong, and read what it has seen.
//!
//! | request | what |
//! |---|---|
//! | `GET /conditions` | what goes wrong now |
//! | `PUT /conditions` | replaces it: `{"fault": "status=503", "for": 10, "share": 0.1, "latency": "20ms", "limit": "100/s", "seed": 1}`, each of which may be left out |
//! | `DELETE /conditions` | nothing goes wrong any more |
//! | `GET /seen` | calls, connections, outcomes |
//! | `GET /seen/ACCESS-KEY-ID` | calls with one access key |
//!
//! It knows no authentication, and so listens on loopback alone.
use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Conditions, Fault, FaultPlan, Latency, RateLimit, UnknownFault, UnknownLatency, UnknownLimit,
    accept::accept, server::Server,
};

const HEAD_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(10);
const BODY_LIMIT: usize = 16 * 1024;

/// Conditions as they are written: in JSON here, and field by field elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenConditions {
    /// See [`Fault::from_str`](std::str::FromStr::from_str).
    pub fault: Option<String>,
    /// For how many requests; all where absent.
    #[serde(rename = "for")]
    pub remaining: Option<usize>,
    /// Which share of the requests, from 0 to 1; all where absent.
    pub share: Option<f64>,
    /// See [`Latency`].
    pub latency: Option<String>,
    /// See [`RateLimit`].
    pub limit: Option<String>,
    /// What is drawn follows from it.
    pub seed: Option<u64>,
}

/// Why written conditions are none.
#[derive(Debug, thiserror::Error)]
pub enum ConditionsError {
    /// The fault is none.
    #[error("fault: {0}")]
    Fault(#[from] UnknownFault),
    /// The latency is none.
    #[error("latency: {0}")]
    Latency(#[from] UnknownLatency),
    /// The limit is none.
    #[error("limit: {0}")]
    Limit(#[from] UnknownLimit),
    /// The share is none.
    #[error("share: expected a number from 0 to 1")]
    Share,
}

impl TryFrom<WrittenConditions> for Conditions {
    type Error = ConditionsError;

    fn try_from(written: WrittenConditions) -> Result<Self, Self::Error> {
        let share = written.share.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&share) {
            return Err(ConditionsError::Share);
        }
        let fault: Fault = written.fault.as_deref().map_or(Ok(Fault::None), str::parse)?;
        let latency: Latency = written.latency.as_deref().map_or(Ok(Latency::None), str::parse)?;
        let limit: Option<RateLimit> =
            written.limit.as_deref().filter(|limit| *limit != "none").map(str::parse).transpose()?;
        let plan = FaultPlan { fault, remaining: written.remaining };
        Ok(Self { plan, share, latency, limit, seed: written.seed.unwrap_or(1) })
    }
}

impl From<Conditions> for WrittenConditions {
    fn from(conditions: Conditions) -> Self {
        Self {
            fault: Some(conditions.plan.fault.to_string()),
            remaining: conditions.plan.remaining,
            share: Some(conditions.share),
            latency: Some(conditions.latency.to_string()),
            limit: conditions.limit.map(|limit| limit.to_string()),
            seed: Some(conditions.seed),
        }
    }
}

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>, stop: CancellationToken) {
    accept(listener, stop, |stream| connection(stream, Arc::clone(&server))).await;
}

async fn connection(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(|request| {
        let answer = answer(request, &server);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

async fn answer(request: Request<Incoming>, server: &Server) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/').to_owned();
    match (head.method, path.as_str()) {
        (Method::GET, "/conditions") => conditions(server),
        (Method::DELETE, "/conditions") => {
            server.faults.clear();
            conditions(server)
        }
        (Method::PUT, "/conditions") => {
            let Ok(Ok(body)) = timeout(BODY_WITHIN, Limited::new(body, BODY_LIMIT).collect()).await else {
                return refuse(StatusCode::BAD_REQUEST, "the body did not come, or is too long");
            };
            let written: WrittenConditions = match serde_json::from_slice(&body.to_bytes()) {
                Ok(written) => written,
                Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            };
            match Conditions::try_from(written) {
                Ok(new) => server.faults.apply(new),
                Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            }
            conditions(server)
        }
        (Method::GET, "/seen") => reply(StatusCode::OK, &json!(server.log.seen())),
        (Method::GET, path) if path.starts_with("/seen/") => {
            let key = path.trim_start_matches("/seen/");
            reply(StatusCode::OK, &json!({ "calls": server.log.calls_of(key) }))
        }
        _ => refuse(StatusCode::NOT_FOUND, "there are GET, PUT and DELETE /conditions, and GET /seen"),
    }
}

fn conditions(server: &Server) -> Response<Full<Bytes>> {
    reply(StatusCode::OK, &json!(WrittenConditions::from(server.faults.conditions())))
}

fn refuse(code: StatusCode, why: &str) -> Response<Full<Bytes>> {
    reply(code, &json!({ "error": why }))
}

fn reply(code: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = r#"{"fault": "status=503", "for": 10, "share": 0.5, "latency": "lognormal=20ms,0.5",
                       "limit": "100/s", "seed": 7}"#;
        let written: WrittenConditions = serde_json::from_str(text).unwrap();
        let conditions = Conditions::try_from(written).unwrap();
        assert_eq!(conditions.plan.remaining, Some(10));
        assert_eq!(Conditions::try_from(WrittenConditions::from(conditions.clone())).unwrap(), conditions);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            (r#"{"fault": "x"}"#, "fault:"),
            (r#"{"latency": "x"}"#, "latency:"),
            (r#"{"limit": "x"}"#, "limit:"),
            (r#"{"share": 2}"#, "share:"),
        ] {
            let written: WrittenConditions = serde_json::from_str(text).unwrap();
            let error = Conditions::try_from(written).unwrap_err().to_string();
            assert!(error.starts_with(word), "{error}");
        }
        assert!(serde_json::from_str::<WrittenConditions>(r#"{"latncy": "1s"}"#).is_err());
    }
}
