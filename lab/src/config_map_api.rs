//! The two calls that arngate makes of an API server, list and watch of `configmap/aws-auth`, for the demo,
//! which has to run where no Kubernetes is. Tests use the real one: [`crate::control_plane`].
//!
//! ```text
//! replace, delete ──▶ state ──▶ GET …/configmaps             the list, with its resourceVersion
//! expire, forbid ───────┘ └───▶ GET …/configmaps?watch=true   a JSON line an event, as they come
//! ```

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

const PATH: &str = "/api/v1/namespaces/kube-system/configmaps";

/// Serves aws-auth on a free port of this machine, over plain HTTP, until it is dropped.
#[derive(Debug)]
pub struct ConfigMapApi {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

/// What there is now, and how many changes it took. `data` is absent where there is no aws-auth.
#[derive(Debug, Clone, Default)]
struct State {
    version: u64,
    /// The oldest version from which a watch can go on.
    oldest: u64,
    /// Nobody may list or watch.
    forbidden: bool,
    data: Option<BTreeMap<String, String>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl ConfigMapApi {
    /// Starts with no aws-auth.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State { version: 1, ..State::default() }));
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for it, as text. YAML is a superset of JSON.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.url()}}],
            "users": [{"name": "lab", "user": {}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        })
        .to_string()
    }

    /// Makes aws-auth hold `data` from now on.
    pub fn replace(&self, data: BTreeMap<String, String>) {
        self.change(Some(data));
    }

    /// Deletes aws-auth.
    pub fn delete(&self) {
        self.change(None);
    }

    /// Makes aws-auth hold `data`, and forgets how it came to that, as an API server does whose etcd was compacted:
    /// watches are told 410, and never of the change.
    pub fn expire(&self, data: BTreeMap<String, String>) {
        self.state.send_modify(|state| {
            state.version += 1;
            state.oldest = state.version;
            state.data = Some(data);
        });
    }

    /// Refuses lists and new watches with 403 from now on, and ends those that there are; or takes them again.
    pub fn forbid(&self, forbidden: bool) {
        self.state.send_modify(|state| state.forbidden = forbidden);
    }

    fn change(&self, data: Option<BTreeMap<String, String>>) {
        self.state.send_modify(|state| {
            state.version += 1;
            state.data = data;
        });
    }
}

impl Drop for ConfigMapApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<watch::Sender<State>>) {
    // Dropped with this task, and with it every connection.
    let connections = Mutex::new(tokio::task::JoinSet::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let state = Arc::clone(&state);
        let connection = async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &state);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A client that goes away in the middle of a watch is how watches end.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        };
        connections.lock().unwrap_or_else(PoisonError::into_inner).spawn(connection);
    }
}

fn answer(request: &Request<Incoming>, state: &watch::Sender<State>) -> Response<Body> {
    let not_found = |message: &str| {
        reply(StatusCode::NOT_FOUND, whole(&failure(StatusCode::NOT_FOUND, "NotFound", message)))
    };
    if state.borrow().forbidden {
        let message =
            "configmaps \"aws-auth\" is forbidden: User \"arngate\" cannot list resource \"configmaps\"";
        return reply(StatusCode::FORBIDDEN, whole(&failure(StatusCode::FORBIDDEN, "Forbidden", message)));
    }
    if request.method() == Method::GET && request.uri().path() == format!("{PATH}/aws-auth") {
        let now = state.borrow().clone();
        return match object(&now) {
            Some(object) => reply(StatusCode::OK, whole(&object)),
            None => not_found("configmaps \"aws-auth\" not found"),
        };
    }
    if request.method() != Method::GET || request.uri().path() != PATH {
        return not_found("only get, list and watch of configmaps in kube-system are served here");
    }
    let parameters: BTreeMap<&str, &str> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    if matches!(parameters.get("watch"), Some(&("true" | "1"))) {
        let since = parameters.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let seconds =
            parameters.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
        return reply(StatusCode::OK, events(state, since, Duration::from_secs(seconds)));
    }
    let now = state.borrow().clone();
    let items: Vec<Value> = object(&now).into_iter().collect();
    let list = json!({
        "kind": "ConfigMapList", "apiVersion": "v1",
        "metadata": {"resourceVersion": now.version.to_string()}, "items": items,
    });
    reply(StatusCode::OK, whole(&list))
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": message, "code": code.as_u16(),
    })
}

/// Every change after version `since`, for `lasting`; changes that come faster than they are read are one. Where the
/// way from there is forgotten, that is said, and nothing else.
fn events(state: &watch::Sender<State>, since: u64, lasting: Duration) -> Body {
    let mut changes = state.subscribe();
    if changes.borrow().version > since {
        changes.mark_changed();
    }
    let deadline = tokio::time::Instant::now() + lasting;
    // What was seen last; `None` where the watch has ended.
    let watch = (changes, Some(since));
    let lines = stream::unfold(watch, move |(mut changes, seen)| async move {
        let seen = seen?;
        tokio::time::timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        let now = changes.borrow_and_update().clone();
        if now.forbidden {
            return None;
        }
        let (event, seen) = if now.oldest > seen {
            let message = format!("too old resource version: {seen} ({})", now.oldest);
            (json!({"type": "ERROR", "object": failure(StatusCode::GONE, "Expired", &message)}), None)
        } else {
            let event = match object(&now) {
                Some(object) => json!({"type": "MODIFIED", "object": object}),
                None => json!({"type": "DELETED", "object": metadata(&now)}),
            };
            (event, Some(now.version))
        };
        Some((Ok(Frame::data(Bytes::from(format!("{event}\n")))), (changes, seen)))
    });
    BodyExt::boxed_unsync(StreamBody::new(lines.boxed()))
}

fn object(state: &State) -> Option<Value> {
    let mut object = metadata(state);
    object["data"] = json!(state.data.as_ref()?);
    Some(object)
}

fn metadata(state: &State) -> Value {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {
            "name": "aws-auth", "namespace": "kube-system", "resourceVersion": state.version.to_string(),
        },
    })
}

fn whole(value: &Value) -> Body {
    Full::new(Bytes::from(value.to_string())).boxed_unsync()
}

fn reply(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
