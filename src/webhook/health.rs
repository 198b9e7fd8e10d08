//! `/healthz`: the process serves. `/readyz`: it can tell who anybody is.

use std::fmt::Write;

use http::{HeaderValue, StatusCode};

use super::answer::{self, Answer};
use crate::mapping::Chain;

/// The process serves, whatever it has loaded.
#[must_use]
pub fn healthz() -> Answer {
    plain(StatusCode::OK, "ok".to_owned())
}

/// 200 once every backend has loaded its mappings, 503 before, with a line a backend in the form that
/// Kubernetes' own components have.
#[must_use]
pub fn readyz(chain: &Chain) -> Answer {
    let mut lines = String::new();
    let mut ready = true;
    for (backend, loaded) in chain.loaded() {
        ready &= loaded;
        let verdict = if loaded { "[+]" } else { "[-]" };
        let words = if loaded { "ok" } else { "failed: has not loaded its mappings yet" };
        let _ = writeln!(lines, "{verdict}{backend} {words}");
    }
    if ready {
        plain(StatusCode::OK, format!("{lines}ok\n"))
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, format!("{lines}readyz check failed\n"))
    }
}

fn plain(code: StatusCode, text: String) -> Answer {
    answer::text(code, text, HeaderValue::from_static("text/plain; charset=utf-8"))
}
