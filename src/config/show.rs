//! The effective configuration, with where each value came from.

use std::{fmt, num::NonZero, path::PathBuf};

use serde::Serialize;

use super::{File, ServerFlags, ServerSettings, SettingsError};
use crate::mapping::MatchBy;

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
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A flag, or its environment variable.
    Flag,
    /// The configuration file.
    File,
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag or environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// How a value is written.
type Value = fn(&ServerSettings) -> String;

/// Every key with its value in force.
///
/// # Errors
/// Where the settings do not hold; see [`SettingsError`].
pub fn show(file: File, cluster_id: Option<&str>, flags: &ServerFlags) -> Result<Vec<Shown>, SettingsError> {
    let source = |flag: bool, file: bool| match (flag, file) {
        (true, _) => Source::Flag,
        (false, true) => Source::File,
        (false, false) => Source::Default,
    };
    // The file is used up by what follows, so the sources come first, each beside the value that it is of.
    let path = |flag: &Option<PathBuf>, file: &Option<PathBuf>| source(flag.is_some(), file.is_some());
    let limits = &flags.limits;
    let mappings = file.map_roles.is_some() || file.map_users.is_some() || file.map_accounts.is_some();
    #[rustfmt::skip]
    let rows: Vec<(&'static str, Source, Value)> = vec![
        ("clusterID", source(cluster_id.is_some(), file.cluster_id.is_some()), |s| s.cluster_id.as_str().to_owned()),
        ("server.partition", source(flags.partition.is_some(), file.partition.is_some()), |s| s.partition.to_string()),
        ("server.region", source(flags.region.is_some(), file.region.is_some()), |s| text(s.region.as_ref())),
        ("server.address", source(flags.address.is_some(), file.address.is_some()), |s| s.address.to_string()),
        ("server.port", source(flags.port.is_some(), file.port.is_some()), |s| s.port.to_string()),
        ("server.healthPort", source(flags.health_port.is_some(), file.health_port.is_some()), |s| s.health_port.to_string()),
        ("server.hostname", source(flags.hostname.is_some(), file.hostname.is_some()), |s| s.hostname.clone()),
        ("server.stateDir", path(&flags.state_dir, &file.state_dir), |s| s.state_dir.display().to_string()),
        ("server.generateKubeconfig", path(&flags.generate_kubeconfig, &file.generate_kubeconfig), |s| s.generate_kubeconfig.display().to_string()),
        ("server.kubeconfigPregenerated", source(flags.kubeconfig_pregenerated.is_some(), file.kubeconfig_pregenerated.is_some()), |s| s.kubeconfig_pregenerated.to_string()),
        ("server.kubeconfig", path(&flags.kubeconfig, &file.kubeconfig), |s| text(s.kubeconfig.as_ref().map(|path| path.display()))),
        ("server.master", source(flags.master.is_some(), file.master.is_some()), |s| text(s.master.as_ref())),
        ("server.backendMode", source(!flags.backend_mode.is_empty(), !file.backend_mode.is_empty()), |s| list(&s.backend_modes)),
        ("server.dynamicfilepath", path(&None, &file.dynamic_file_path), |s| text(s.dynamic_file.as_ref().map(|path| path.display()))),
        ("server.dynamicfileUserIDStrict", source(false, file.dynamic_file_user_id_strict.is_some()), |s| (s.dynamic_file_matches == MatchBy::UserId).to_string()),
        ("server.dynamicBackendModePath", path(&None, &file.dynamic_backend_mode_path), |s| text(s.dynamic_backend_mode.as_ref().map(|path| path.display()))),
        ("server.audiences", source(!flags.audiences.is_empty(), !file.audiences.is_empty()), |s| list(&s.audiences)),
        ("server.scrubbedAccounts", source(false, !file.scrubbed_accounts.is_empty()), |s| list(&s.scrubbed_accounts)),
        ("server.adminPrincipals", source(!flags.admin_principals.is_empty(), !file.admin_principals.is_empty()), |s| list(&s.admin_principals)),
        ("server.snapshotMaxAge", source(flags.snapshot_max_age.is_some(), file.snapshot_max_age.is_some()), |s| s.snapshot_max_age.to_string()),
        ("server.stsConnectTo", source(flags.sts_connect_to.is_some(), file.sts_connect_to.is_some()), |s| text(s.sts.connect_to.as_ref())),
        ("server.stsCABundle", path(&flags.ca_bundle().cloned(), &file.sts_ca_bundle), |s| text(s.sts.ca_bundle.as_ref().map(|path| path.display()))),
        ("--sts-timeout", source(flags.sts_timeout.is_some(), false), |s| s.sts.total_timeout.as_secs().to_string()),
        ("server.ec2DescribeInstancesRoleARN", source(false, file.ec2_role.is_some()), |s| text(s.ec2.role.as_ref())),
        ("server.sourceARN", source(false, file.source_arn.is_some()), |s| text(s.ec2.source.as_ref())),
        ("server.ec2DescribeInstancesQps", source(flags.ec2_qps.is_some(), file.ec2_qps.is_some()), |s| s.ec2.rate.per_second().to_string()),
        ("server.ec2DescribeInstancesBurst", source(flags.ec2_burst.is_some(), file.ec2_burst.is_some()), |s| s.ec2.rate.burst().to_string()),
        ("server.ec2ConnectTo", source(flags.ec2_connect_to.is_some(), file.ec2_connect_to.is_some()), |s| text(s.ec2.ec2.connect_to.as_ref())),
        ("server.stsCacheTTL", source(limits.cache_ttl.is_some(), file.limits.cache_ttl.is_some()), |s| s.sts_limits.cache_ttl.as_secs().to_string()),
        ("server.stsCacheSize", source(limits.cache_size.is_some(), file.limits.cache_size.is_some()), |s| s.sts_limits.cache_size.to_string()),
        ("server.stsQps", source(limits.qps.is_some(), file.limits.qps.is_some()), |s| s.sts_limits.rate.map_or(0, NonZero::get).to_string()),
        ("server.stsBurst", source(limits.burst.is_some(), file.limits.burst.is_some()), |s| s.sts_limits.burst.to_string()),
        ("server.stsAccessKeyQps", source(limits.access_key_qps.is_some(), file.limits.access_key_qps.is_some()), |s| s.sts_limits.access_key_rate.map_or(0, NonZero::get).to_string()),
        ("server.stsAccessKeyBurst", source(limits.access_key_burst.is_some(), file.limits.access_key_burst.is_some()), |s| s.sts_limits.access_key_burst.to_string()),
        ("server.stsConcurrency", source(limits.concurrency.is_some(), file.limits.concurrency.is_some()), |s| s.sts_limits.concurrency.to_string()),
        ("server.mapRoles, mapUsers, mapAccounts", source(false, mappings), |s| format!("{} mapped", s.mounted.index().len())),
    ];
    let settings = ServerSettings::new(file, cluster_id, flags)?;
    Ok(rows.into_iter().map(|(key, source, value)| Shown { key, value: value(&settings), source }).collect())
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

    use super::*;

    #[test]
    fn each_value_has_its_source() {
        let text = "clusterID: from-file\nserver: {port: 1, healthPort: 2, scrubbedAccounts: ['000000000012'], \
                    ec2DescribeInstancesQps: 1, \
                    ec2DescribeInstancesRoleARN: 'arn:aws:iam::111122223333:role/Describe'}";
        let flags = ServerFlags { port: Some(3), ec2_qps: Some(7), ..ServerFlags::default() };
        let shown = show(File::parse(Path::new("f"), text).unwrap(), Some("from-flag"), &flags).unwrap();
        let of = |key: &str| {
            let shown = shown.iter().find(|shown| shown.key == key).unwrap();
            (shown.value.as_str(), shown.source.clone())
        };
        assert_eq!(of("clusterID"), ("from-flag", Source::Flag));
        assert_eq!(of("server.port"), ("3", Source::Flag));
        assert_eq!(of("server.healthPort"), ("2", Source::File));
        assert_eq!(of("server.address"), ("127.0.0.1", Source::Default));
        assert_eq!(of("server.scrubbedAccounts"), ("000000000012", Source::File));
        assert_eq!(of("server.ec2DescribeInstancesQps"), ("7", Source::Flag));
        assert_eq!(of("server.ec2DescribeInstancesBurst"), ("5", Source::Default));
        let role = "arn:aws:iam::111122223333:role/Describe";
        assert_eq!(of("server.ec2DescribeInstancesRoleARN"), (role, Source::File));
        assert_eq!(of("server.sourceARN"), ("", Source::Default));
    }
}
