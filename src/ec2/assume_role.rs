//! The role that is assumed before EC2 is asked, `ec2DescribeInstancesRoleARN`.
//!
//! The AWS SDK's own provider has no place for the two headers by which a trust policy knows on whose behalf that
//! is done.

use std::time::SystemTime;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use jiff::Timestamp;

use super::{
    Failure, RoleArn, SourceArn,
    credentials::{Cached, is_of_credentials},
    endpoint::Endpoint,
    query::Call,
};
use crate::{
    sts::{MAX_BODY, xml},
    xml::{XmlError, fields},
};

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
const VERSION: &str = "2011-06-15";
/// How long a session is good, in seconds, as today: an hour, which every role allows.
const DURATION_SECONDS: u32 = 3600;
/// How deep an answer may nest; STS's own nest four deep.
const MAX_DEPTH: usize = 8;

/// Makes sessions of a role.
#[derive(Debug)]
pub(super) struct AssumeRole {
    pub(super) role: RoleArn,
    pub(super) source: Option<SourceArn>,
    pub(super) http: reqwest::Client,
    pub(super) endpoint: Endpoint,
    /// By which the role is assumed.
    pub(super) base: Cached<SharedCredentialsProvider>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum AssumeRoleError {
    #[error("cannot assume the role {role}: {failure}")]
    Failed { role: RoleArn, failure: Failure },
    #[error(
        "cannot assume the role {role}: STS refuses with {code}; its trust policy must name whose credentials are \
         found here, and server.sourceARN where it asks for one"
    )]
    Refused { role: RoleArn, code: String },
    #[error(
        "cannot assume the role {role}: STS answers with HTTP status {status}, and it cannot be read: {source}"
    )]
    Unreadable { role: RoleArn, status: u16, source: XmlError },
}

impl ProvideCredentials for AssumeRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.session(SystemTime::now()).await.map_err(|error| {
                tracing::warn!(%error, "for ec2:DescribeInstances");
                CredentialsError::provider_error(error)
            })
        })
    }
}

impl AssumeRole {
    async fn session(&self, now: SystemTime) -> Result<Credentials, AssumeRoleError> {
        let role = || self.role.clone();
        let failed = |failure| AssumeRoleError::Failed { role: role(), failure };
        let base = self.base.get(now).await.map_err(failed)?;
        let call = self.call(now);
        let answer = call.send(&self.http, &self.endpoint, &base, now).await.map_err(failed)?;
        let status = answer.status;
        let unreadable = |source| AssumeRoleError::Unreadable { role: role(), status, source };
        if status == 200 {
            return credentials(&answer.body).map_err(unreadable);
        }
        // The message may quote the request; the code is a word of STS's.
        let code: String = xml::error(&answer.body).map_err(unreadable)?.code.chars().take(64).collect();
        if is_of_credentials(&code) {
            self.base.forget().await;
        }
        Err(AssumeRoleError::Refused { role: role(), code })
    }

    fn call(&self, now: SystemTime) -> Call<'_> {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let parameters = [
            ("RoleArn", self.role.as_str().to_owned()),
            ("RoleSessionName", format!("arngate-{seconds}")),
            ("DurationSeconds", DURATION_SECONDS.to_string()),
        ];
        let source = self.source.as_ref().map(|source| {
            [("x-amz-source-arn", source.as_str()), ("x-amz-source-account", source.account().as_str())]
        });
        Call {
            action: "AssumeRole",
            version: VERSION,
            parameters: parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            headers: source.into_iter().flatten().collect(),
            max_body: MAX_BODY,
        }
    }
}

/// Reads an `AssumeRoleResponse`.
fn credentials(body: &str) -> Result<Credentials, XmlError> {
    const RESULT: &str = "AssumeRoleResponse/AssumeRoleResult/Credentials";
    let paths = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
        .map(|field| format!("{RESULT}/{field}"));
    let [key, secret, token, end] = fields(body, MAX_DEPTH, paths.each_ref().map(String::as_str))?;
    let end: Timestamp = end.and_then(|end| end.parse().ok()).ok_or(XmlError::Missing)?;
    Ok(Credentials::new(
        key.ok_or(XmlError::Missing)?,
        secret.ok_or(XmlError::Missing)?,
        Some(token.ok_or(XmlError::Missing)?),
        Some(end.into()),
        "AssumeRole",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:x</Arn></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAEXAMPLE</AccessKeyId>
      <SecretAccessKey>secret</SecretAccessKey>
      <SessionToken>token</SessionToken>
      <Expiration>2026-01-15T12:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleResult>
</AssumeRoleResponse>"#;

    #[test]
    fn reads_a_session() {
        let session = credentials(ANSWER).unwrap();
        assert_eq!((session.access_key_id(), session.session_token()), ("ASIAEXAMPLE", Some("token")));
        assert_eq!(session.secret_access_key(), "secret");
        let end: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        assert_eq!(session.expiry(), Some(end.into()));
    }

    #[test]
    fn a_session_that_lacks_a_field_is_none() {
        for field in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
            let without = ANSWER.replace(field, "Other");
            assert_eq!(credentials(&without).unwrap_err(), XmlError::Missing, "{field}");
        }
        let never = ANSWER.replace("2026-01-15T12:00:00Z", "never");
        assert_eq!(credentials(&never).unwrap_err(), XmlError::Missing);
    }
}
