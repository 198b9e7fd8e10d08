//! The one thing that talks to EC2.

use std::{sync::Arc, time::SystemTime};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::OnceCell;

use super::{
    Failure, InstanceId, Options,
    assume_role::AssumeRole,
    batch::{CallError, Source},
    credentials::{Cached, is_of_credentials},
    endpoint::{Endpoint, Service},
    query::Call,
    xml::{self, ErrorBody, Page},
};
use crate::{
    sts::{ClientError, http},
    xml::XmlError,
};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>
const VERSION: &str = "2016-11-15";

/// The longest answer that is read, in bytes. An instance with every network interface that it can have is
/// described in some 50 KiB, and there are a hundred in an answer at most.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Asks EC2. Where it is, and by which credentials, is looked up when it is first asked: that may take seconds, for
/// which the server's start does not wait, and where no mapping names an instance nobody needs it.
#[derive(Debug)]
pub(super) struct Client {
    options: Options,
    ec2: reqwest::Client,
    sts: reqwest::Client,
    aws: Arc<OnceCell<Aws>>,
}

/// What the AWS configuration says.
#[derive(Debug)]
struct Aws {
    endpoint: Endpoint,
    credentials: Cached<SharedCredentialsProvider>,
}

impl Client {
    pub(super) fn new(options: Options) -> Result<Self, ClientError> {
        let client = |options| http::builder(options)?.build().map_err(ClientError::Http);
        Ok(Self { ec2: client(&options.ec2)?, sts: client(&options.sts)?, options, aws: Arc::default() })
    }

    async fn aws(&self) -> Result<&Aws, Failure> {
        if self.aws.get().is_none() {
            let (cell, options, sts) = (Arc::clone(&self.aws), self.options.clone(), self.sts.clone());
            // In a task of its own: a caller that gives up must not have it begin anew every time.
            let loading =
                tokio::spawn(async move { cell.get_or_try_init(|| load(options, sts)).await.map(drop) });
            loading.await.map_err(|_| Failure::Region)??;
        }
        self.aws.get().ok_or(Failure::Region)
    }
}

/// Finds out where EC2 would be asked, and by which credentials, without asking it; a role that is to be assumed first is.
/// The URL is the answer.
///
/// # Errors
/// Where there is no region, or there are no credentials.
pub async fn find_credentials(options: Options) -> Result<String, FindError> {
    let sts = Client::new(options.clone())?.sts;
    let Aws { endpoint, credentials } = load(options, sts).await?;
    credentials.get(SystemTime::now()).await?;
    Ok(endpoint.url.to_string())
}

/// Why EC2 could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The CA bundle or the proxy variables.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The region or the credentials.
    #[error(transparent)]
    Failure(#[from] Failure),
}

async fn load(options: Options, sts: reqwest::Client) -> Result<Aws, Failure> {
    let sdk = aws_config::defaults(BehaviorVersion::latest()).load().await;
    // An empty variable says nothing.
    let region = sdk.region().map(|region| region.as_ref().to_owned()).filter(|region| !region.is_empty());
    let region = region.or(options.region);
    let Some(region) = region else {
        tracing::error!("cannot ask EC2 for instances' names: {}", Failure::Region);
        return Err(Failure::Region);
    };
    let endpoint = Endpoint::of(Service::Ec2, &region, &sdk)?;
    let provider = sdk.credentials_provider().ok_or(Failure::Credentials)?;
    let provider = match options.role {
        None => provider,
        Some(role) => SharedCredentialsProvider::new(AssumeRole {
            role,
            source: options.source,
            http: sts,
            endpoint: Endpoint::of(Service::Sts, &region, &sdk)?,
            base: Cached::new(provider),
        }),
    };
    tracing::info!(region, url = %endpoint.url, "EC2 is asked for instances' private DNS names");
    Ok(Aws { endpoint, credentials: Cached::new(provider) })
}

