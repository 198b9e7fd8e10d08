//! `arngate token`

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Global, mfa, stray::Stray};
use crate::{
    config::truth,
    credentials::{
        self, DEFAULT_REGION, RoleSession, assume_role,
        cache::{Cache, CacheError, CacheKey},
        default_session_name, session_name,
    },
    sts::Endpoint,
    token::{self, Token},
};

/// A token is good for 15 minutes; clients should fetch a new one before that.
const LIFETIME: SignedDuration = SignedDuration::from_mins(14);

/// What client-go tells a credential plugin in.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Where the credential cache is, instead of its place below the home directory, as in aws-iam-authenticator.
const CACHE_FILE: &str = "AWS_IAM_AUTHENTICATOR_CACHE_FILE";

/// Print a token for a cluster, as a client-go credential plugin (ExecCredential) or bare
///
/// It is a presigned STS request, made of the AWS credentials found where the AWS SDKs and the AWS CLI look for them.
///
/// The output is the ExecCredential that kubectl wants of a credential plugin, in the version that it asks for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate token -i my-cluster
  arngate token -i my-cluster -r arn:aws:iam::111122223333:role/Admin --session-name alice --cache
  arngate token -i my-cluster --token-only | arngate verify -t - -i my-cluster")]
pub(super) struct Args {
    /// Region whose STS endpoint signs; by default that of the environment, the profile or the EC2 instance,
    /// and us-east-1 where there is none
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Role to assume first, and sign as
    #[arg(short, long, value_name = "ARN", env = "DEFAULT_ROLE")]
    role: Option<String>,
    /// External ID that the role's trust policy asks for
    #[arg(short, long, value_name = "ID")]
    external_id: Option<String>,
    /// Name of the role session, as mappings' templates and audit logs will show it
    #[arg(short, long, value_name = "NAME")]
    session_name: Option<String>,
    /// Give the role session the name of the session that the credentials already are
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = truth
    )]
    forward_session_name: Option<bool>,
    /// Print the token alone
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = truth
    )]
    token_only: Option<bool>,
    /// Keep credentials that expire in a file until they do, so that an MFA code is asked for once an hour, say:
    /// ~/.kube/cache/aws-iam-authenticator/credentials.yaml, or what `AWS_IAM_AUTHENTICATOR_CACHE_FILE` names
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = truth
    )]
    cache: Option<bool>,
    #[command(flatten)]
    stray: Stray,
}

/// The versions, which differ in nothing that is used here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum ApiVersion {
    #[serde(rename = "client.authentication.k8s.io/v1alpha1")]
    V1alpha1,
    #[serde(rename = "client.authentication.k8s.io/v1")]
    V1,
    #[default]
    #[serde(rename = "client.authentication.k8s.io/v1beta1")]
    V1beta1,
}

