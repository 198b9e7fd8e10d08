use std::{collections::BTreeSet, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Address, BackendName, ClientAuthError, ConfigError, File, Listen, MaxAge, ServerFlags, Whole,
    client_auth::ClientKeys, limits,
};
use crate::{
    ec2,
    identity::{AccountId, Partition, Principal, PrincipalKind},
    mapping::{BackendMode, MatchBy, Snapshot},
    sts::{ClientOptions, EndpointError, Endpoints, Limits},
    telemetry::{AuditSettings, Diagnosis, Quotes},
    token::{ClusterId, ClusterIdError},
    webhook::certificate::{Clients, Names},
};

/// Where the server listens unless told.
pub(super) const DEFAULT_PORT: u16 = 21362;
/// The name in its certificate unless told.
pub(super) const DEFAULT_HOSTNAME: &str = "localhost";
/// Where its certificate is kept unless told.
pub(super) const DEFAULT_STATE_DIR: &str = "/var/aws-iam-authenticator";

/// How long one call on the way to an instance's name may take. A second one fits into the answer's time.
const EC2_CALL_WITHIN: Duration = Duration::from_secs(4);

/// What `arngate server` runs by: every value checked, every default filled in.
#[derive(Debug)]
pub struct ServerSettings {
    /// What tokens must be signed for.
    pub cluster_id: ClusterId,
    /// Whose principals are let in.
    pub partition: Partition,
    /// A region that is allowed beside those in the table.
    pub region: Option<String>,
    /// STS's hosts in that partition.
    pub endpoints: Endpoints,
    /// Where to listen.
    pub address: Address,
    /// Where to listen; 0 takes any free port.
    pub port: u16,
    /// For plain health checks; 0 takes any free port.
    pub health_port: u16,
    /// For `/metrics` and the health checks; beside the webhook where absent.
    pub metrics_address: Option<Listen>,
    /// Who has to show a certificate.
    pub clients: Clients,
    /// The name in the certificate and in the webhook kubeconfig's URL.
    pub hostname: String,
    /// Where `cert.pem` and `key.pem` are kept.
    pub state_dir: PathBuf,
    /// Where the webhook kubeconfig is written.
    pub generate_kubeconfig: PathBuf,
    /// It is made by hand, and not written.
    pub kubeconfig_pregenerated: bool,
    /// By which the API server is reached; a pod's service account where absent.
    pub kubeconfig: Option<PathBuf>,
    /// The API server's URL, instead of the kubeconfig's.
    pub master: Option<String>,
    /// The backends, in their order; none twice, at least one.
    pub backend_modes: Vec<BackendMode>,
    /// The file of the backend DynamicFile. There where that backend is one of [`Self::backend_modes`], or may be
    /// made one later.
    pub dynamic_file: Option<PathBuf>,
    /// What that file's entries are found by.
    pub dynamic_file_matches: MatchBy,
    /// The file that says which backends there are, while it is there.
    pub dynamic_backend_mode: Option<PathBuf>,
    /// The configuration file's own mappings.
    pub mounted: Arc<Snapshot>,
    /// Who is an administrator whatever the backends say; each of the server's partition.
    pub admin_principals: Vec<Principal>,
    /// How old the last good snapshot of aws-auth may be; zero keeps none.
    pub snapshot_max_age: MaxAge,
    /// Audiences that tokens accepted here are meant for.
    pub audiences: Vec<String>,
    /// Accounts whose principals are neither logged nor described to Kubernetes.
    pub scrubbed_accounts: BTreeSet<AccountId>,
    /// Beginnings of usernames that a backend may not give.
    pub reserved_prefixes: Vec<(BackendMode, Vec<String>)>,
    /// Permission sets match; the gate SSORoleMatch switches them off.
    pub permission_sets: bool,
    /// How STS is reached.
    pub sts: ClientOptions,
    /// How EC2 is reached, and how often.
    pub ec2: ec2::Options,
    /// How much is asked of STS, and what is kept of its answers.
    pub sts_limits: Limits,
    /// Where each decision is written to, where it is.
    pub audit: Option<AuditSettings>,
}

