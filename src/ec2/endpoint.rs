//! Where a service's API is: the region's public host, or what the AWS configuration names instead.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use reqwest::Url;

use super::Failure;
use crate::{
    identity::Partition,
    sts::endpoint::{dual_stack_suffix, partition_of, suffix},
};

/// A service's API in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) region: String,
    pub(super) service: Service,
}

/// The services that are asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Sts,
}

/// Which of a region's hosts are wanted (`AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Variant {
    fips: bool,
    dual_stack: bool,
}

impl Service {
    /// The name that hosts and signatures have for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
        }
    }

    /// The name that the AWS configuration has for it.
    const fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Sts => "STS",
        }
    }
}

impl Endpoint {
    /// The endpoint that `aws` has for `service` in `region`: `AWS_ENDPOINT_URL_EC2` or `_STS`,
    /// `AWS_ENDPOINT_URL`, their like in the AWS profile, or the region's own.
    ///
    /// # Errors
    /// Where `region` is none, or the URL named is none of HTTP's.
    pub(super) fn of(service: Service, region: &str, aws: &SdkConfig) -> Result<Self, Failure> {
        let variant = Variant {
            fips: aws.use_fips().unwrap_or_default(),
            dual_stack: aws.use_dual_stack().unwrap_or_default(),
        };
        let own = regional_url(service, region, variant)?;
        let url = match override_of(service, aws) {
            None => own,
            Some(text) => match Url::parse(&text) {
                Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
                _ => {
                    tracing::error!(
                        "the endpoint URL that the AWS configuration has for {} is no https:// or http:// URL; mend \
                         AWS_ENDPOINT_URL_{}, AWS_ENDPOINT_URL or the AWS profile",
                        service.id(),
                        service.id()
                    );
                    return Err(Failure::Region);
                }
            },
        };
        Ok(Self { url, region: region.to_owned(), service })
    }
}

fn override_of(service: Service, aws: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service.id())
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = aws.service_config().and_then(|config| config.load_config(key));
    own.or_else(|| aws.endpoint_url().map(str::to_owned)).filter(|url| !url.is_empty())
}

/// <https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>
fn regional_url(service: Service, region: &str, variant: Variant) -> Result<Url, Failure> {
    let partition = partition_of(region).map_err(|error| {
        tracing::error!(%error, "the region that the AWS configuration names cannot be used");
        Failure::Region
    })?;
    let suffix = match dual_stack_suffix(partition) {
        Some(dual_stack) if variant.dual_stack => dual_stack,
        _ => suffix(partition),
    };
    // In GovCloud every host is FIPS's.
    let fips = variant.fips && (partition != Partition::AwsUsGov || variant.dual_stack);
    let name = service.name();
    let prefix = if fips { format!("{name}-fips") } else { name.to_owned() };
    Url::parse(&format!("https://{prefix}.{region}.{suffix}/")).map_err(|_| Failure::Region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_partitions_hosts() {
        let plain = Variant::default();
        let fips = Variant { fips: true, ..plain };
        let dual_stack = Variant { dual_stack: true, ..plain };
        let both = Variant { fips: true, dual_stack: true };
        for (region, variant, url) in [
            ("us-east-1", plain, "https://ec2.us-east-1.amazonaws.com/"),
            ("us-east-1", fips, "https://ec2-fips.us-east-1.amazonaws.com/"),
            ("us-east-1", dual_stack, "https://ec2.us-east-1.api.aws/"),
            ("us-east-1", both, "https://ec2-fips.us-east-1.api.aws/"),
            ("us-gov-west-1", plain, "https://ec2.us-gov-west-1.amazonaws.com/"),
            ("us-gov-west-1", fips, "https://ec2.us-gov-west-1.amazonaws.com/"),
            ("cn-north-1", plain, "https://ec2.cn-north-1.amazonaws.com.cn/"),
            ("us-iso-east-1", dual_stack, "https://ec2.us-iso-east-1.c2s.ic.gov/"),
            ("mars-north-1", plain, "https://ec2.mars-north-1.amazonaws.com/"),
        ] {
            assert_eq!(regional_url(Service::Ec2, region, variant).unwrap().as_str(), url);
        }
        assert_eq!(
            regional_url(Service::Sts, "eu-west-1", plain).unwrap().as_str(),
            "https://sts.eu-west-1.amazonaws.com/"
        );
    }

    #[test]
    fn what_is_no_region_names_no_host() {
        for region in ["", "x", "a.b-c", "us-east-1.evil.example/", "us-east-1@evil.example"] {
            let refused = regional_url(Service::Ec2, region, Variant::default());
            assert_eq!(refused, Err(Failure::Region), "{region}");
        }
    }

    #[test]
    fn the_aws_configuration_may_name_another() {
        let of = |aws: &SdkConfig| Endpoint::of(Service::Ec2, "us-east-1", aws);
        let named = |url: &str| SdkConfig::builder().endpoint_url(url).build();
        assert_eq!(of(&named("http://127.0.0.1:5000")).unwrap().url.as_str(), "http://127.0.0.1:5000/");
        assert_eq!(of(&named("")).unwrap().url.as_str(), "https://ec2.us-east-1.amazonaws.com/");
        for url in ["ftp://x/", "x", "data:,x"] {
            assert_eq!(of(&named(url)), Err(Failure::Region), "{url}");
        }
    }
}
