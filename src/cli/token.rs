//! `arngate token`

use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Global;
use crate::{
    sts::{Client, ClientOptions, Endpoint, Endpoints},
    telemetry::Metrics,
    token::{self, ClusterId, Token},
};

/// Where nothing names a region, as in aws-iam-authenticator.
const DEFAULT_REGION: &str = "us-east-1";

/// A token is good for 15 minutes; clients should fetch a new one before that.
const LIFETIME: SignedDuration = SignedDuration::from_mins(14);

/// What client-go tells a credential plugin in.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Print a token for a cluster: a presigned STS request, made of the AWS credentials found where the AWS SDKs
/// and the AWS CLI look for them.
///
/// The output is the ExecCredential that kubectl wants of a credential plugin, in the version that it asks for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Region whose STS endpoint signs; by default that of the AWS configuration, and us-east-1 where there is
    /// none
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Role to assume first, and sign as
    #[arg(short, long, value_name = "ARN", env = "DEFAULT_ROLE")]
    role: Option<String>,
    /// External ID that the role's trust policy asks for
    #[arg(short, long, value_name = "ID", requires = "role")]
    external_id: Option<String>,
    /// Name of the role session, as mappings' templates and audit logs will show it
    #[arg(short, long, value_name = "NAME", requires = "role", conflicts_with = "forward_session_name")]
    session_name: Option<String>,
    /// Give the role session the name of the session that the credentials already are
    #[arg(long, requires = "role")]
    forward_session_name: bool,
    /// Print the token alone
    #[arg(long)]
    token_only: bool,
}

/// The two versions that differ in nothing that is used here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum ApiVersion {
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
    let Some(cluster_id) = &global.cluster_id else {
        bail!("no cluster ID: say which cluster the token is for with -i ID")
    };
    let cluster_id: ClusterId = cluster_id.parse().context("--cluster-id")?;
    let api_version = match std::env::var(EXEC_INFO) {
        Ok(info) if !info.is_empty() => {
            serde_json::from_str::<ExecInfo>(&info)
                .with_context(|| {
                    format!("{EXEC_INFO} names no version of client.authentication.k8s.io that is served here (v1, v1beta1)")
                })?
                .api_version
        }
        _ => ApiVersion::default(),
    };
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = &args.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let aws = loader.load().await;
    let region = aws.region().map_or(DEFAULT_REGION, AsRef::as_ref);
    let endpoint = Endpoint::regional(region).context("cannot tell STS's endpoint for the region")?;
    let provider = aws.credentials_provider().context("the AWS SDK has no credential provider")?;
    let mut credentials = provider.provide_credentials().await.context(
        "no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws sso login`",
    )?;
    if let Some(role) = &args.role {
        credentials = assume(role, &args, &aws, &credentials, &cluster_id, &endpoint).await?;
    }
    let now = Timestamp::now();
    let token = token::presign(&credentials, &cluster_id, &endpoint, now).context("cannot sign")?;
    if args.token_only {
        println!("{}", token.expose());
    } else {
        println!("{}", exec_credential(api_version, &token, now)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// The credentials of a new session of `role`.
async fn assume(
    role: &str,
    args: &Args,
    aws: &SdkConfig,
    credentials: &Credentials,
    cluster_id: &ClusterId,
    endpoint: &Endpoint,
) -> anyhow::Result<Credentials> {
    let session_name = match &args.session_name {
        Some(name) => name.clone(),
        None if args.forward_session_name => own_session_name(credentials, cluster_id, endpoint).await?,
        None => format!("arngate-{}", Timestamp::now().as_second()),
    };
    let mut builder = AssumeRoleProvider::builder(role)
        .configure(aws)
        .region(Region::new(endpoint.region().to_owned()))
        .session_name(session_name);
    if let Some(external_id) = &args.external_id {
        builder = builder.external_id(external_id);
    }
    let provider = builder.build_from_provider(credentials.clone()).await;
    provider.provide_credentials().await.with_context(|| format!("cannot assume the role {role}"))
}

/// The name of the role session that `credentials` are, as STS says.
async fn own_session_name(
    credentials: &Credentials,
    cluster_id: &ClusterId,
    endpoint: &Endpoint,
) -> anyhow::Result<String> {
    let now = Timestamp::now();
    let token = token::presign(credentials, cluster_id, endpoint, now).context("cannot sign")?;
    let endpoints = Endpoints::of(endpoint);
    let request =
        token::parse(token.expose(), &endpoints, now).context("cannot ask STS who the credentials are")?;
    let client = Client::new(&ClientOptions::default(), cluster_id, Metrics::new())?;
    let caller =
        client.get_caller_identity(&request).await.context("cannot ask STS who the credentials are")?;
    let session = caller.user_id.split_once(':').map(|(_, session)| session.to_owned());
    session.with_context(|| {
        format!("{} is no role session: there is no session name to forward; give one with -s", caller.arn)
    })
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