/// Why the settings do not hold.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// No cluster ID anywhere.
    #[error(
        "no cluster ID: set clusterID in the configuration file, -i ID, or \
         KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID; it is what tokens must be signed for"
    )]
    NoClusterId,
    /// A cluster ID that cannot be signed.
    #[error("the cluster ID cannot be used: {0}")]
    ClusterId(#[from] ClusterIdError),
    /// A region or an extra host.
    #[error("STS's hosts: {0}")]
    Endpoints(#[from] EndpointError),
    /// A limit that lets nothing through.
    #[error(
        "ec2-describeInstances-burst is 0, by which EC2 would never be asked: set it to 1 or more, or \
         ec2-describeInstances-qps to 0 for no limit"
    )]
    Ec2Burst,
    /// Clients' certificates.
    #[error(transparent)]
    Clients(#[from] ClientAuthError),
    /// A backend twice.
    #[error("backend-mode names {0} twice")]
    BackendTwice(BackendMode),
    /// The backend DynamicFile without its file.
    #[error(
        "backend-mode names DynamicFile, but no file: set server.dynamicfilepath in the configuration file"
    )]
    NoDynamicFile,
    /// One session as an administrator, where every session of the role would be one.
    #[error(
        "adminPrincipals names {arn}, one session, but all sessions of a role would be administrators: write \
         {role} if they are meant"
    )]
    AdminSession {
        /// As it is written.
        arn: String,
        /// The role.
        role: String,
    },
    /// An administrator who could never be one.
    #[error(
        "adminPrincipals names {arn}, and this server lets in principals of the partition {partition} alone: set \
         server.partition, or remove it"
    )]
    AdminPartition {
        /// Who.
        arn: String,
        /// The server's.
        partition: Partition,
    },
    /// A file that nothing would ever read.
    #[error(
        "server.dynamicfilepath is set, but backend-mode does not name DynamicFile: add it there, or remove \
         dynamicfilepath; it may stand alone where server.dynamicBackendModePath is set"
    )]
    NoDynamicFileBackend,
}

