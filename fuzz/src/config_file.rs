//! The configuration file.
//!
//! **Property.** STS's hosts are those of the partition, of the region and the hosts that the file names, and no other.
//! Whoever is mapped or an administrator is named in the file, and an administrator is of the partition, and no
//! session. What `config show` prints is from a line that the file has. What is wrong is told of a place in the file. A
//! second document changes nothing.

use std::{collections::BTreeSet, path::Path};

use arngate::{
    config::{CommandLine, ConfigError, FeatureGates, File, ServerFlags, ServerSettings, Source, show},
    identity::PrincipalKind,
    sts::{Endpoints, ExtraHost},
    yaml::{self, Limits},
};

use crate::{
    aws_auth::scalars,
    saved::{Entry, Whom, entries},
};

/// As the file is read.
const LIMITS: Limits = Limits::for_bytes(16 * 1024 * 1024);

/// Looks at a file's text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split(['\n', '\r']).count();
    let file = match read(text) {
        Ok(file) => file,
        Err(
            ConfigError::Yaml { error: yaml::YamlError { position, .. }, .. }
            | ConfigError::Value { position, .. },
        ) => {
            assert!((1..=lines + 1).contains(&position.line), "{position} of {lines} lines");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(file.lines.values().all(|line| (1..=lines).contains(line)), "{:?}", file.lines);
    // Where there is no first document, the second one is it; a text in the style of | or > would end otherwise.
    let has_document = yaml::parse_first(text, LIMITS).is_ok_and(|first| first.document.is_some());
    if has_document && !text.contains(['|', '>']) {
        let more = format!("{text}\n---\nclusterID: another\nserver: {{port: 1}}\n");
        let again = read(&more).expect("a second document is not read");
        assert_eq!(format!("{again:?}"), format!("{file:?}"));
    }
    let (region, hosts) = (file.region.clone(), file.sts_extra_hosts.clone());
    let settings = ServerSettings::new(file, None, &ServerFlags::default());
    shown(text, lines, settings.is_ok());
    if let Ok(settings) = settings {
        holds(&settings, region.as_deref(), &hosts, text);
    }
}

fn read(text: &str) -> Result<File, ConfigError> {
    File::parse(Path::new("config.yaml"), text)
}

fn shown(text: &str, lines: usize, holds: bool) {
    let nothing = BTreeSet::new();
    let line = CommandLine {
        cluster_id: None,
        log_format: ("text", false),
        log_verbosity: ("info", false),
        feature_gates: (FeatureGates::default(), false),
        from_environment: &nothing,
    };
    let shown = show(read(text).expect("it was read"), &line, &ServerFlags::default());
    assert_eq!(shown.is_ok(), holds);
    for value in shown.into_iter().flatten() {
        match value.source {
            Source::File { line, .. } => {
                assert!((1..=lines).contains(&line), "{} is of line {line}", value.key)
            }
            Source::Default => {}
            source => panic!("{} comes from the {source}", value.key),
        }
    }
}

fn holds(settings: &ServerSettings, region: Option<&str>, hosts: &[ExtraHost], text: &str) {
    let partition = settings.partition;
    let usual = Endpoints::new(partition, None, &[]).expect("the table holds");
    for endpoint in settings.endpoints.iter() {
        let (host, of) = (endpoint.host(), endpoint.region());
        let is_extra = hosts.iter().any(|extra| extra.host == host && extra.region == of);
        let is_regions = region == Some(of)
            && (host.starts_with(&format!("sts.{of}.")) || host.starts_with(&format!("sts-fips.{of}.")));
        assert!(usual.look_up(host).is_some() || is_extra || is_regions, "{host}");
        let is_label = |label: &str| {
            !label.is_empty()
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        assert!(host.split('.').count() > 1 && host.split('.').all(is_label), "{host}");
        // A number at the end would be an address.
        assert!(
            !host.ends_with(|c: char| c.is_ascii_digit()) || host.contains(|c: char| c.is_ascii_lowercase()),
            "{host}"
        );
    }
    let id = settings.cluster_id.as_str();
    assert!(
        id.trim() == id && !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic() || c == ' '),
        "{id:?}"
    );

    let node = yaml::parse_first(text, LIMITS).ok().and_then(|first| first.document);
    let mut texts = Vec::new();
    scalars(node.as_ref().expect("it has a cluster ID"), &mut texts);
    for administrator in &settings.admin_principals {
        assert_eq!(administrator.partition(), partition);
        assert!(!matches!(administrator.kind(), PrincipalKind::AssumedRole { .. }), "{administrator}");
        let arn = administrator.arn();
        assert!(texts.iter().any(|text| text.contains(&arn)), "{arn}");
    }
    for entry in entries(&settings.mounted) {
        assert!(is_named(&texts, &entry), "{entry:?}");
    }
}

/// Whether the file's texts have all of `entry`. A list may be one text with commas.
fn is_named(texts: &[&str], entry: &Entry) -> bool {
    let has = |wanted: &String| texts.iter().any(|text| text.contains(wanted.as_str()));
    let has_lower =
        |wanted: &String| texts.iter().any(|text| text.to_ascii_lowercase().contains(wanted.as_str()));
    let is_named = match &entry.whom {
        Whom::Arn(arn) => match arn.split_once(":role/") {
            // Of an assumed role's ARN the session counts no more.
            Some((_, name)) => has_lower(&format!("/{name}")),
            None => has_lower(arn),
        },
        Whom::PermissionSet([_, account, name]) => has(account) && has_lower(name),
        Whom::Account(account) => has(account),
    };
    is_named && entry.username.iter().chain(&entry.groups).chain(&entry.user_id).all(has)
}