impl Source for Client {
    async fn page(&self, instances: &[InstanceId], next_token: Option<&str>) -> Result<Page, CallError> {
        let aws = self.aws().await?;
        let now = SystemTime::now();
        let credentials = aws.credentials.get(now).await?;
        let ids =
            instances.iter().zip(1..).map(|(id, number)| (format!("InstanceId.{number}"), id.to_string()));
        let next = next_token.map(|token| ("NextToken".to_owned(), token.to_owned()));
        let call = Call {
            action: "DescribeInstances",
            version: VERSION,
            parameters: ids.chain(next).collect(),
            headers: Vec::new(),
            max_body: MAX_BODY,
        };
        let answer = call.send(&self.ec2, &aws.endpoint, &credentials, now).await?;
        if answer.status == 200 {
            return Ok(xml::describe_instances(&answer.body).map_err(Failure::from)?);
        }
        let error = xml::error(&answer.body);
        if error.as_ref().is_ok_and(|error| is_of_credentials(&error.code)) {
            aws.credentials.forget().await;
        }
        Err(classify(answer.status, error))
    }
}

/// What an answer with another status than 200 means.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
fn classify(status: u16, error: Result<ErrorBody, XmlError>) -> CallError {
    // EC2's own comes with HTTP 503, others with 400.
    const THROTTLING: [&str; 5] = [
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "EC2ThrottledException",
    ];
    let code = error.as_ref().map(|error| error.code.as_str());
    let failure = match (status, code) {
        (_, Ok("InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed")) => {
            return CallError::Bad(error.map(|error| named(&error.message)).unwrap_or_default());
        }
        (_, Ok(code)) if THROTTLING.contains(&code) => Failure::Throttled,
        (429, _) => Failure::Throttled,
        (500.., _) | (_, Ok("InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable")) => {
            Failure::ServerError(status)
        }
        (400..500, Ok(code)) => {
            let code: String = code.chars().take(64).collect();
            tracing::warn!(code, "EC2 refuses ec2:DescribeInstances");
            Failure::Refused
        }
        // Some 4xx of a proxy: EC2 did not see the call.
        (400..500, Err(_)) => Failure::Unreadable,
        _ => Failure::UnexpectedStatus(status),
    };
    CallError::Failed(failure)
}

/// The instance IDs in a message such as `The instance IDs 'i-0…1, i-0…2' do not exist`.
fn named(message: &str) -> Vec<InstanceId> {
    let words = message.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str, message: &str) -> ErrorBody {
        ErrorBody { code: code.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_failure_is_told_from_a_refusal() {
        for (status, code, failure) in [
            (503, "RequestLimitExceeded", Failure::Throttled),
            (400, "Throttling", Failure::Throttled),
            (429, "Whatever", Failure::Throttled),
            (500, "InternalError", Failure::ServerError(500)),
            (503, "Unavailable", Failure::ServerError(503)),
            (400, "InternalFailure", Failure::ServerError(400)),
            (403, "UnauthorizedOperation", Failure::Refused),
            (401, "AuthFailure", Failure::Refused),
            (302, "Anything", Failure::UnexpectedStatus(302)),
        ] {
            assert_eq!(classify(status, Ok(body(code, ""))), CallError::Failed(failure), "{status} {code}");
        }
        for (status, failure) in [
            (502, Failure::ServerError(502)),
            (407, Failure::Unreadable),
            (204, Failure::UnexpectedStatus(204)),
        ] {
            assert_eq!(classify(status, Err(XmlError::Malformed)), CallError::Failed(failure), "{status}");
        }
    }

    #[test]
    fn bad_ids_are_read_out_of_the_message() {
        let ids = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        for (code, message, bad) in [
            (
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-0123456789abcdef0' does not exist",
                &["i-0123456789abcdef0"][..],
            ),
            (
                "InvalidInstanceID.NotFound",
                "The instance IDs 'i-00000001, i-00000002' do not exist",
                &["i-00000001", "i-00000002"],
            ),
            (
                "InvalidInstanceID.Malformed",
                "Invalid id: \"i-00000003\" (expecting \"i-...\")",
                &["i-00000003"],
            ),
            ("InvalidInstanceID.NotFound", "Nothing is said of i-abc or xi-00000001", &[]),
        ] {
            assert_eq!(classify(400, Ok(body(code, message))), CallError::Bad(ids(bad)), "{message}");
        }
    }
}
