//! What keeps a load test from becoming an attack: AWS STS is no target, and neither is a webhook that would ask it.

use arngate::{identity::Partition, sts::Endpoints};

use super::{AnswerKind, Client, Source, StsView, sts_view::StsViewError};
use crate::sts::Credentials;

/// How STS's own hosts end, VPC endpoints included.
const AWS_SUFFIXES: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// Whether a host, in any case, is one of AWS STS's.
pub(super) fn is_sts(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let listed = Partition::ALL.into_iter().any(|partition| {
        Endpoints::new(partition, None, &[]).is_ok_and(|endpoints| endpoints.look_up(&host).is_some())
    });
    let of_aws = AWS_SUFFIXES
        .iter()
        .any(|suffix| host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    listed || of_aws && host.split('.').any(|label| label == "sts" || label.starts_with("sts-"))
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Nobody said where the webhook's STS is.
    #[error(
        "the webhook would have AWS STS verify every token, as far as anybody here knows: let the lab's emulator \
         play STS (--with-arngate, --with-sts, or --sts-metrics URL of one that runs), or say \
         --i-know-this-calls-aws"
    )]
    NoEmulator,
    /// The first token did not reach the emulator.
    #[error(
        "one token was sent ahead, the answer was \"{}\", and the emulator was not asked about it: the webhook's STS \
         is another, or the token is not for it (cluster ID, region, partition). Nothing more was sent. Start arngate \
         with --sts-connect-to and --sts-ca-bundle of the emulator, or say --i-know-this-calls-aws",
        .0.label()
    )]
    NotAsked(AnswerKind),
    /// The target gave no answer.
    #[error("the target does not answer: {0}")]
    Target(#[from] super::SendError),
    /// The emulator gave no answer.
    #[error(transparent)]
    View(#[from] StsViewError),
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] super::TokenError),
}

/// Sends one token, and sees that the emulator is asked about it.
///
/// # Errors
/// Where it is not, or the target does not answer.
pub async fn probe(
    client: &Client,
    sts: &StsView,
    probe: &Credentials,
    source: &Source,
) -> Result<AnswerKind, GuardError> {
    let before = sts.calls_of(&probe.access_key_id).await?;
    let answer = client.send(source.one(probe)?).await?;
    if sts.calls_of(&probe.access_key_id).await? > before {
        Ok(answer)
    } else {
        Err(GuardError::NotAsked(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_sts_are_known_in_every_form() {
        for host in [
            "sts.amazonaws.com",
            "STS.Amazonaws.Com.",
            "sts.eu-central-1.amazonaws.com",
            "sts-fips.us-west-2.amazonaws.com",
            "sts.mars-north-1.amazonaws.com",
            "sts.cn-north-1.amazonaws.com.cn",
            "sts.us-gov-west-1.amazonaws.com",
            "sts.eu-central-1.api.aws",
            "vpce-0123-abcd.sts.us-east-1.vpce.amazonaws.com",
            "sts.us-iso-east-1.c2s.ic.gov",
            "sts.eusc-de-east-1.amazonaws.eu",
        ] {
            assert!(is_sts(host), "{host}");
        }
        for host in [
            "localhost",
            "127.0.0.1",
            "arngate.kube-system.svc",
            "sts.example.com",
            "ABCDEF.gr7.eu-central-1.eks.amazonaws.com",
            "notamazonaws.com",
        ] {
            assert!(!is_sts(host), "{host}");
        }
    }
}
