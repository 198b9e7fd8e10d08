//! `/healthz`: the process serves. `/readyz`: it can tell who anybody is.

use std::fmt::Write;

use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::answer::{self, Answer};
use crate::mapping::{BackendState, Chain, Figures, Standing};

/// How `/readyz` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line a backend, in the form that Kubernetes' own components have.
    Text,
    /// An object.
    Json,
}

impl Form {
    /// What the query and the header `Accept` ask for.
    #[must_use]
    pub fn asked(query: Option<&str>, accept: Option<&HeaderValue>) -> Self {
        let by_query = query.is_some_and(|query| query.split('&').any(|pair| pair == "format=json"));
        let by_header = accept.is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
        if by_query || by_header { Self::Json } else { Self::Text }
    }
}

/// The process serves, whatever it has loaded.
#[must_use]
pub fn healthz() -> Answer {
    plain(StatusCode::OK, "ok".to_owned())
}

/// 200 once every backend has loaded its mappings, 503 before. A backend that serves what an earlier run saw last
/// has not: it can tell who those are whom it maps, and not who is nobody.
#[must_use]
pub fn readyz(chain: &Chain, form: Form) -> Answer {
    let states: Vec<BackendState> = chain.states().collect();
    let ready = states.iter().all(|state| state.standing == Standing::Loaded);
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match form {
        Form::Text => {
            let mut text = String::new();
            for state in &states {
                let _ = writeln!(text, "{}", line(state));
            }
            text.push_str(if ready { "ok\n" } else { "readyz check failed\n" });
            plain(code, text)
        }
        Form::Json => {
            let backends: Vec<_> = states.iter().map(object).collect();
            let text = json!({"ready": ready, "backends": backends}).to_string();
            answer::text(code, text, HeaderValue::from_static("application/json"))
        }
    }
}

fn line(state: &BackendState) -> String {
    let BackendState { backend, standing, mappings, figures } = state;
    let Figures { invalid, kept, errors, warnings } = figures;
    match standing {
        Standing::NotLoaded => format!("[-]{backend} failed: has not loaded its mappings yet"),
        Standing::Restored { confirmed_at } => format!(
            "[-]{backend} failed: has not loaded its mappings yet; serves the {mappings} that were last good at \
             {confirmed_at}"
        ),
        Standing::Loaded => format!(
            "[+]{backend} ok: {mappings} mappings, {invalid} entries invalid, {kept} mappings kept, {errors} errors, \
             {warnings} warnings"
        ),
    }
}

fn object(state: &BackendState) -> serde_json::Value {
    let BackendState { backend, standing, mappings, figures } = state;
    let Figures { invalid, kept, errors, warnings } = figures;
    let (standing, confirmed_at) = match standing {
        Standing::NotLoaded => ("notLoaded", None),
        Standing::Loaded => ("loaded", None),
        Standing::Restored { confirmed_at } => ("restored", Some(confirmed_at.to_string())),
    };
    json!({
        "name": backend.name(), "standing": standing, "confirmedAt": confirmed_at, "mappings": mappings,
        "invalidEntries": invalid, "keptMappings": kept, "errors": errors, "warnings": warnings,
    })
}

fn plain(code: StatusCode, text: String) -> Answer {
    answer::text(code, text, HeaderValue::from_static("text/plain; charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_answered_where_it_is_asked_for() {
        let accept = HeaderValue::from_static("application/json");
        assert_eq!(Form::asked(None, None), Form::Text);
        assert_eq!(Form::asked(Some("verbose"), Some(&HeaderValue::from_static("*/*"))), Form::Text);
        assert_eq!(Form::asked(Some("verbose&format=json"), None), Form::Json);
        assert_eq!(Form::asked(None, Some(&accept)), Form::Json);
    }
}
