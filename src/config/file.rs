//! The configuration file as written. Keys are matched without case, as they are today.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Address, BackendName, ClientCertificate, LimitKeys, Listen, MaxAge, section::Section};
use crate::{
    ec2::{RoleArn, SourceArn},
    identity::{AccountId, Principal},
    mapping::BackendMode,
    sts::ExtraHost,
    yaml::{self, First, Node, Position, YamlError},
};

/// The longest configuration file that is read, in bytes.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// What is wrong with the configuration file: where, what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is longer than anything meant.
    #[error("{path} is longer than {MAX_LEN} bytes")]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// It is no YAML.
    #[error("{path}: {error}")]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Where and why. No `source`, or whoever prints the chain says it twice.
        error: YamlError,
    },
    /// A value is not what its key takes.
    #[error("{path}:{}:{}: {key}: {message}", position.line, position.column)]
    Value {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        position: Position,
        /// The key, with the section before it.
        key: String,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

/// What the file says. A key that is absent, or present without a value, says nothing.
#[derive(Debug, Default)]
pub struct File {
    /// Where it was read from; empty where there is none.
    pub path: PathBuf,
    /// The line of each key that says something, by its name with the section before it.
    pub lines: BTreeMap<String, usize>,
    /// `clusterID`
    pub cluster_id: Option<String>,
    /// `server.partition`
    pub partition: Option<crate::identity::Partition>,
    /// `server.region`
    pub region: Option<String>,
    /// `server.port`
    pub port: Option<u16>,
    /// `server.healthPort`
    pub health_port: Option<u16>,
    /// `server.address`; an empty text says every address
    pub address: Option<Address>,
    /// `server.hostname`
    pub hostname: Option<String>,
    /// `server.metricsAddress`
    pub metrics_address: Option<Listen>,
    /// `server.clientCAFile`
    pub client_ca_file: Option<PathBuf>,
    /// `server.clientCertificate`
    pub client_certificate: Option<ClientCertificate>,
    /// `server.clientKey`
    pub client_key: Option<PathBuf>,
    /// `server.stateDir`
    pub state_dir: Option<PathBuf>,
    /// `server.generateKubeconfig`
    pub generate_kubeconfig: Option<PathBuf>,
    /// `server.kubeconfigPregenerated`
    pub kubeconfig_pregenerated: Option<bool>,
    /// `server.kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// `server.master`
    pub master: Option<String>,
    /// `server.backendMode`
    pub backend_mode: Vec<BackendName>,
    /// `server.dynamicfilepath`
    pub dynamic_file_path: Option<PathBuf>,
    /// `server.dynamicfileUserIDStrict`
    pub dynamic_file_user_id_strict: Option<bool>,
    /// `server.dynamicBackendModePath`
    pub dynamic_backend_mode_path: Option<PathBuf>,
    /// `server.audiences`
    pub audiences: Vec<String>,
    /// `server.stsConnectTo`
    pub sts_connect_to: Option<crate::sts::ConnectTo>,
    /// `server.stsCABundle`
    pub sts_ca_bundle: Option<PathBuf>,
    /// `server.stsExtraHosts`, each with `host` and `region`
    pub sts_extra_hosts: Vec<ExtraHost>,
    /// `server.ec2DescribeInstancesRoleARN`
    pub ec2_role: Option<RoleArn>,
    /// `server.sourceARN`
    pub source_arn: Option<SourceArn>,
    /// `server.ec2DescribeInstancesQps`
    pub ec2_qps: Option<u32>,
    /// `server.ec2DescribeInstancesBurst`
    pub ec2_burst: Option<u32>,
    /// `server.ec2ConnectTo`
    pub ec2_connect_to: Option<crate::sts::ConnectTo>,
    /// `server.stsCacheTTL` and the other limits
    pub limits: LimitKeys,
    /// `server.scrubbedAccounts`
    pub scrubbed_accounts: Vec<AccountId>,
    /// `server.reservedPrefixConfig`, each with `backendMode` and `usernamePrefixReserveList`
    pub reserved_prefixes: Vec<(BackendMode, Vec<String>)>,
    /// `server.adminPrincipals`
    pub admin_principals: Vec<Principal>,
    /// `server.snapshotMaxAge`
    pub snapshot_max_age: Option<MaxAge>,
    /// `server.auditLogPath`
    pub audit_log_path: Option<PathBuf>,
    /// `server.auditLogDenialQps`
    pub audit_log_denial_qps: Option<u32>,
    /// `server.mapRoles`
    pub map_roles: Option<Node>,
    /// `server.mapUsers`
    pub map_users: Option<Node>,
    /// `server.mapAccounts`
    pub map_accounts: Option<Node>,
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let error = |source| ConfigError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(error)?.len() > MAX_LEN {
            return Err(ConfigError::TooLong { path: path.to_owned() });
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(error)?)
    }

    /// Reads `text`, which `path` holds.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let limits = yaml::Limits::for_bytes(usize::try_from(MAX_LEN).unwrap_or(usize::MAX));
        let First { document, rest } = yaml::parse_first(text, limits)
            .map_err(|error| ConfigError::Yaml { path: path.to_owned(), error })?;
        if let Some(rest) = rest {
            tracing::warn!(
                file = %path.display(),
                line = rest.position.line,
                "a second document begins in the configuration file, and is ignored: remove the line ---"
            );
        }
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        let Some(document) = document else { return Ok(file) };
        let mut top = Section::new(path, "", document)?;
        file.cluster_id = top.text("clusterID")?;
        if let Some(server) = top.take("server") {
            file.read_server(Section::new(path, "server.", server)?)?;
        }
        top.warn_of_the_rest();
        file.lines.extend(top.lines);
        Ok(file)
    }

    fn read_server(&mut self, mut server: Section<'_>) -> Result<(), ConfigError> {
        self.partition = server.parsed("partition")?;
        self.region = server.text("region")?;
        self.port = server.whole("port")?;
        self.health_port = server.whole("healthPort")?;
        self.address = server.address("address")?;
        self.hostname = server.text("hostname")?;
        self.metrics_address = server.parsed("metricsAddress")?;
        self.client_ca_file = server.text("clientCAFile")?.map(PathBuf::from);
        self.client_certificate = server.parsed("clientCertificate")?;
        self.client_key = server.text("clientKey")?.map(PathBuf::from);
        self.state_dir = server.text("stateDir")?.map(PathBuf::from);
        self.generate_kubeconfig = server.text("generateKubeconfig")?.map(PathBuf::from);
        self.kubeconfig_pregenerated = server.boolean("kubeconfigPregenerated")?;
        self.kubeconfig = server.text("kubeconfig")?.map(PathBuf::from);
        self.master = server.text("master")?;
        self.backend_mode = server.parsed_list("backendMode")?;
        self.dynamic_file_path = server.text("dynamicfilepath")?.map(PathBuf::from);
        self.dynamic_file_user_id_strict = server.boolean("dynamicfileUserIDStrict")?;
        self.dynamic_backend_mode_path = server.text("dynamicBackendModePath")?.map(PathBuf::from);
        self.audiences = server.parsed_list("audiences")?;
        self.sts_connect_to = server.parsed("stsConnectTo")?;
        self.sts_ca_bundle = server.text("stsCABundle")?.map(PathBuf::from);
        self.sts_extra_hosts = server.extra_hosts("stsExtraHosts")?;
        self.ec2_role = server.parsed("ec2DescribeInstancesRoleARN")?;
        self.source_arn = server.parsed("sourceARN")?;
        self.ec2_qps = server.whole("ec2DescribeInstancesQps")?;
        self.ec2_burst = server.whole("ec2DescribeInstancesBurst")?;
        self.ec2_connect_to = server.parsed("ec2ConnectTo")?;
        self.limits = LimitKeys {
            cache_ttl: server.parsed("stsCacheTTL")?,
            cache_size: server.parsed("stsCacheSize")?,
            qps: server.parsed("stsQps")?,
            burst: server.parsed("stsBurst")?,
            access_key_qps: server.parsed("stsAccessKeyQps")?,
            access_key_burst: server.parsed("stsAccessKeyBurst")?,
            concurrency: server.parsed("stsConcurrency")?,
        };
        self.scrubbed_accounts = server.accounts("scrubbedAccounts")?;
        self.reserved_prefixes = server.reserved_prefixes("reservedPrefixConfig")?;
        self.admin_principals = server.parsed_list("adminPrincipals")?;
        self.snapshot_max_age = server.parsed("snapshotMaxAge")?;
        self.audit_log_path = server.text("auditLogPath")?.map(PathBuf::from);
        self.audit_log_denial_qps = server.whole("auditLogDenialQps")?;
        self.map_roles = server.take("mapRoles");
        self.map_users = server.take("mapUsers");
        self.map_accounts = server.take("mapAccounts");
        server.warn_of_the_rest();
        self.lines = server.lines;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, ConfigError> {
        File::parse(Path::new("config.yaml"), text)
    }

    #[test]
    fn keys_are_matched_without_case() {
        let file =
            parse("CLUSTERID: c\nServer:\n  PORT: 1\n  backendmode: [EKSConfigMap, MountedFile]\n").unwrap();
        assert_eq!(file.cluster_id.as_deref(), Some("c"));
        assert_eq!(file.port, Some(1));
        assert_eq!(file.backend_mode, [BackendMode::EksConfigMap.into(), BackendMode::MountedFile.into()]);
        assert_eq!((file.lines["server.port"], file.lines["server.backendMode"]), (3, 4));
    }

    #[test]
    fn an_empty_file_and_empty_values_say_nothing() {
        for text in [
            "",
            "# only a comment\n",
            "clusterID:\nserver:\n",
            "clusterID: ''\nserver: {port: '', master: ~}\n",
        ] {
            let file = parse(text).unwrap();
            assert!(file.cluster_id.is_none() && file.port.is_none() && file.master.is_none(), "{text:?}");
            assert!(!file.lines.contains_key("server.port"), "{text:?}");
        }
    }

    #[test]
    fn a_list_may_be_one_text_with_commas() {
        for text in ["EKSConfigMap,MountedFile", "EKSConfigMap MountedFile", "EKSConfigMap, MountedFile"] {
            let file = parse(&format!("server:\n  backendMode: {text}\n")).unwrap();
            assert_eq!(
                file.backend_mode,
                [BackendMode::EksConfigMap.into(), BackendMode::MountedFile.into()]
            );
        }
    }

    #[test]
    fn the_first_document_counts() {
        let file = parse("clusterID: c\n---\nclusterID: d\nserver: {port: 1}\n---\n[\n").unwrap();
        assert_eq!((file.cluster_id.as_deref(), file.port), (Some("c"), None));
        let error = parse("clusterID: [\n").unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "what is said is not said again: {error}");
    }

    #[test]
    fn truth_values_are_those_of_today() {
        for (text, value) in [
            ("True", Some(true)),
            ("f", Some(false)),
            ("1", Some(true)),
            ("yes", Some(false)),
            ("off", Some(false)),
            ("''", None),
        ] {
            let file = parse(&format!("server: {{kubeconfigPregenerated: {text}}}")).unwrap();
            assert_eq!(file.kubeconfig_pregenerated, value, "{text}");
        }
    }

    #[test]
    fn numbers_and_addresses_are_those_of_today() {
        let file = parse("server: {port: 0x5372, address: ''}").unwrap();
        assert_eq!((file.port, file.address), (Some(0x5372), Some(Address::Everywhere)));
        assert_eq!(file.lines.get("server.address"), Some(&1));
        let file = parse("server: {address: localhost}").unwrap();
        assert_eq!(file.address, Some(Address::Name("localhost".to_owned())));
    }

    #[test]
    fn an_account_that_is_none_is_skipped() {
        let file = parse("server: {scrubbedAccounts: ['', '1234', '111122223333']}").unwrap();
        assert_eq!(file.scrubbed_accounts, ["111122223333".parse().unwrap()]);
    }

    #[test]
    fn prefixes_are_reserved_under_a_backends_newer_name_alone_and_the_last_entry_counts() {
        for (text, wanted) in [
            ("[{backendMode: Foo, usernamePrefixReserveList: [a]}]", &[][..]),
            ("[{backendMode: File, usernamePrefixReserveList: [a]}]", &[]),
            ("[{usernamePrefixReserveList: [a]}]", &[]),
            (
                "[{backendMode: CRD, usernamePrefixReserveList: [a]}, {backendMode: CRD, \
                 usernamePrefixReserveList: [b]}]",
                &["b"],
            ),
            ("{backendMode: CRD, usernamePrefixReserveList: 'a b,c'}", &["a b", "c"]),
        ] {
            let file = parse(&format!("server: {{reservedPrefixConfig: {text}}}")).unwrap();
            let prefixes: Vec<_> = file.reserved_prefixes.iter().flat_map(|(_, prefixes)| prefixes).collect();
            assert_eq!(prefixes, wanted, "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_the_one_that_may_be_meant() {
        let node = yaml::parse("prot: 1\nbackendModes: [x]\ncolour: red\n", yaml::Limits::default())
            .unwrap()
            .unwrap();
        let mut section = Section::new(Path::new("config.yaml"), "server.", node).unwrap();
        for key in ["port", "backendMode", "master"] {
            assert!(section.take(key).is_none());
        }
        let keys: Vec<_> = section.left_over().into_iter().map(|(key, _, meant)| (key, meant)).collect();
        assert_eq!(keys, [("prot", Some("port")), ("backendModes", Some("backendMode")), ("colour", None)]);
    }

    #[test]
    fn an_error_names_file_line_column_and_key() {
        for (text, want) in [
            ("clusterID: c\nserver:\n  port: many\n", "config.yaml:3:9: server.port: \"many\""),
            ("server:\n  port: 1\n  Port: 2\n", "config.yaml:3:3: server.Port: given twice"),
            ("server:\n  partition: awz\n", "config.yaml:2:14: server.partition: \"awz\": unknown partition"),
            ("server: [1]\n", "config.yaml:1:9: server.: want keys"),
            (
                "server:\n  ec2DescribeInstancesRoleARN: x\n",
                "config.yaml:2:32: server.ec2DescribeInstancesRoleARN: \"x\": no IAM role's ARN",
            ),
            ("server:\n  sourceARN: arn:aws:s3:::x\n", "no ARN with an account"),
            ("server:\n  ec2DescribeInstancesQps: -1\n", "config.yaml:2:28: server.ec2DescribeInstancesQps"),
            ("clusterID: [\n", "config.yaml: "),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}\ndoes not contain\n{want}");
        }
    }
}
