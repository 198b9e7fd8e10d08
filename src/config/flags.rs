use std::path::PathBuf;

use super::{Address, BackendName, ClientCertificate, LimitFlags, Listen, MaxAge, Whole, truth};
use crate::{
    identity::{Partition, Principal},
    sts::ConnectTo,
};

/// The flags of `arngate server`. Absent flags leave the word to the configuration file, and then to the
/// defaults named here.
#[derive(Debug, Default, clap::Args)]
pub struct ServerFlags {
    /// AWS partition whose principals are let in [default: aws]
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<Partition>,
    /// A region to allow beside those in arngate's table
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Where to write the webhook kubeconfig for kube-apiserver
    /// [default: /etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml]
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub generate_kubeconfig: Option<PathBuf>,
    /// The webhook kubeconfig is made by hand: write none [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = truth)]
    pub kubeconfig_pregenerated: Option<bool>,
    /// Where cert.pem and key.pem are kept, and what else outlives a restart [default: /var/aws-iam-authenticator]; an empty one is the working
    /// directory
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub state_dir: Option<PathBuf>,
    /// Kubeconfig by which to watch aws-auth; in a pod, its service account serves
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server, instead of the kubeconfig's; without one, and outside a pod, it is asked without
    /// credentials
    #[arg(long, value_name = "URL")]
    pub master: Option<String>,
    /// Name in the certificate and in the webhook kubeconfig's URL [default: localhost]
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Address or host name to listen on; an empty one is every address [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// Port to listen on; 0 takes any free one [default: 21362]
    #[arg(long, value_name = "PORT")]
    pub port: Option<Whole<u16>>,
    /// Port for plain /healthz on every address; 0 takes any free one [default: 21363]
    #[arg(long, value_name = "PORT")]
    pub health_port: Option<Whole<u16>>,
    /// Address for /metrics, /healthz and /readyz, in plain HTTP; without one they are served beside the webhook
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics_address: Option<Listen>,
    /// PEM file of CAs: TokenReviews are answered to clients with a certificate of theirs alone
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub client_ca_file: Option<PathBuf>,
    /// What the webhook kubeconfig has kube-apiserver show: `generate` for a certificate that arngate issues, and asks
    /// for, itself; or a PEM file of a certificate that a CA of --client-ca-file issued
    #[arg(long, value_name = "FILE|generate")]
    pub client_certificate: Option<ClientCertificate>,
    /// PEM file of that certificate's key
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub client_key: Option<PathBuf>,
    /// Backends to look mappings up in, in this order; the first that matches wins: MountedFile (the
    /// configuration file's mappings), EKSConfigMap (configmap/aws-auth in kube-system), CRD
    /// (the cluster's IAMIdentityMapping objects), DynamicFile (the file that server.dynamicfilepath names) [default: MountedFile]
    #[arg(long, value_name = "MODE,…", value_delimiter = ',')]
    pub backend_mode: Vec<BackendName>,
    /// ARNs of roles and users that are in system:masters whatever the backends say, as the principal that made a
    /// cluster is
    #[arg(long, value_name = "ARN,…", value_delimiter = ',')]
    pub admin_principals: Vec<Principal>,
    /// How old the snapshot of aws-auth in the state directory may be that is served while the API server cannot be
    /// reached after a start, such as 168h; 0 keeps none [default: 168h]
    #[arg(long, value_name = "AGE")]
    pub snapshot_max_age: Option<MaxAge>,
    /// Audiences that tokens accepted here are meant for; none leaves that to the API server
    #[arg(long, value_name = "AUDIENCE,…", value_delimiter = ',')]
    pub audiences: Vec<String>,
    /// Connect here for STS, whatever the token's host (a VPC endpoint, an emulator); Host, SNI and the
    /// certificate check stay. Proxy variables do not count then
    #[arg(long, value_name = "HOST:PORT")]
    pub sts_connect_to: Option<ConnectTo>,
    /// PEM file of CAs to trust for STS and EC2 beside the system's (or those of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`)
    #[arg(long, value_name = "FILE", value_parser = path, env = "AWS_CA_BUNDLE")]
    pub sts_ca_bundle: Option<PathBuf>,
    /// How long one STS call may take, in seconds: 1 to 9, since kube-apiserver wants an answer within 10
    /// [default: 8]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=9))]
    pub sts_timeout: Option<u64>,
    /// ec2:DescribeInstances calls a second for instances' private DNS names; 0 is no limit [default: 15]
    #[arg(long = "ec2-describeInstances-qps", value_name = "CALLS")]
    pub ec2_qps: Option<Whole<u32>>,
    /// ec2:DescribeInstances calls at once [default: 5]
    #[arg(long = "ec2-describeInstances-burst", value_name = "CALLS")]
    pub ec2_burst: Option<Whole<u32>>,
    /// Connect here for EC2 (a VPC endpoint, an emulator); Host, SNI and the certificate check stay. Proxy variables
    /// do not count then
    #[arg(long, value_name = "HOST:PORT")]
    pub ec2_connect_to: Option<ConnectTo>,
    /// Write each decision as a JSON line to this file; - is standard output [default: none]
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub audit_log_path: Option<PathBuf>,
    /// How many denials of the same reason are written to the audit log a second; the others are counted. 0 writes all
    /// [default: 10]
    #[arg(long, value_name = "NUMBER")]
    pub audit_log_denial_qps: Option<Whole<u32>>,
    /// How much is asked of STS.
    #[command(flatten)]
    pub limits: LimitFlags,
}

impl ServerFlags {
    /// The CA bundle. An empty variable says nothing.
    #[must_use]
    pub fn ca_bundle(&self) -> Option<&PathBuf> {
        self.sts_ca_bundle.as_ref().filter(|path| !path.as_os_str().is_empty())
    }
}

/// A path that may be empty, as variables are.
#[expect(clippy::unnecessary_wraps, reason = "clap's parsers may fail")]
fn path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
}
