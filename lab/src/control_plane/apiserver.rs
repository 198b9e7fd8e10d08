use std::fs;
use std::path::Path;
use std::time::Duration;

use super::process::Process;
use super::{Assets, Certificates, Directory, Error, Webhook, WebhookVersion, readiness};

/// How long kube-apiserver may take to stop. It waits for open requests, among them
/// watches, which only end when it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(10);
const READY_WITHIN: Duration = Duration::from_mins(1);

/// What one start of kube-apiserver depends on.
pub(super) struct Options<'a> {
    pub(super) port: u16,
    pub(super) etcd_port: u16,
    pub(super) certificates: &'a Certificates,
    pub(super) webhook: Option<&'a Webhook>,
    pub(super) log: &'a Path,
}

/// Starts kube-apiserver and waits until it is ready.
pub(super) async fn start(
    assets: &Assets,
    directory: &Directory,
    options: &Options<'_>,
) -> Result<Process, Error> {
    let client = admin_client(options.certificates)?;
    let mut args = arguments(options);
    args.extend(options.webhook.into_iter().flat_map(webhook_arguments));
    let mut apiserver =
        Process::start("kube-apiserver", &assets.kube_apiserver(), &args, directory, options.log)?;
    let readyz = format!("https://127.0.0.1:{}/readyz", options.port);
    readiness::wait(&mut apiserver, &client, &readyz, READY_WITHIN).await?;
    Ok(apiserver)
}

fn arguments(options: &Options<'_>) -> Vec<String> {
    let &Options { port, etcd_port, certificates, .. } = options;
    let file = |flag: &str, path: &Path| format!("{flag}={}", path.display());
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        // Nothing reaches it through the service `kubernetes`, whose endpoints can't be
        // loopback addresses.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        "--permit-port-sharing=true".to_owned(),
        file("--tls-cert-file", &certificates.server),
        file("--tls-private-key-file", &certificates.server_key),
        file("--client-ca-file", &certificates.ca),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        file("--service-account-signing-key-file", &certificates.service_account_key),
        file("--service-account-key-file", &certificates.service_account_public_key),
        "--authorization-mode=Node,RBAC".to_owned(),
        // Whoever is not authenticated shall see that, not be somebody else.
        "--anonymous-auth=false".to_owned(),
        // What keeps a kubelet to its own node, as kubeadm has it.
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        // No controller creates the service accounts that it asks for.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        // Otherwise it waits a minute for open watches to end by themselves.
        "--shutdown-watch-termination-grace-period=1s".to_owned(),
        "--v=2".to_owned(),
    ]
}

fn webhook_arguments(webhook: &Webhook) -> [String; 3] {
    let version = match webhook.version {
        WebhookVersion::V1 => "v1",
        WebhookVersion::V1beta1 => "v1beta1",
    };
    [
        format!("--authentication-token-webhook-config-file={}", webhook.kubeconfig.display()),
        format!("--authentication-token-webhook-version={version}"),
        format!("--authentication-token-webhook-cache-ttl={}ms", webhook.cache_ttl.as_millis()),
    ]
}

fn admin_client(certificates: &Certificates) -> Result<reqwest::Client, Error> {
    let read = |path: &Path| fs::read(path).map_err(Error::io(format!("read {}", path.display())));
    let ca = reqwest::Certificate::from_pem(&read(&certificates.ca)?)?;
    let mut identity = read(&certificates.admin)?;
    identity.extend(read(&certificates.admin_key)?);
    let identity = reqwest::Identity::from_pem(&identity)?;
    Ok(readiness::client().tls_certs_only([ca]).identity(identity).build()?)
}