impl ServerSettings {
    /// Reads the file at `path`, where there is one, and lays environment and flags over it.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn load(
        path: Option<&std::path::Path>,
        cluster_id: Option<&str>,
        flags: &ServerFlags,
    ) -> Result<Self, SettingsError> {
        let file = path.map(File::read).transpose()?.unwrap_or_default();
        Self::new(file, cluster_id, flags)
    }

    /// Lays environment and flags over `file`.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(mut file: File, cluster_id: Option<&str>, flags: &ServerFlags) -> Result<Self, SettingsError> {
        let cluster_id =
            cluster_id.or(file.cluster_id.as_deref()).ok_or(SettingsError::NoClusterId)?.parse()?;
        let mounted = mounted(&file);
        let kubeconfig_pregenerated =
            flags.kubeconfig_pregenerated.or(file.kubeconfig_pregenerated).unwrap_or(false);
        let clients = client_keys(flags, &mut file).clients(kubeconfig_pregenerated)?;
        let partition = flags.partition.or(file.partition).unwrap_or(Partition::Aws);
        let region = flags.region.clone().or(file.region);
        let backend_modes = backend_modes(&pick(&flags.backend_mode, file.backend_mode, || {
            vec![BackendMode::MountedFile.into()]
        }))?;
        match (&file.dynamic_file_path, backend_modes.contains(&BackendMode::DynamicFile)) {
            (None, true) => return Err(SettingsError::NoDynamicFile),
            (Some(_), false) if file.dynamic_backend_mode_path.is_none() => {
                return Err(SettingsError::NoDynamicFileBackend);
            }
            _ => {}
        }
        let rate = ec2::Rate::new(
            number(flags.ec2_qps).or(file.ec2_qps).unwrap_or(ec2::Rate::DEFAULT_PER_SECOND),
            number(flags.ec2_burst).or(file.ec2_burst).unwrap_or(ec2::Rate::DEFAULT_BURST),
        )
        .ok_or(SettingsError::Ec2Burst)?;
        let sts = ClientOptions {
            connect_to: flags.sts_connect_to.clone().or(file.sts_connect_to),
            ca_bundle: flags.ca_bundle().cloned().or(file.sts_ca_bundle),
            total_timeout: flags
                .sts_timeout
                .map_or(ClientOptions::default().total_timeout, Duration::from_secs),
            ..ClientOptions::default()
        };
        let admin_principals = pick(&flags.admin_principals, file.admin_principals, Vec::new);
        let session = |principal: &&Principal| matches!(principal.kind(), PrincipalKind::AssumedRole { .. });
        if let Some(session) = admin_principals.iter().find(session) {
            return Err(SettingsError::AdminSession { arn: session.arn(), role: session.canonical_arn() });
        }
        if let Some(foreign) = admin_principals.iter().find(|principal| principal.partition() != partition) {
            return Err(SettingsError::AdminPartition { arn: foreign.arn(), partition });
        }
        Ok(Self {
            cluster_id,
            partition,
            endpoints: Endpoints::new(partition, region.as_deref(), &file.sts_extra_hosts)?,
            region: region.clone(),
            address: flags.address.clone().or(file.address).unwrap_or_default(),
            port: number(flags.port).or(file.port).unwrap_or(DEFAULT_PORT),
            health_port: number(flags.health_port).or(file.health_port).unwrap_or(21363),
            hostname: flags.hostname.clone().or(file.hostname).unwrap_or_else(|| DEFAULT_HOSTNAME.to_owned()),
            state_dir: flags.state_dir.clone().or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            generate_kubeconfig: flags
                .generate_kubeconfig
                .clone()
                .filter(|path| !path.as_os_str().is_empty())
                .or(file.generate_kubeconfig)
                .unwrap_or_else(|| "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml".into()),
            kubeconfig_pregenerated,
            metrics_address: flags.metrics_address.clone().or(file.metrics_address),
            clients,
            kubeconfig: given(flags.kubeconfig.as_ref(), file.kubeconfig),
            master: flags.master.clone().or(file.master).filter(|url| !url.is_empty()),
            backend_modes,
            dynamic_file: file.dynamic_file_path,
            dynamic_file_matches: if file.dynamic_file_user_id_strict == Some(true) {
                MatchBy::UserId
            } else {
                MatchBy::ArnAlone
            },
            dynamic_backend_mode: file.dynamic_backend_mode_path,
            mounted: Arc::new(mounted),
            admin_principals,
            snapshot_max_age: flags
                .snapshot_max_age
                .or(file.snapshot_max_age)
                .unwrap_or(MaxAge(std::time::Duration::from_hours(168))),
            audiences: pick(&flags.audiences, file.audiences, Vec::new),
            scrubbed_accounts: file.scrubbed_accounts.into_iter().collect(),
            reserved_prefixes: file.reserved_prefixes,
            sts_limits: limits::limits(&flags.limits, &file.limits),
            audit: audit(flags, file.audit_log_path, file.audit_log_denial_qps),
            permission_sets: true,
            ec2: ec2::Options {
                role: file.ec2_role,
                source: file.source_arn,
                region,
                rate,
                ec2: ClientOptions {
                    connect_to: flags.ec2_connect_to.clone().or(file.ec2_connect_to),
                    total_timeout: EC2_CALL_WITHIN,
                    ..sts.clone()
                },
                sts: ClientOptions { total_timeout: EC2_CALL_WITHIN, ..sts.clone() },
            },
            sts,
        })
    }
}

impl ServerSettings {
    /// Whom its certificate is for.
    #[must_use]
    pub fn names(&self) -> Names {
        Names { hostname: self.hostname.clone(), address: self.address.of_certificate() }
    }

    /// Where kube-apiserver finds the server, where it listens on `port`.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        let host = &self.hostname;
        if host.contains(':') {
            format!("https://[{host}]:{port}/authenticate")
        } else {
            format!("https://{host}:{port}/authenticate")
        }
    }
}

/// The file's own mappings; what is wrong or odd in them is logged.
fn mounted(file: &File) -> Snapshot {
    let (mounted, diagnostics) =
        Snapshot::from_nodes(file.map_roles.as_ref(), file.map_users.as_ref(), file.map_accounts.as_ref());
    let quotes = Quotes::where_any_is_scrubbed(!file.scrubbed_accounts.is_empty());
    Diagnosis::new("configuration file", Some(file.path.clone())).quoting(quotes).tell(diagnostics);
    mounted
}

