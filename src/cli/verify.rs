//! `arngate verify`

use std::{
    io::{IsTerminal, Read},
    process::ExitCode,
};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::{Global, sts_options::StsOptions};
use crate::{
    identity::Identity,
    sts::{Client, StsError},
    telemetry::Metrics,
    token,
};

/// A token refused: exit code 3.
const REFUSED: u8 = 3;
/// No verdict: exit code 4.
const NO_VERDICT: u8 = 4;

/// Have STS verify a token, and print whom it vouches for, or why the token is refused
///
/// Mappings are not looked at: this says who the caller is in AWS, not in Kubernetes. Exit code 3 where the token is
/// refused, 4 where STS gives no verdict.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate token -i my-cluster --token-only | arngate verify -t - -i my-cluster
  arngate verify -t - -i my-cluster -o json --partition aws-cn")]
pub(super) struct Args {
    /// The token, or - to read it from standard input, where other users' `ps` does not show it
    #[arg(short, long, value_name = "TOKEN", hide_env_values = true)]
    token: String,
    /// How the answer looks
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    sts: StsOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// The fields of aws-iam-authenticator's `verify -o json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verified<'a> {
    #[serde(rename = "ARN")]
    arn: String,
    #[serde(rename = "CanonicalARN")]
    canonical_arn: String,
    #[serde(rename = "AccountID")]
    account_id: &'a str,
    #[serde(rename = "UserID")]
    user_id: &'a str,
    session_name: &'a str,
    #[serde(rename = "AccessKeyID")]
    access_key_id: &'a str,
    #[serde(rename = "STSEndpoint")]
    sts_endpoint: &'a str,
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let cluster_id = global.cluster_id()?;
    let token = match args.token.as_str() {
        "-" => read_token()?,
        token => token.to_owned(),
    };
    let endpoints = args.sts.endpoints().context("--region")?;
    let request = match token::parse(token.trim_end_matches('\n'), &endpoints, Timestamp::now()) {
        Ok(request) => request,
        Err(error) => return Ok(refused(args.output, REFUSED, error.reason(), &error.to_string())),
    };
    let client = Client::new(&args.sts.client(), &cluster_id, Metrics::new())?;
    let answer = match client.get_caller_identity(&request).await {
        Ok(answer) => answer,
        Err(error @ StsError::Rejected(_)) => {
            return Ok(refused(args.output, REFUSED, "refused_by_sts", &error.to_string()));
        }
        Err(error @ StsError::NoVerdict(_)) => {
            return Ok(refused(args.output, NO_VERDICT, "no_verdict", &error.to_string()));
        }
    };
    let account = answer.account.parse().context("STS answered with a malformed account")?;
    let identity =
        Identity::new(args.sts.partition(), &answer.arn, account, &answer.user_id, request.access_key_id());
    match identity {
        Ok(identity) => print(args.output, &identity, request.endpoint().host())?,
        Err(error) => {
            return Ok(refused(args.output, REFUSED, "not_a_principal", &error.to_string()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(output: Output, identity: &Identity, host: &str) -> anyhow::Result<()> {
    let principal = identity.principal();
    let account = principal.account();
    let verified = Verified {
        arn: principal.arn(),
        canonical_arn: principal.canonical_arn(),
        account_id: account.as_str(),
        user_id: identity.user_id(),
        session_name: identity.session_name(),
        access_key_id: identity.access_key_id(),
        sts_endpoint: host,
    };
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&verified)?),
        Output::Text => {
            for (name, value) in [
                ("ARN", verified.arn.as_str()),
                ("canonical ARN", &verified.canonical_arn),
                ("account", verified.account_id),
                ("user ID", verified.user_id),
                ("session name", verified.session_name),
                ("access key ID", verified.access_key_id),
                ("STS endpoint", verified.sts_endpoint),
            ] {
                println!("{name:14} {value}");
            }
        }
    }
    Ok(())
}

fn refused(output: Output, code: u8, reason: &str, message: &str) -> ExitCode {
    match output {
        Output::Json => println!("{}", serde_json::json!({"Error": {"Reason": reason, "Message": message}})),
        Output::Text => eprintln!("{}: {message}", if code == NO_VERDICT { "no verdict" } else { "refused" }),
    }
    ExitCode::from(code)
}

/// Reads standard input, no further than a token can be long.
fn read_token() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("paste the token, then Enter and Ctrl-D:");
    }
    let mut token = String::new();
    let limit = token::MAX_LEN as u64 + 2;
    std::io::stdin().lock().take(limit).read_to_string(&mut token).context("cannot read the token")?;
    Ok(token)
}
