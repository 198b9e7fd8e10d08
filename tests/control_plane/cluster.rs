//! A control plane whose webhook is arngate.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use arngate_lab::{
    control_plane::{ControlPlane, Webhook, WebhookVersion},
    sts::{Credentials, Emulator, Principals},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use crate::support::{self, Server, Setup};

pub(crate) const VERSIONS: [WebhookVersion; 2] = [WebhookVersion::V1, WebhookVersion::V1beta1];

/// The aws-auth that every test begins with: an administrator's role, a developer's and a user's entry.
pub(crate) const MAP_ROLES: &str = "- rolearn: arn:aws:iam::111122223333:role/teams/platform/Admin
  username: admin:{{SessionName}}
  groups:
  - system:masters
- rolearn: arn:aws:iam::111122223333:role/Developer
  username: developer:{{SessionName}}
  groups:
  - developers
";
pub(crate) const MAP_USERS: &str = "- userarn: arn:aws:iam::111122223333:user/bob
  username: bob
  groups:
  - developers
";

pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) control_plane: ControlPlane,
    pub(crate) emulator: Emulator,
    pub(crate) principals: Principals,
    started: Timestamp,
    tokens: AtomicI64,
}

impl Cluster {
    /// arngate starts first, as a static pod may: it has the API server's kubeconfig, and nobody answers there.
    /// Then the API server starts, with arngate's kubeconfig; nothing is cached there, so that every call asks.
    pub(crate) async fn start(version: WebhookVersion) -> Self {
        Self::start_with(version, |_, setup| setup).await
    }

    /// As `start`, with what `more` gives the server besides.
    pub(crate) async fn start_with(
        version: WebhookVersion,
        more: impl FnOnce(&Emulator, Setup) -> Setup,
    ) -> Self {
        // The client for aws-auth asks for the process's provider; a second test finds it set.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (emulator, principals) = support::emulator().await;
        let mut control_plane = ControlPlane::builder().prepare().unwrap();
        let setup = Setup::new(&emulator, "  backendMode: [EKSConfigMap]\n")
            .arg("--kubeconfig", control_plane.admin_kubeconfig().to_str().unwrap());
        let server = more(&emulator, setup).start();
        let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 503, "nothing is loaded before there is an API server");

        let kubeconfig = server.path("webhook.kubeconfig");
        control_plane.set_webhook(Some(Webhook { kubeconfig, version, cache_ttl: Duration::ZERO }));
        control_plane.start().await.unwrap();
        let cluster = Self {
            server,
            control_plane,
            emulator,
            principals,
            started: Timestamp::now(),
            tokens: AtomicI64::new(0),
        };
        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES), ("mapUsers", MAP_USERS)]).await;
        cluster.server.wait_until_ready().await;
        cluster
    }

    /// The API server as its administrator sees it.
    pub(crate) async fn api(&self) -> Api<ConfigMap> {
        let kubeconfig = Kubeconfig::read_from(self.control_plane.admin_kubeconfig()).unwrap();
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Api::namespaced(Client::try_from(config).unwrap(), "kube-system")
    }

    /// Makes aws-auth hold exactly this.
    pub(crate) async fn write_aws_auth(&self, data: &[(&str, &str)]) {
        let data: BTreeMap<String, String> =
            data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let object = ConfigMap {
            metadata: ObjectMeta { name: Some("aws-auth".to_owned()), ..ObjectMeta::default() },
            data: Some(data),
            ..ConfigMap::default()
        };
        let params = PatchParams::apply("test").force();
        self.api().await.patch("aws-auth", &params, &Patch::Apply(object)).await.unwrap();
    }

    /// A token that nobody has seen before. Two that are signed in one second are one token, and kube-apiserver
    /// remembers every token that it took for ten seconds, whatever `--authentication-token-webhook-cache-ttl`
    /// says (k8s.io/apiserver, `TokenSuccessCacheTTL`).
    pub(crate) fn fresh_token(&self, credentials: &Credentials) -> String {
        let seconds = self.tokens.fetch_add(1, Ordering::Relaxed);
        let signed_at = self.started - SignedDuration::from_secs(seconds);
        support::token_for(credentials, support::CLUSTER_ID, signed_at)
    }

    /// `kubectl auth whoami` with a token: the user as the API server sees it, or kubectl's words.
    pub(crate) async fn whoami(&self, token: &str) -> Result<Value, String> {
        let kubeconfig = self.control_plane.kubeconfig_with_token(token).unwrap();
        self.whoami_by(kubeconfig).await
    }

    /// `kubectl auth whoami` by a kubeconfig.
    pub(crate) async fn whoami_by(&self, kubeconfig: PathBuf) -> Result<Value, String> {
        let output =
            self.control_plane.kubectl(&kubeconfig, &["auth", "whoami", "-o", "json"]).await.unwrap();
        if output.success() {
            let review: Value = serde_json::from_str(&output.stdout).unwrap();
            Ok(review["status"]["userInfo"].clone())
        } else {
            Err(output.stderr)
        }
    }

    /// The last audit record's reason.
    pub(crate) fn last_reason(&self) -> String {
        self.server.audit().last().unwrap()["reason"].as_str().unwrap().to_owned()
    }
}
