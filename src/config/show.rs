//! The effective configuration, with where each value came from.

use std::{collections::BTreeSet, fmt, num::NonZero, path::PathBuf};

use serde::Serialize;

use super::{FeatureGates, File, ServerFlags, ServerSettings, SettingsError};
use crate::{
    mapping::{BackendMode, MatchBy},
    webhook::certificate::Clients,
};

/// A key of the configuration, its value in force, and whence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The key as the file has it, with its section.
    pub key: &'static str,
    /// The value in force; empty where there is none.
    pub value: String,
    /// Whence.
    pub source: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Source {
    /// A flag.
    Flag {
        /// Its long name.
        name: &'static str,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: &'static str,
    },
    /// The configuration file.
    File {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        line: usize,
    },
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag { name } => write!(f, "flag {name}"),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What the command line and the environment say beside [`ServerFlags`].
#[derive(Debug)]
pub struct CommandLine<'a> {
    /// The cluster ID, where one is given.
    pub cluster_id: Option<&'a str>,
    /// The log format in force, and whether a flag says it.
    pub log_format: (&'a str, bool),
    /// The log verbosity in force, and whether a flag or the environment says it.
    pub log_verbosity: (&'a str, bool),
    /// The feature gates in force, and whether a flag says any.
    pub feature_gates: (FeatureGates, bool),
    /// The arguments, by their names as fields, that come from the environment.
    pub from_environment: &'a BTreeSet<String>,
}

impl CommandLine<'_> {
    /// Whence the argument `id` comes, where it is `given`.
    fn flag(&self, name: &'static str, id: &str, given: bool) -> Option<Source> {
        let variable = match id {
            "cluster_id" => "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID",
            "sts_ca_bundle" => "AWS_CA_BUNDLE",
            "log_verbosity" => "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY",
            _ => name,
        };
        let from_environment = self.from_environment.contains(id);
        let flag = || {
            if from_environment { Source::Environment { name: variable } } else { Source::Flag { name } }
        };
        given.then(flag)
    }
}

/// How a value is written.
type Value = Box<dyn FnOnce(&ServerSettings) -> String>;

/// Every key with its value in force.
///
/// # Errors
/// Where the settings do not hold; see [`SettingsError`].
pub fn show(file: File, line: &CommandLine<'_>, flags: &ServerFlags) -> Result<Vec<Shown>, SettingsError> {
    let limits = &flags.limits;
    let cluster_id = line.cluster_id;
    let (path, lines) = (file.path.clone(), file.lines.clone());
    let of_file = |key: &str| lines.get(key).map(|line| Source::File { path: path.clone(), line: *line });
    // The file is used up by the settings, which have these in another form.
    let hosts = file.sts_extra_hosts.iter().map(|extra| format!("{}={}", extra.host, extra.region));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let (gates, format, verbosity) =
        (line.feature_gates.0, line.log_format.0.to_owned(), line.log_verbosity.0.to_owned());
    #[rustfmt::skip]
    let rows: Vec<(&'static str, Option<Source>, Value)> = vec![
        ("clusterID", line.flag("--cluster-id", "cluster_id", cluster_id.is_some()), Box::new(|s| s.cluster_id.as_str().to_owned())),
        ("server.partition", line.flag("--partition", "partition", flags.partition.is_some()), Box::new(|s| s.partition.to_string())),
        ("server.region", line.flag("--region", "region", flags.region.is_some()), Box::new(|s| text(s.region.as_ref()))),
        ("server.address", line.flag("--address", "address", flags.address.is_some()), Box::new(|s| s.address.to_string())),
        ("server.port", line.flag("--port", "port", flags.port.is_some()), Box::new(|s| s.port.to_string())),
        ("server.healthPort", line.flag("--health-port", "health_port", flags.health_port.is_some()), Box::new(|s| s.health_port.to_string())),
        ("server.metricsAddress", line.flag("--metrics-address", "metrics_address", flags.metrics_address.is_some()), Box::new(|s| text(s.metrics_address.as_ref()))),
        ("server.clientCAFile", line.flag("--client-ca-file", "client_ca_file", flags.client_ca_file.is_some()), Box::new(|s| client_files(&s.clients).0)),
        ("server.clientCertificate", line.flag("--client-certificate", "client_certificate", flags.client_certificate.is_some()), Box::new(|s| client_files(&s.clients).1)),
        ("server.clientKey", line.flag("--client-key", "client_key", flags.client_key.is_some()), Box::new(|s| client_files(&s.clients).2)),
        ("server.hostname", line.flag("--hostname", "hostname", flags.hostname.is_some()), Box::new(|s| s.hostname.clone())),
        ("server.stateDir", line.flag("--state-dir", "state_dir", flags.state_dir.is_some()), Box::new(|s| s.state_dir.display().to_string())),
        ("server.generateKubeconfig", line.flag("--generate-kubeconfig", "generate_kubeconfig", flags.generate_kubeconfig.is_some()), Box::new(|s| s.generate_kubeconfig.display().to_string())),
        ("server.kubeconfigPregenerated", line.flag("--kubeconfig-pregenerated", "kubeconfig_pregenerated", flags.kubeconfig_pregenerated.is_some()), Box::new(|s| s.kubeconfig_pregenerated.to_string())),
        ("server.kubeconfig", line.flag("--kubeconfig", "kubeconfig", flags.kubeconfig.is_some()), Box::new(|s| text(s.kubeconfig.as_ref().map(|path| path.display())))),
        ("server.master", line.flag("--master", "master", flags.master.is_some()), Box::new(|s| text(s.master.as_ref()))),
        ("server.backendMode", line.flag("--backend-mode", "backend_mode", !flags.backend_mode.is_empty()), Box::new(|s| list(&s.backend_modes))),
        ("server.dynamicfilepath", None, Box::new(|s| text(s.dynamic_file.as_ref().map(|path| path.display())))),
        ("server.dynamicfileUserIDStrict", None, Box::new(|s| (s.dynamic_file_matches == MatchBy::UserId).to_string())),
        ("server.dynamicBackendModePath", None, Box::new(|s| text(s.dynamic_backend_mode.as_ref().map(|path| path.display())))),
        ("server.audiences", line.flag("--audiences", "audiences", !flags.audiences.is_empty()), Box::new(|s| list(&s.audiences))),
        ("server.scrubbedAccounts", None, Box::new(|s| list(&s.scrubbed_accounts))),
        ("server.adminPrincipals", line.flag("--admin-principals", "admin_principals", !flags.admin_principals.is_empty()), Box::new(|s| list(&s.admin_principals))),
        ("server.snapshotMaxAge", line.flag("--snapshot-max-age", "snapshot_max_age", flags.snapshot_max_age.is_some()), Box::new(|s| s.snapshot_max_age.to_string())),
        ("server.stsConnectTo", line.flag("--sts-connect-to", "sts_connect_to", flags.sts_connect_to.is_some()), Box::new(|s| text(s.sts.connect_to.as_ref()))),
        ("server.stsCABundle", line.flag("--sts-ca-bundle", "sts_ca_bundle", flags.ca_bundle().is_some()), Box::new(|s| text(s.sts.ca_bundle.as_ref().map(|path| path.display())))),
        ("--sts-timeout", line.flag("--sts-timeout", "sts_timeout", flags.sts_timeout.is_some()), Box::new(|s| s.sts.total_timeout.as_secs().to_string())),
        ("server.ec2DescribeInstancesRoleARN", None, Box::new(|s| text(s.ec2.role.as_ref()))),
        ("server.sourceARN", None, Box::new(|s| text(s.ec2.source.as_ref()))),
        ("server.ec2DescribeInstancesQps", line.flag("--ec2-describeInstances-qps", "ec2_qps", flags.ec2_qps.is_some()), Box::new(|s| s.ec2.rate.per_second().to_string())),
        ("server.ec2DescribeInstancesBurst", line.flag("--ec2-describeInstances-burst", "ec2_burst", flags.ec2_burst.is_some()), Box::new(|s| s.ec2.rate.burst().to_string())),
        ("server.ec2ConnectTo", line.flag("--ec2-connect-to", "ec2_connect_to", flags.ec2_connect_to.is_some()), Box::new(|s| text(s.ec2.ec2.connect_to.as_ref()))),
        ("server.stsCacheTTL", line.flag("--sts-cache-ttl", "cache_ttl", limits.cache_ttl.is_some()), Box::new(|s| s.sts_limits.cache_ttl.as_secs().to_string())),
        ("server.stsCacheSize", line.flag("--sts-cache-size", "cache_size", limits.cache_size.is_some()), Box::new(|s| s.sts_limits.cache_size.to_string())),
        ("server.stsQps", line.flag("--sts-qps", "qps", limits.qps.is_some()), Box::new(|s| s.sts_limits.rate.map_or(0, NonZero::get).to_string())),
        ("server.stsBurst", line.flag("--sts-burst", "burst", limits.burst.is_some()), Box::new(|s| s.sts_limits.burst.to_string())),
        ("server.stsAccessKeyQps", line.flag("--sts-access-key-qps", "access_key_qps", limits.access_key_qps.is_some()), Box::new(|s| s.sts_limits.access_key_rate.map_or(0, NonZero::get).to_string())),
        ("server.stsAccessKeyBurst", line.flag("--sts-access-key-burst", "access_key_burst", limits.access_key_burst.is_some()), Box::new(|s| s.sts_limits.access_key_burst.to_string())),
        ("server.stsConcurrency", line.flag("--sts-concurrency", "concurrency", limits.concurrency.is_some()), Box::new(|s| s.sts_limits.concurrency.to_string())),
        ("server.auditLogPath", line.flag("--audit-log-path", "audit_log_path", flags.audit_log_path.is_some()), Box::new(|s| text(s.audit.as_ref().map(|audit| &audit.destination)))),
        ("server.auditLogDenialQps", line.flag("--audit-log-denial-qps", "audit_log_denial_qps", flags.audit_log_denial_qps.is_some()), Box::new(|s| text(s.audit.as_ref().map(|audit| audit.denials_per_second.map_or(0, NonZero::get))))),
        ("server.stsExtraHosts", None, Box::new(move |_| hosts)),
        ("server.reservedPrefixConfig", None, Box::new(|s| reserved(&s.reserved_prefixes))),
        ("server.mapRoles", None, Box::new(mapped)),
        ("server.mapUsers", None, Box::new(mapped)),
        ("server.mapAccounts", None, Box::new(mapped)),
        ("--feature-gates", line.flag("--feature-gates", "feature_gates", line.feature_gates.1), Box::new(move |_| gates.to_string())),
        ("--log-format", line.flag("--log-format", "log_format", line.log_format.1), Box::new(move |_| format)),
        ("--log-verbosity", line.flag("--log-verbosity", "log_verbosity", line.log_verbosity.1), Box::new(move |_| verbosity)),
    ];
    let settings = ServerSettings::new(file, cluster_id, flags)?;
    let shown = |(key, given, value): (&'static str, Option<Source>, Value)| Shown {
        key,
        value: value(&settings),
        source: given.or_else(|| of_file(key)).unwrap_or(Source::Default),
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// The lists are read together, and what they come to is one number.
fn mapped(settings: &ServerSettings) -> String {
    format!("{} mapped by all lists of the file", settings.mounted.index().len())
}

/// CA, certificate and key.
fn client_files(clients: &Clients) -> (String, String, String) {
    match clients {
        Clients::Anybody => Default::default(),
        Clients::Own => (String::new(), "generate".to_owned(), String::new()),
        Clients::Of { authorities, kube_apiserver } => {
            let (certificate, key) =
                kube_apiserver.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
            let shown = |path: Option<&PathBuf>| text(path.map(|path| path.display()));
            (shown(Some(authorities)), shown(certificate), shown(key))
        }
    }
}

fn reserved(entries: &[(BackendMode, Vec<String>)]) -> String {
    let entries: Vec<_> =
        entries.iter().map(|(mode, prefixes)| format!("{mode}={}", prefixes.join("|"))).collect();
    entries.join(",")
}

fn text(value: Option<impl fmt::Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn list<'a, T: fmt::Display + 'a>(values: impl IntoIterator<Item = &'a T>) -> String {
    let values: Vec<String> = values.into_iter().map(ToString::to_string).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Whole, *};

    #[test]
    fn each_value_has_its_source() {
        let text = "clusterID: from-file\nserver:\n  port: 1\n  healthPort: 2\n  scrubbedAccounts: ['000000000012']\n  \
                    ec2DescribeInstancesQps: 1\n  stsCABundle: /b\n  \
                    stsExtraHosts: [{host: sts.example, region: us-east-1}]\n  \
                    reservedPrefixConfig: [{backendMode: CRD, usernamePrefixReserveList: [a, b]}]\n";
        let flags = ServerFlags {
            port: Some(Whole(3)),
            ec2_qps: Some(Whole(7)),
            sts_ca_bundle: Some("/a".into()),
            ..ServerFlags::default()
        };
        let line = CommandLine {
            cluster_id: Some("given"),
            log_format: ("json", true),
            log_verbosity: ("info", false),
            feature_gates: (FeatureGates::default(), false),
            from_environment: &["cluster_id", "sts_ca_bundle"].map(str::to_owned).into(),
        };
        let shown = show(File::parse(Path::new("f"), text).unwrap(), &line, &flags).unwrap();
        let of = |key: &str| {
            let shown = shown.iter().find(|shown| shown.key == key).unwrap();
            format!("{} # {}", shown.value, shown.source)
        };
        for (key, wanted) in [
            ("clusterID", "given # environment KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"),
            ("server.port", "3 # flag --port"),
            ("server.healthPort", "2 # f:4"),
            ("server.address", "127.0.0.1 # default"),
            ("server.scrubbedAccounts", "000000000012 # f:5"),
            ("server.ec2DescribeInstancesQps", "7 # flag --ec2-describeInstances-qps"),
            ("server.ec2DescribeInstancesBurst", "5 # default"),
            ("server.stsCABundle", "/a # environment AWS_CA_BUNDLE"),
            ("server.stsExtraHosts", "sts.example=us-east-1 # f:8"),
            ("server.reservedPrefixConfig", "CRD=a|b # f:9"),
            ("--feature-gates", "ConfiguredInitDirectories=false,SSORoleMatch=true # default"),
            ("--log-format", "json # flag --log-format"),
            ("--log-verbosity", "info # default"),
        ] {
            assert_eq!(of(key), wanted, "{key}");
        }
    }
}
