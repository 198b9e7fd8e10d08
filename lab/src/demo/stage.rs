//! What the demo plays on: an STS emulator, an API for aws-auth, and arngate between them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use arngate::{
    config::{File, ServerFlags, ServerSettings},
    server::Server,
    sts::Endpoint,
    token::{ClusterId, Token},
};
use aws_credential_types::Credentials as AwsCredentials;
use jiff::Timestamp;
use tokio::{sync::oneshot, task::JoinHandle};

use super::reviewer::Reviewer;
use crate::{
    config_map_api::ConfigMapApi,
    sts::{Credentials, Emulator, Principals},
};

/// The cluster ID that the demo's tokens are signed for.
pub(super) const CLUSTER_ID: &str = "demo";
/// The region whose STS endpoint they name.
pub(super) const REGION: &str = "us-east-1";
/// The account of everybody in the demo.
pub(super) const ACCOUNT: &str = "111122223333";

/// aws-auth at the start: the role is mapped, and nobody else.
pub(super) const ROLE_ONLY: &str = "- rolearn: arn:aws:iam::111122223333:role/platform/Admin
  username: admin:{{SessionName}}
  groups:
    - system:masters
";
/// What the demo adds.
pub(super) const USER_TOO: &str = "- userarn: arn:aws:iam::111122223333:user/bob
  username: bob
  groups:
    - developers
";

/// Everything running; dropping it stops all but arngate, which [`Stage::stop`] ends gracefully.
pub(super) struct Stage {
    pub(super) emulator: Emulator,
    pub(super) aws_auth: ConfigMapApi,
    pub(super) reviewer: Reviewer,
    pub(super) url: String,
    pub(super) config: String,
    pub(super) role: Credentials,
    pub(super) user: Credentials,
    pub(super) stranger: Credentials,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Stage {
    /// Starts everything, with its files in `folder` and arngate on `port` (0 for any).
    pub(super) async fn set_up(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let principals = Principals::new();
        let role = principals.role(ACCOUNT, "Admin", "alice@example.com");
        let user = principals.user(ACCOUNT, "bob");
        let stranger = principals.user(ACCOUNT, "mallory");
        let emulator =
            Emulator::builder().principals(principals).start().await.context("the STS emulator")?;
        let aws_auth = ConfigMapApi::start().await.context("the API for aws-auth")?;
        aws_auth.replace(map_roles(ROLE_ONLY));

        let ca = folder.join("sts-ca.pem");
        emulator.write_ca(&ca).context("cannot write the emulator's CA")?;
        let kubeconfig = folder.join("aws-auth.kubeconfig");
        std::fs::write(&kubeconfig, aws_auth.kubeconfig()).context("cannot write the kubeconfig")?;
        let config = format!(
            "clusterID: {CLUSTER_ID}
server:
  port: {port}
  healthPort: 0
  backendMode: [EKSConfigMap]
  kubeconfig: {kubeconfig}
  stateDir: {state}
  generateKubeconfig: {webhook}
  stsConnectTo: {sts}
  stsCABundle: {ca}
",
            kubeconfig = quoted(&kubeconfig),
            state = quoted(&folder.join("state")),
            webhook = quoted(&folder.join("webhook.kubeconfig")),
            sts = emulator.address(),
            ca = quoted(&ca),
        );
        let file = folder.join("config.yaml");
        std::fs::write(&file, &config).context("cannot write the configuration")?;

        let settings = ServerSettings::new(File::read(&file)?, None, &ServerFlags::default())?;
        let server = Server::bind(settings).await.context("arngate")?;
        let url = server.url().to_owned();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(async move {
            // The sender going away means the same as its word.
            let _ = stopped.await;
        }));
        let reviewer = Reviewer::new(&url, &folder.join("state/cert.pem"))?;
        Ok(Self { emulator, aws_auth, reviewer, url, config, role, user, stranger, stop, server })
    }

    /// Ends arngate as TERM would.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        self.server.await.context("arngate ended badly")
    }
}

/// A token of `credentials`, signed for `cluster_id` now.
pub(super) fn token(credentials: &Credentials, cluster_id: &str) -> anyhow::Result<Token> {
    let credentials = AwsCredentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "lab",
    );
    let cluster_id: ClusterId = cluster_id.parse()?;
    Ok(arngate::token::presign(&credentials, &cluster_id, &Endpoint::regional(REGION)?, Timestamp::now())?)
}

/// aws-auth with these entries of `mapRoles`.
pub(super) fn map_roles(roles: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("mapRoles".to_owned(), roles.to_owned())])
}

/// A path as a YAML text; JSON's quoting is YAML's.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(PathBuf::from(path).display().to_string()).to_string()
}
