//! STS's own hosts, and no others. A token may name one of these; nothing leaves for any other.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/sts.html>

use std::{collections::HashMap, sync::Arc};

use super::regions;
use crate::identity::Partition;

/// The host of partition aws that belongs to no region, and signs as us-east-1.
const GLOBAL_HOST: &str = "sts.amazonaws.com";
/// The region that [`GLOBAL_HOST`] signs for.
const GLOBAL_REGION: &str = "us-east-1";

/// One of STS's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Box<str>,
    region: Box<str>,
    global: bool,
}

/// A host that is allowed beside STS's public ones, such as a VPC endpoint's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The host as tokens name it.
    pub host: String,
    /// The region that such tokens are signed for.
    pub region: String,
}

/// What is wrong with a configured region or host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No region looks like this.
    #[error("{0:?} is no region: want lower-case letters, digits and hyphens, such as eu-central-1")]
    Region(String),
    /// The region is another partition's.
    #[error("region {region} belongs to partition {owner}, not to {partition}")]
    OtherPartition {
        /// The region.
        region: String,
        /// Whose it is.
        owner: Partition,
        /// Whose it should be.
        partition: Partition,
    },
    /// No host looks like this.
    #[error(
        "{0:?} is no host name: want lower-case labels parted by dots, without port, such as vpce-1.sts.us-east-1.vpce.amazonaws.com"
    )]
    Host(String),
}

impl Endpoint {
    /// The public host of a region, in the region's own partition.
    ///
    /// A region that is not in the table is told by its beginning; anything else is partition aws's, where new
    /// regions appear.
    ///
    /// # Errors
    /// Where `region` cannot be a region's name.
    pub fn regional(region: &str) -> Result<Self, EndpointError> {
        check_region(region)?;
        let partition = owner(region).unwrap_or_else(|| {
            let begins = |prefix: &str| region.starts_with(prefix);
            match () {
                () if begins("cn-") => Partition::AwsCn,
                () if begins("us-gov-") => Partition::AwsUsGov,
                () if begins("us-iso-") => Partition::AwsIso,
                () if begins("us-isob-") => Partition::AwsIsoB,
                () if begins("eu-isoe-") => Partition::AwsIsoE,
                () if begins("us-isof-") => Partition::AwsIsoF,
                () if begins("eusc-") => Partition::AwsEusc,
                () => Partition::Aws,
            }
        });
        Ok(Self::new(&format!("sts.{region}.{}", suffix(partition)), region))
    }

    /// `sts.amazonaws.com`.
    #[must_use]
    pub fn global() -> Self {
        Self { global: true, ..Self::new(GLOBAL_HOST, GLOBAL_REGION) }
    }

    fn new(host: &str, region: &str) -> Self {
        Self { host: host.into(), region: region.into(), global: false }
    }

    /// The host, in lower case, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region that a request to it is signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The metrics' label: the region, or `global`, as aws-iam-authenticator has it.
    #[must_use]
    pub fn region_label(&self) -> &str {
        if self.global { "global" } else { &self.region }
    }
}

/// The hosts of one partition, by name. Small, fixed at start, and so a bound for caches and labels.
#[derive(Debug)]
pub struct Endpoints {
    by_host: HashMap<Box<str>, Arc<Endpoint>>,
}