/// An empty path says that there is no audit log, whatever the file says.
fn audit(flags: &ServerFlags, path: Option<PathBuf>, denials: Option<u32>) -> Option<AuditSettings> {
    let path = flags.audit_log_path.clone().or(path).filter(|path| !path.as_os_str().is_empty())?;
    let denials = number(flags.audit_log_denial_qps).or(denials);
    let denials = denials.unwrap_or(AuditSettings::DEFAULT_DENIALS_PER_SECOND);
    Some(AuditSettings { destination: path.into(), denials_per_second: NonZeroU32::new(denials) })
}

/// The flag's path, or the file's. An empty flag overrides the file, and says that there is none.
fn given(flag: Option<&PathBuf>, file: Option<PathBuf>) -> Option<PathBuf> {
    flag.cloned().or(file).filter(|path| !path.as_os_str().is_empty())
}

fn client_keys(flags: &ServerFlags, file: &mut File) -> ClientKeys {
    ClientKeys {
        authorities: given(flags.client_ca_file.as_ref(), file.client_ca_file.take()),
        certificate: flags.client_certificate.clone().or(file.client_certificate.take()),
        key: given(flags.client_key.as_ref(), file.client_key.take()),
    }
}

fn number<T: Copy>(flag: Option<Whole<T>>) -> Option<T> {
    flag.map(|Whole(number)| number)
}

/// The backends of these names. One that is named by both of its names is asked once, where it is named first.
fn backend_modes(names: &[BackendName]) -> Result<Vec<BackendMode>, SettingsError> {
    let mut modes = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let mode = name.mode();
        if names.iter().take(index).any(|earlier| earlier == name) {
            return Err(SettingsError::BackendTwice(mode));
        }
        if let Some(older) = name.older() {
            tracing::warn!("backend-mode {older} is an older name: write {mode}");
        }
        if modes.contains(&mode) {
            tracing::warn!("backend-mode names {mode} by both of its names: it is asked once");
        } else {
            modes.push(mode);
        }
    }
    Ok(modes)
}

