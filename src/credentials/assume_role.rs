use std::{error::Error, fmt, str::FromStr};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_sdk_sts::{
    error::{ProvideErrorMetadata, SdkError},
    types::Credentials as StsCredentials,
};

use crate::identity::Principal;

/// The code that an MFA device shows: six digits. It is good once, and neither Debug nor an error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct MfaCode(String);

/// A text that is no [`MfaCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an MFA code is the six digits that the device shows")]
pub struct MfaCodeError;

impl FromStr for MfaCode {
    type Err = MfaCodeError;

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>, `TokenCode`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { Ok(Self(text.to_owned())) } else { Err(MfaCodeError) }
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaCode(…)")
    }
}

/// The session of a role that is asked for.
#[derive(Debug, Clone, Default)]
pub struct RoleSession {
    /// The role.
    pub role_arn: String,
    /// What the session is called.
    pub name: String,
    /// What the role's trust policy asks for.
    pub external_id: Option<String>,
    /// How long it lasts, in seconds; the role's own default where absent.
    pub duration: Option<i32>,
    /// The serial number or ARN of an MFA device, and a code of it.
    pub mfa: Option<(String, MfaCode)>,
}

/// Why STS gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum AssumeRoleError {
    /// STS refuses the session.
    #[error("cannot assume the role {role}: {code}: {message}; {advice}")]
    Refused {
        /// The role.
        role: String,
        /// STS's error code.
        code: String,
        /// STS's words.
        message: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// STS is not reached, or says nothing that can be used.
    #[error("cannot assume the role {role}: no answer from STS: {reason}")]
    NoAnswer {
        /// The role.
        role: String,
        /// Why.
        reason: String,
    },
    /// STS does not say who the credentials are.
    #[error("cannot ask STS who the credentials are: {0}")]
    Caller(String),
}

/// The credentials of a new session of a role, which `source` asks for.
///
/// # Errors
/// See [`AssumeRoleError`].
pub async fn assume_role(
    aws: &SdkConfig,
    source: &Credentials,
    session: RoleSession,
) -> Result<Credentials, AssumeRoleError> {
    let role = session.role_arn.clone();
    let with_mfa = session.mfa.is_some();
    let (serial, code) = session.mfa.map(|(serial, code)| (serial, code.0)).unzip();
    let answer = client(aws, source)
        .assume_role()
        .role_arn(session.role_arn)
        .role_session_name(session.name)
        .set_external_id(session.external_id)
        .set_duration_seconds(session.duration)
        .set_serial_number(serial)
        .set_token_code(code)
        .send()
        .await;
    match answer {
        Ok(answer) => match answer.credentials.map(from_sts) {
            Some(credentials) => Ok(credentials),
            None => Err(AssumeRoleError::NoAnswer { role, reason: "it holds no credentials".to_owned() }),
        },
        Err(SdkError::ServiceError(error)) => Err(AssumeRoleError::Refused {
            role,
            code: error.err().code().unwrap_or("no error code").to_owned(),
            message: error.err().message().unwrap_or("no message").to_owned(),
            advice: if with_mfa {
                "a code is good once and for half a minute; the rest is the role's trust policy"
            } else {
                "see the role's trust policy: who may assume it, and whether it wants an external ID or MFA"
            },
        }),
        Err(error) => Err(AssumeRoleError::NoAnswer { role, reason: words(&error) }),
    }
}

/// The name of the session that `credentials` are; `None` where they are no session.
///
/// # Errors
/// Where STS does not say.
pub async fn session_name(
    aws: &SdkConfig,
    credentials: &Credentials,
) -> Result<Option<String>, AssumeRoleError> {
    let caller = client(aws, credentials).get_caller_identity().send().await;
    let caller = caller.map_err(|error| AssumeRoleError::Caller(words(&error)))?;
    Ok(caller.user_id.and_then(|id| id.split_once(':').map(|(_, session)| session.to_owned())))
}

/// Who `credentials` are.
///
/// # Errors
/// Where STS does not say, or names somebody whom no mapping could.
pub async fn caller(aws: &SdkConfig, credentials: &Credentials) -> Result<Principal, AssumeRoleError> {
    let caller = client(aws, credentials).get_caller_identity().send().await;
    let caller = caller.map_err(|error| AssumeRoleError::Caller(words(&error)))?;
    let arn = caller.arn.unwrap_or_default();
    Principal::parse(&arn).map_err(|error| AssumeRoleError::Caller(format!("the ARN {arn:?}: {error}")))
}

fn client(aws: &SdkConfig, credentials: &Credentials) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::config::Builder::from(aws).credentials_provider(credentials.clone()).build();
    aws_sdk_sts::Client::from_conf(config)
}

fn from_sts(credentials: StsCredentials) -> Credentials {
    Credentials::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        Some(credentials.session_token),
        credentials.expiration.try_into().ok(),
        "AssumeRoleProvider",
    )
}

/// An error and what it comes from, each in its own words; Debug would hold the request.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(": ");
        words.push_str(&error.to_string());
        source = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_and_is_not_shown() {
        let code: MfaCode = "012345".parse().unwrap();
        assert_eq!(format!("{code:?}"), "MfaCode(…)");
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", " 123456", "123 456"] {
            assert_eq!(text.parse::<MfaCode>(), Err(MfaCodeError), "{text:?}");
        }
    }
}