impl Endpoints {
    /// STS's hosts in `partition`: the global one (aws alone), and each region's plain, FIPS and dual-stack
    /// one, for the regions in the table and `region`; and `extra_hosts`.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn new(
        partition: Partition,
        region: Option<&str>,
        extra_hosts: &[ExtraHost],
    ) -> Result<Self, EndpointError> {
        let mut all = Vec::new();
        if partition == Partition::Aws {
            all.push(Endpoint::global());
        }
        if let Some(region) = region {
            check_region_of(partition, region)?;
        }
        for region in regions::of(partition).iter().copied().chain(region) {
            let suffix = suffix(partition);
            all.push(Endpoint::new(&format!("sts.{region}.{suffix}"), region));
            all.push(Endpoint::new(&format!("sts-fips.{region}.{suffix}"), region));
            if let Some(suffix) = dual_stack_suffix(partition) {
                all.push(Endpoint::new(&format!("sts.{region}.{suffix}"), region));
            }
        }
        for ExtraHost { host, region } in extra_hosts {
            check_region_of(partition, region)?;
            check_host(host)?;
            all.push(Endpoint::new(host, region));
        }
        let by_host = all.into_iter().map(|endpoint| (endpoint.host.clone(), Arc::new(endpoint))).collect();
        Ok(Self { by_host })
    }

    /// The endpoint of exactly this host.
    #[must_use]
    pub fn look_up(&self, host: &str) -> Option<&Arc<Endpoint>> {
        self.by_host.get(host)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.by_host.values()
    }
}

const fn suffix(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
        Partition::AwsCn => "amazonaws.com.cn",
        Partition::AwsIso => "c2s.ic.gov",
        Partition::AwsIsoB => "sc2s.sgov.gov",
        Partition::AwsIsoE => "cloud.adc-e.uk",
        Partition::AwsIsoF => "csp.hci.ic.gov",
        Partition::AwsEusc => "amazonaws.eu",
    }
}

const fn dual_stack_suffix(partition: Partition) -> Option<&'static str> {
    match partition {
        Partition::Aws | Partition::AwsUsGov => Some("api.aws"),
        Partition::AwsCn => Some("api.amazonwebservices.com.cn"),
        Partition::AwsEusc => Some("api.amazonwebservices.eu"),
        Partition::AwsIso | Partition::AwsIsoB | Partition::AwsIsoE | Partition::AwsIsoF => None,
    }
}

/// Which partition's table has `region`.
fn owner(region: &str) -> Option<Partition> {
    Partition::ALL.into_iter().find(|partition| regions::of(*partition).contains(&region))
}

fn check_region_of(partition: Partition, region: &str) -> Result<(), EndpointError> {
    check_region(region)?;
    match owner(region) {
        Some(owner) if owner != partition => {
            Err(EndpointError::OtherPartition { region: region.to_owned(), owner, partition })
        }
        _ => Ok(()),
    }
}

/// At least one hyphen, so that `sts.<region>.amazonaws.com` cannot be made another service's host.
fn check_region(region: &str) -> Result<(), EndpointError> {
    if is_label(region) && region.contains('-') {
        Ok(())
    } else {
        Err(EndpointError::Region(region.to_owned()))
    }
}

fn check_host(host: &str) -> Result<(), EndpointError> {
    let labels: Vec<&str> = host.split('.').collect();
    // A name whose last label is a number is an IP address to whoever resolves it.
    let name = labels.last().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    if host.len() <= 253 && labels.len() >= 2 && name && labels.into_iter().all(is_label) {
        Ok(())
    } else {
        Err(EndpointError::Host(host.to_owned()))
    }
}

