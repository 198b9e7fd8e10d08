//! `server.dynamicBackendModePath`: a JSON file that says which backends there are, while it is there.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{
    Backends,
    freshness::{Freshness, Stamp},
    json,
    watched_file::{Seen, WatchedFile},
};
use crate::{mapping::BackendMode, telemetry::Metrics};

/// Keeps `backends` those that the file at `path` names, and `configured` ones while it is not there, until it is
/// dropped. A file that cannot be read or carried out is logged and counted, and changes nothing.
pub async fn follow(path: PathBuf, mut backends: Backends, configured: Vec<BackendMode>, metrics: Metrics) {
    let mut file = WatchedFile::new(path);
    let mut freshness = Freshness::new("dynamic_backend_mode");
    loop {
        let result = match file.next().await {
            Seen::Content(content) => match modes(&content) {
                Ok((stamp, modes)) => match switch(&mut backends, &modes).await {
                    Ok(()) => {
                        freshness.loaded(&stamp, Timestamp::now(), &metrics);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            Seen::Absent => switch(&mut backends, &configured).await,
            Seen::Unreadable(error) => Err(error),
        };
        if let Err(error) = result {
            metrics.dynamic_file_failure();
            let (path, modes) = (file.path().display(), names(&backends.modes()));
            tracing::error!(%path, error, "cannot carry out the file of backends; the backends stay {modes}");
        }
    }
}

async fn switch(backends: &mut Backends, modes: &[BackendMode]) -> Result<(), String> {
    let before = backends.modes();
    if before != modes {
        backends.switch(modes).await.map_err(|error| error.to_string())?;
        tracing::info!("the backends were {}, and are {} now", names(&before), names(modes));
    }
    Ok(())
}

fn names(modes: &[BackendMode]) -> String {
    modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(" ")
}

/// The backends that a file names.
pub(super) fn modes(content: &[u8]) -> Result<(Stamp, Vec<BackendMode>), String> {
    let fields = json::fields(content).map_err(|error| error.to_string())?;
    let text = json::text(&fields, "backendMode").unwrap_or_default();
    let mut modes = Vec::new();
    for name in text.split_whitespace() {
        let mode: BackendMode = name.parse().map_err(|error| format!("backendMode: {name:?}: {error}"))?;
        if modes.contains(&mode) {
            return Err(format!("backendMode names {mode} twice"));
        }
        modes.push(mode);
    }
    if modes.is_empty() {
        return Err("names no backend; want \"backendMode\": \"EKSConfigMap DynamicFile\"".to_owned());
    }
    Ok((Stamp::of(&fields), modes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_backends_in_their_order() {
        let (_, found) = modes(br#"{"backendMode": "EKSConfigMap DynamicFile", "Version": "1"}"#).unwrap();
        assert_eq!(found, [BackendMode::EksConfigMap, BackendMode::DynamicFile]);
        for text in [
            "{}",
            r#"{"backendMode": " "}"#,
            r#"{"backendMode": ["DynamicFile"]}"#,
            r#"{"backendMode": "DynamicFile DynamicFile"}"#,
            r#"{"backendMode": "DynamicFile Other"}"#,
            "backendMode: DynamicFile",
        ] {
            assert!(modes(text.as_bytes()).is_err(), "{text}");
        }
    }
}
