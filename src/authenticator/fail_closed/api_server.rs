//! The API server as the steps have it: aws-auth listed and watched, by the real client of kube.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{
    principals::Who,
    steps::{Content, Entry, Gives, List},
};

/// The API server; clones are the same one.
#[derive(Clone)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

struct State {
    reachable: bool,
    content: Content,
    /// How many edits there were.
    version: u64,
    watches: Vec<mpsc::UnboundedSender<Bytes>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl ApiServer {
    pub(super) fn new(content: Content, reachable: bool) -> Self {
        Self(Arc::new(Mutex::new(State { reachable, content, version: 1, watches: Vec::new() })))
    }

    /// A client of it.
    pub(super) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Edits aws-auth, and tells whoever watches.
    pub(super) fn edit(&self, content: Content) {
        let mut state = self.state();
        state.content = content;
        state.version += 1;
        let event = state.event();
        state.watches.retain(|watch| watch.unbounded_send(event.clone()).is_ok());
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.state().reachable
    }

    /// Goes away, with every watch, or comes back.
    pub(super) fn set_reachable(&self, reachable: bool) {
        let mut state = self.state();
        state.reachable = reachable;
        if !reachable {
            state.watches.clear();
        }
    }

    /// Ends every watch.
    pub(super) fn end_watches(&self) {
        self.state().watches.clear();
    }

    /// Tells every watch that it is too old to go on.
    pub(super) fn expire_watches(&self) {
        let gone = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired",
            "message": "too old resource version", "code": 410,
        });
        for watch in self.state().watches.drain(..) {
            // One that has ended already needs no word.
            let _ = watch.unbounded_send(line(&json!({"type": "ERROR", "object": gone})));
        }
    }

    pub(super) fn content(&self) -> Content {
        self.state().content.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, method: &Method, path: &str, query: &str) -> Response<Body> {
        let mut state = self.state();
        if !state.reachable {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "away", "code": 503,
            });
            return reply(StatusCode::SERVICE_UNAVAILABLE, whole(&status));
        }
        if method == Method::POST {
            // An event on the ConfigMap: it is taken.
            return reply(StatusCode::CREATED, whole(&json!({"metadata": {}, "involvedObject": {}})));
        }
        assert_eq!(path, "/api/v1/namespaces/kube-system/configmaps");
        let parameter = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        if parameter("watch") != Some("true") {
            let items: Vec<Value> = state.object().into_iter().collect();
            let list = json!({
                "kind": "ConfigMapList", "apiVersion": "v1",
                "metadata": {"resourceVersion": state.version.to_string()}, "items": items,
            });
            return reply(StatusCode::OK, whole(&list));
        }
        let (watch, events) = mpsc::unbounded();
        let since: u64 = parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        if since < state.version {
            // Nobody can have dropped the other end yet.
            let _ = watch.unbounded_send(state.event());
        }
        state.watches.push(watch);
        reply(StatusCode::OK, StreamBody::new(events.map(|line| Ok(Frame::data(line)))).boxed_unsync())
    }
}

impl tower::Service<Request<kube::client::Body>> for ApiServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let (method, uri) = (request.method(), request.uri());
        let answer = self.answer(method, uri.path(), uri.query().unwrap_or_default());
        std::future::ready(Ok(answer)).boxed()
    }
}

impl State {
    fn object(&self) -> Option<Value> {
        let lists = self.content.as_ref()?;
        let mut data = serde_json::Map::new();
        for (key, list, principals) in [
            ("mapRoles", &lists.roles, [Who::Alpha, Who::Beta]),
            ("mapUsers", &lists.users, [Who::Gamma, Who::Delta]),
        ] {
            if let Some(text) = text(list, principals) {
                data.insert(key.to_owned(), text.into());
            }
        }
        let mut object = self.metadata();
        object["data"] = Value::Object(data);
        Some(object)
    }

    fn metadata(&self) -> Value {
        json!({
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {
                "name": "aws-auth", "namespace": "kube-system", "resourceVersion": self.version.to_string(),
            },
        })
    }

    fn event(&self) -> Bytes {
        line(&match self.object() {
            Some(object) => json!({"type": "MODIFIED", "object": object}),
            None => json!({"type": "DELETED", "object": self.metadata()}),
        })
    }
}

/// A list as aws-auth has it; `None` where its key is not there.
fn text(list: &List, principals: [Who; 2]) -> Option<String> {
    let entries = match list {
        List::Gone => return None,
        List::Unreadable => return Some("- [\n".to_owned()),
        List::Entries(entries) => entries,
    };
    let mut text = String::new();
    for (who, entry) in principals.into_iter().zip(entries) {
        let gives = match entry {
            Entry::Gone => continue,
            Entry::Broken => "  username: {a: b}\n",
            Entry::Good(Gives::Reader) => "  username: reader\n  groups: [readers]\n",
            Entry::Good(Gives::Writer) => {
                "  username: writer:{{SessionName}}\n  groups:\n  - writers\n  - account:{{AccountID}}\n"
            }
            Entry::Good(Gives::Nothing) => "  username: nothing:{{AccessKeyID}}\n",
        };
        let field = if who.is_role() { "rolearn" } else { "userarn" };
        text += &["- ", field, ": ", &who.mapped_arn(), "\n", gives].concat();
    }
    Some(text)
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

fn whole(value: &Value) -> Body {
    Full::new(Bytes::from(value.to_string())).boxed_unsync()
}

fn reply(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}
