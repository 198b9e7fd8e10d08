//! AWS credentials to sign tokens with.
//!
//! ```text
//! environment, profiles, web identity, container, instance ─▶ the SDK's chain ──┐
//! a profile on whose way a role wants an MFA code ─▶ profile ─▶ assume_role ────┤
//! credentials.yaml, shared with aws-iam-authenticator ─▶ cache ─────────────────┴▶ Credentials
//! ```
//!
//! The SDK's own chain ([`aws_config`]) is asked for everything that it knows. What it does not know is
//! `mfa_serial`: it passes that over, and assumes the role without a code. So the roles of such a profile are
//! assumed here, one by one, on top of what the SDK gives for the profile that they begin with.

mod assume_role;
pub mod cache;
mod profile;
mod region;

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError as NotProvided},
};

pub use assume_role::{
    AssumeRoleError, MfaCode, MfaCodeError, RoleSession, assume_role, caller, session_name,
};
pub use profile::default_session_name;
pub use region::DEFAULT_REGION;

/// How long one call to AWS may take, its repetitions included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The SDK's chain has come to nothing.
    #[error(
        "no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws sso login`"
    )]
    NotProvided(#[source] NotProvided),
    /// Nobody gives the code of an MFA device.
    #[error("a role of profile {profile} wants an MFA code of {serial}")]
    Code {
        /// The profile that was asked for.
        profile: String,
        /// The device: its serial number or ARN, as the profile names it.
        serial: String,
        /// Why there is none.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// STS gives no session of a role.
    #[error(transparent)]
    AssumeRole(#[from] AssumeRoleError),
}

/// The SDK's configuration: of the environment and the profile, for `region` where one is asked for.
pub async fn load(region: Option<&str>) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(region::find(region).await)
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
        .load()
        .await
}

/// Whether the environment itself holds an access key, which comes before every profile.
pub async fn in_environment() -> bool {
    EnvironmentVariableCredentialsProvider::new().provide_credentials().await.is_ok()
}

/// The credentials found where the AWS SDKs and the AWS CLI look for them. `ask` is called with an MFA device's
/// serial number or ARN where a role wants a code of it.
///
/// # Errors
/// See [`CredentialsError`].
pub async fn resolve<E>(
    aws: &SdkConfig,
    ask: impl AsyncFn(&str) -> Result<MfaCode, E>,
) -> Result<Credentials, CredentialsError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !in_environment().await
        && let Some(chain) = profile::chain_with_mfa().await
    {
        return chain.credentials(aws, ask).await;
    }
    let Some(provider) = aws.credentials_provider() else {
        return Err(CredentialsError::NotProvided(NotProvided::not_loaded_no_source()));
    };
    provider.provide_credentials().await.map_err(CredentialsError::NotProvided)
}
