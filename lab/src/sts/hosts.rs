//! STS's and EC2's host names.
//!
//! Regions are told by the patterns that each partition's regions follow, not by a table: an emulator shall
//! not have to know of a new region before the program that it is there to test.
use arngate::identity::Partition;

/// A service that is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The Security Token Service.
    Sts,
    /// EC2, as far as it describes instances.
    Ec2,
}

impl Service {
    /// The name that host names and signatures have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ec2 => "ec2",
        }
    }
}

/// An endpoint, as its host name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint<'a> {
    pub(super) service: Service,
    pub(super) partition: Partition,
    pub(super) region: &'a str,
}

/// How host names of a partition end, and how its regions begin.
///
/// Taken from the AWS SDKs' `partitions.json`: `dnsSuffix`, `dualStackDnsSuffix`, `regionRegex`.
const RULES: [(Partition, &str, Option<&str>, &[&str]); 8] = [
    (Partition::AwsUsGov, "amazonaws.com", Some("api.aws"), &["us-gov-"]),
    (
        Partition::Aws,
        "amazonaws.com",
        Some("api.aws"),
        &["us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"],
    ),
    (Partition::AwsCn, "amazonaws.com.cn", Some("api.amazonwebservices.com.cn"), &["cn-"]),
    (Partition::AwsIso, "c2s.ic.gov", None, &["us-iso-"]),
    (Partition::AwsIsoB, "sc2s.sgov.gov", None, &["us-isob-"]),
    (Partition::AwsIsoE, "cloud.adc-e.uk", None, &["eu-isoe-"]),
    (Partition::AwsIsoF, "csp.hci.ic.gov", None, &["us-isof-"]),
    (Partition::AwsEusc, "amazonaws.eu", Some("api.amazonwebservices.eu"), &["eusc-de-"]),
];

impl<'a> Endpoint<'a> {
    /// The endpoint that `host` names, a name in lower case without a port; `None` if it is nobody's
    /// here.
    pub(super) fn of(host: &'a str) -> Option<Self> {
        // The global endpoint is served by us-east-1.
        if host == "sts.amazonaws.com" {
            return Some(Self { service: Service::Sts, partition: Partition::Aws, region: "us-east-1" });
        }
        let (name, rest) = host.split_once('.')?;
        let service = match name {
            "sts" | "sts-fips" => Service::Sts,
            "ec2" | "ec2-fips" => Service::Ec2,
            _ => return None,
        };
        let (region, suffix) = rest.split_once('.')?;
        RULES.into_iter().find_map(|(partition, dns, dual_stack, prefixes)| {
            let known = suffix == dns || Some(suffix) == dual_stack;
            let area = prefixes.iter().find_map(|prefix| region.strip_prefix(prefix));
            (known && area.is_some_and(is_area)).then_some(Self { service, partition, region })
        })
    }
}

/// Whether `text` is the rest of a region's name, such as `east-1`.
fn is_area(text: &str) -> bool {
    text.split_once('-').is_some_and(|(area, number)| {
        let letters = |byte: u8| byte.is_ascii_lowercase();
        !area.is_empty()
            && area.bytes().all(letters)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_partition() {
        for (host, partition, region) in [
            ("sts.amazonaws.com", Partition::Aws, "us-east-1"),
            ("sts.eu-central-1.amazonaws.com", Partition::Aws, "eu-central-1"),
            ("sts-fips.us-west-2.amazonaws.com", Partition::Aws, "us-west-2"),
            ("sts.ap-southeast-2.api.aws", Partition::Aws, "ap-southeast-2"),
            ("sts.us-gov-west-1.amazonaws.com", Partition::AwsUsGov, "us-gov-west-1"),
            ("sts.cn-north-1.amazonaws.com.cn", Partition::AwsCn, "cn-north-1"),
            ("sts.us-iso-east-1.c2s.ic.gov", Partition::AwsIso, "us-iso-east-1"),
            ("sts.us-isob-east-1.sc2s.sgov.gov", Partition::AwsIsoB, "us-isob-east-1"),
            ("sts.eu-isoe-west-1.cloud.adc-e.uk", Partition::AwsIsoE, "eu-isoe-west-1"),
            ("sts.us-isof-south-1.csp.hci.ic.gov", Partition::AwsIsoF, "us-isof-south-1"),
            ("sts.eusc-de-east-1.amazonaws.eu", Partition::AwsEusc, "eusc-de-east-1"),
        ] {
            let service = Service::Sts;
            assert_eq!(Endpoint::of(host), Some(Endpoint { service, partition, region }), "{host}");
            // The global host is STS's alone.
            let host = host.replacen("sts", "ec2", 1);
            let ec2 = Endpoint { service: Service::Ec2, partition, region };
            assert_eq!(Endpoint::of(&host), (host != "ec2.amazonaws.com").then_some(ec2), "{host}");
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "169.254.169.254",
            "amazonaws.com",
            "iam.amazonaws.com",
            "iam.us-east-1.amazonaws.com",
            "sts.s3.amazonaws.com",
            "sts.us-east-1.amazonaws.com.evil.com",
            "sts.us-east-1.evil.com",
            "sts.us-east-1.amazonaws.com.",
            "sts.us-east-1.amazonaws.com.cn",
            "sts.cn-north-1.amazonaws.com",
            "sts.us-east-1..amazonaws.com",
            "sts.us-east-1-x.amazonaws.com",
            "sts.us--1.amazonaws.com",
            "sts.amazonaws.com.cn",
            "x.sts.us-east-1.amazonaws.com",
            "STS.amazonaws.com",
        ] {
            assert_eq!(Endpoint::of(host), None, "{host}");
        }
    }
}