/// The flag's list, or the file's, or the default: the first that is not empty.
fn pick<T: Clone>(flag: &[T], file: Vec<T>, default: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if !flag.is_empty() {
        flag.to_vec()
    } else if !file.is_empty() {
        file
    } else {
        default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::telemetry::Destination;

    fn file(text: &str) -> File {
        File::parse(Path::new("config.yaml"), text).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_today() {
        let settings = ServerSettings::new(file("clusterID: c"), None, &ServerFlags::default()).unwrap();
        assert_eq!(settings.partition, Partition::Aws);
        assert_eq!((settings.address.to_string().as_str(), settings.port), ("127.0.0.1", 21362));
        assert_eq!(settings.health_port, 21363);
        assert_eq!(settings.hostname, "localhost");
        assert_eq!(settings.state_dir, Path::new("/var/aws-iam-authenticator"));
        let kubeconfig = "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml";
        assert_eq!(settings.generate_kubeconfig, Path::new(kubeconfig));
        assert_eq!(settings.backend_modes, [BackendMode::MountedFile]);
        assert!(!settings.kubeconfig_pregenerated && settings.audiences.is_empty());
        assert_eq!((settings.ec2.rate.per_second(), settings.ec2.rate.burst()), (15, 5));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let text = "clusterID: c\nserver: {port: 1, partition: aws-cn, backendMode: [EKSConfigMap]}";
        let flags = ServerFlags {
            port: Some(Whole(2)),
            backend_mode: vec![BackendMode::MountedFile.into()],
            ..ServerFlags::default()
        };
        let settings = ServerSettings::new(file(text), Some("d"), &flags).unwrap();
        assert_eq!((settings.port, settings.cluster_id.as_str()), (2, "d"));
        assert_eq!(settings.partition, Partition::AwsCn);
        assert_eq!(settings.backend_modes, [BackendMode::MountedFile]);
    }

    #[test]
    fn the_audit_log_is_off_unless_a_path_is_given() {
        let audit = |text: &str, path: Option<&str>, denials: Option<u32>| {
            let flags = ServerFlags {
                audit_log_path: path.map(PathBuf::from),
                audit_log_denial_qps: denials.map(Whole),
                ..ServerFlags::default()
            };
            let text = format!("clusterID: c\nserver: {{{text}}}");
            ServerSettings::new(file(&text), None, &flags).unwrap().audit
        };
        assert_eq!(audit("auditLogDenialQps: 5", None, Some(6)), None);
        let audited = audit("auditLogPath: /a, auditLogDenialQps: 5", None, None).unwrap();
        assert_eq!(
            (audited.destination.to_string().as_str(), audited.denials_per_second),
            ("/a", NonZeroU32::new(5))
        );
        let audited = audit("auditLogPath: /a", Some("-"), Some(0)).unwrap();
        assert_eq!((audited.destination, audited.denials_per_second), (Destination::Stdout, None));
        assert_eq!(audit("auditLogPath: /a", Some(""), None), None, "an empty flag is none");
        assert_eq!(audit("auditLogPath: /a", None, None).unwrap().denials_per_second, NonZeroU32::new(10));
    }

    #[test]
    fn an_empty_flag_is_none_whatever_the_file_says() {
        let text = "clusterID: c\nserver: {kubeconfig: k, master: 'https://m', generateKubeconfig: g}";
        let flags = ServerFlags {
            kubeconfig: Some(PathBuf::new()),
            master: Some(String::new()),
            generate_kubeconfig: Some(PathBuf::new()),
            ..ServerFlags::default()
        };
        let settings = ServerSettings::new(file(text), None, &flags).unwrap();
        assert_eq!((settings.kubeconfig, settings.master), (None, None));
        assert_eq!(settings.generate_kubeconfig, Path::new("g"), "there has to be one");
    }

    #[test]
    fn a_backend_under_both_of_its_names_is_asked_once() {
        let text = "clusterID: c\nserver: {backendMode: [File, ConfigMap, MountedFile]}";
        let settings = ServerSettings::new(file(text), None, &ServerFlags::default()).unwrap();
        assert_eq!(settings.backend_modes, [BackendMode::MountedFile, BackendMode::EksConfigMap]);
    }

    #[test]
    fn what_cannot_hold_is_an_error() {
        let error = |text: &str| ServerSettings::new(file(text), None, &ServerFlags::default()).unwrap_err();
        assert!(matches!(error(""), SettingsError::NoClusterId));
        assert!(matches!(error("clusterID: \"a\\nb\""), SettingsError::ClusterId(_)));
        assert!(matches!(
            error("clusterID: c\nserver: {backendMode: [File, File]}"),
            SettingsError::BackendTwice(BackendMode::MountedFile)
        ));
        assert!(matches!(error("clusterID: c\nserver: {region: 'us east'}"), SettingsError::Endpoints(_)));
        assert!(matches!(
            error("clusterID: c\nserver: {backendMode: [DynamicFile]}"),
            SettingsError::NoDynamicFile
        ));
        let none = "clusterID: c\nserver: {ec2DescribeInstancesBurst: 0}";
        assert!(matches!(error(none), SettingsError::Ec2Burst));
        let alone = "clusterID: c\nserver: {dynamicfilepath: /x}";
        assert!(matches!(error(alone), SettingsError::NoDynamicFileBackend));
        assert!(matches!(
            error("clusterID: c\nserver: {adminPrincipals: ['arn:aws:sts::111122223333:assumed-role/A/s']}"),
            SettingsError::AdminSession { .. }
        ));
        assert!(matches!(
            error("clusterID: c\nserver: {adminPrincipals: ['arn:aws-cn:iam::111122223333:role/A']}"),
            SettingsError::AdminPartition { .. }
        ));
        let later = "clusterID: c\nserver: {dynamicfilepath: /x, dynamicBackendModePath: /y}";
        ServerSettings::new(file(later), None, &ServerFlags::default()).unwrap();
    }
}