#[derive(Deserialize)]
struct ExecInfo {
    #[serde(rename = "apiVersion")]
    api_version: ApiVersion,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'a> {
    kind: &'static str,
    api_version: ApiVersion,
    spec: serde_json::Map<String, serde_json::Value>,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    expiration_timestamp: String,
    token: &'a str,
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let cluster_id = global.cluster_id()?;
    args.stray.tell();
    let forward_session_name = args.forward_session_name.unwrap_or(false);
    if forward_session_name && args.session_name.as_ref().is_some_and(|name| !name.is_empty()) {
        bail!("--forward-session-name and --session-name each name the session: give one of them");
    }
    let api_version = api_version();
    // An empty variable or flag says nothing, as today.
    let role = args.role.as_deref().filter(|role| !role.is_empty());
    let aws = credentials::load(args.region.as_deref()).await;
    let region = aws.region().map_or(DEFAULT_REGION, AsRef::as_ref);
    let endpoint =
        Endpoint::of_client(region, aws.use_fips() == Some(true), aws.use_dual_stack() == Some(true))
            .context("cannot tell STS's endpoint for the region")?;
    let mut credentials = if args.cache.unwrap_or(false) && !credentials::in_environment().await {
        cached(&aws, cluster_id.as_str(), role.unwrap_or_default()).await?
    } else {
        credentials::resolve(&aws, mfa::ask).await?
    };
    if let Some(role) = role {
        credentials = assume(role, &args, &aws, &credentials).await?;
    } else if args.external_id.is_some() || args.session_name.is_some() || forward_session_name {
        tracing::warn!("external ID and session name mean nothing without a role (-r ARN)");
    }
    let now = Timestamp::now();
    let token = token::presign(&credentials, &cluster_id, &endpoint, now).context("cannot sign")?;
    if args.token_only.unwrap_or(false) {
        println!("{}", token.expose());
    } else {
        println!("{}", exec_credential(api_version, &token, now)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// The version that client-go asks for; the default where what it says cannot be understood.
fn api_version() -> ApiVersion {
    let Some(info) = variable(EXEC_INFO) else { return ApiVersion::default() };
    serde_json::from_str::<ExecInfo>(&info).map_or_else(
        |_| {
            let version = "client.authentication.k8s.io/v1beta1";
            tracing::warn!(
                "{EXEC_INFO} names no version of client.authentication.k8s.io that is served here (v1, v1beta1, \
                 v1alpha1): the answer is of {version}"
            );
            ApiVersion::default()
        },
        |info| info.api_version,
    )
}

/// The cache's credentials, else new ones, which go there. A cache that cannot be used is told, and done without.
async fn cached(aws: &SdkConfig, cluster: &str, role: &str) -> anyhow::Result<Credentials> {
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let key = CacheKey { cluster: cluster.to_owned(), profile, role: role.to_owned() };
    let tell = |error: &CacheError| tracing::warn!(%error, "the credential cache");
    let mut cache = cache_file().map(Cache::new);
    if let Some(open) = &cache {
        match open.get(&key, SystemTime::now()).await {
            Ok(Some(credentials)) => return Ok(credentials),
            Ok(None) => {}
            Err(error) => {
                tell(&error);
                if !matches!(error, CacheError::Damaged { .. }) {
                    cache = None;
                }
            }
        }
    } else {
        tracing::warn!("the credential cache: neither HOME nor {CACHE_FILE} says where it is");
    }
    let credentials = credentials::resolve(aws, mfa::ask).await?;
    if let Some(open) = &cache
        && let Err(error) = open.put(key, &credentials, SystemTime::now()).await
    {
        tell(&error);
    }
    Ok(credentials)
}

fn cache_file() -> Option<PathBuf> {
    let below_home = || {
        let home = PathBuf::from(variable("HOME")?);
        Some(home.join(".kube/cache/aws-iam-authenticator/credentials.yaml"))
    };
    variable(CACHE_FILE).map(PathBuf::from).or_else(below_home)
}

/// A variable of the environment; an empty one says nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The credentials of a new session of `role`.
async fn assume(
    role: &str,
    args: &Args,
    aws: &SdkConfig,
    credentials: &Credentials,
) -> anyhow::Result<Credentials> {
    let given = |text: &String| !text.is_empty();
    let mut name = args.session_name.clone().filter(given);
    if args.forward_session_name.unwrap_or(false) {
        name = session_name(aws, credentials).await?;
        if name.is_none() {
            tracing::warn!("the credentials are no role session: there is no session name to forward");
        }
    }
    let session = RoleSession {
        role_arn: role.to_owned(),
        name: name.unwrap_or_else(default_session_name),
        external_id: args.external_id.clone().filter(given),
        ..RoleSession::default()
    };
    Ok(assume_role(aws, credentials, session).await?)
}

fn exec_credential(api_version: ApiVersion, token: &Token, now: Timestamp) -> serde_json::Result<String> {
    // Whole seconds: Kubernetes' own timestamps have no fraction.
    let expires = Timestamp::from_second((now + LIFETIME).as_second()).unwrap_or(now);
    serde_json::to_string(&ExecCredential {
        kind: "ExecCredential",
        api_version,
        spec: serde_json::Map::new(),
        status: Status { expiration_timestamp: expires.to_string(), token: token.expose() },
    })
}