/// A host name's label (RFC 1123, 2.1) in lower case.
fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(partition: Partition) -> Endpoints {
        Endpoints::new(partition, None, &[]).unwrap()
    }

    #[test]
    fn each_partition_has_its_own_hosts() {
        for (partition, hosts) in [
            (
                Partition::Aws,
                &[
                    "sts.amazonaws.com",
                    "sts.us-east-1.amazonaws.com",
                    "sts.eu-central-1.api.aws",
                    "sts-fips.us-west-2.amazonaws.com",
                ][..],
            ),
            (
                Partition::AwsCn,
                &["sts.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.api.amazonwebservices.com.cn"],
            ),
            (Partition::AwsUsGov, &["sts.us-gov-west-1.amazonaws.com", "sts.us-gov-east-1.api.aws"]),
            (Partition::AwsIso, &["sts.us-iso-east-1.c2s.ic.gov"]),
            (Partition::AwsIsoB, &["sts.us-isob-east-1.sc2s.sgov.gov"]),
            (Partition::AwsIsoE, &["sts.eu-isoe-west-1.cloud.adc-e.uk"]),
            (Partition::AwsIsoF, &["sts.us-isof-south-1.csp.hci.ic.gov"]),
            (
                Partition::AwsEusc,
                &["sts.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.api.amazonwebservices.eu"],
            ),
        ] {
            for host in hosts {
                assert_eq!(endpoints(partition).look_up(host).map(|endpoint| endpoint.host()), Some(*host));
                for other in Partition::ALL.into_iter().filter(|other| *other != partition) {
                    assert!(endpoints(other).look_up(host).is_none(), "{other} has {host}");
                }
            }
        }
    }

    #[test]
    fn what_only_looks_like_sts_is_not_in_the_table() {
        let endpoints = endpoints(Partition::Aws);
        for host in [
            "",
            "sts",
            "sts.s3.amazonaws.com",
            "sts.us-east-1.amazonaws.com.evil.com",
            "sts.us-east-1.amazonaws.com.",
            "STS.us-east-1.amazonaws.com",
            "sts.mars-1.amazonaws.com",
            "sts.aws-global.amazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "sts-fips.amazonaws.com",
            "sts.us-east-1.amazonaws.com:443",
        ] {
            assert!(endpoints.look_up(host).is_none(), "{host}");
        }
    }

    #[test]
    fn the_global_host_signs_as_us_east_1_and_is_labelled_global() {
        let global = Endpoint::global();
        assert_eq!((global.region(), global.region_label()), ("us-east-1", "global"));
        assert_eq!(Endpoint::regional("us-east-1").unwrap().region_label(), "us-east-1");
    }

    #[test]
    fn a_configured_region_and_extra_hosts_are_added() {
        let extra =
            ExtraHost { host: "vpce-1.sts.us-east-1.vpce.amazonaws.com".into(), region: "us-east-1".into() };
        let endpoints = Endpoints::new(Partition::Aws, Some("mars-north-1"), &[extra]).unwrap();
        assert!(endpoints.look_up("sts.mars-north-1.amazonaws.com").is_some());
        let vpce = endpoints.look_up("vpce-1.sts.us-east-1.vpce.amazonaws.com").unwrap();
        assert_eq!(vpce.region(), "us-east-1");
    }

    #[test]
    fn a_region_or_host_that_is_none_is_refused() {
        for region in ["", "s3", "us-east-1.evil.com", "us_east", "-us-east", "US-EAST-1", "a/b-c"] {
            assert_eq!(Endpoint::regional(region), Err(EndpointError::Region(region.to_owned())));
        }
        for host in ["", "localhost", "127.0.0.1", "a.b:443", "A.b", "a..b", "a.b.", "[::1]", "a.b/c"] {
            let extra = ExtraHost { host: host.to_owned(), region: "us-east-1".to_owned() };
            let error = Endpoints::new(Partition::Aws, None, &[extra]).unwrap_err();
            assert_eq!(error, EndpointError::Host(host.to_owned()));
        }
        assert!(matches!(
            Endpoints::new(Partition::Aws, Some("us-gov-west-1"), &[]),
            Err(EndpointError::OtherPartition { owner: Partition::AwsUsGov, .. })
        ));
    }

    #[test]
    fn a_regions_host_is_in_the_table_of_its_partition() {
        for partition in Partition::ALL {
            for region in regions::of(partition) {
                let endpoint = Endpoint::regional(region).unwrap();
                assert_eq!(
                    endpoints(partition).look_up(endpoint.host()).map(|known| known.region()),
                    Some(*region)
                );
            }
        }
        assert_eq!(Endpoint::regional("cn-mars-1").unwrap().host(), "sts.cn-mars-1.amazonaws.com.cn");
    }
}
