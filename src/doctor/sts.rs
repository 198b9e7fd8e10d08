//! STS: whether a host of it answers, with a certificate that is believed, and what its clock says.

use std::{error::Error, io, time::Duration};

use jiff::Timestamp;

use super::{Check, clock, trust};
use crate::{
    config::ServerSettings,
    identity::Partition,
    sts::{ClientError, ClientOptions, Endpoint, MAX_BODY, http, xml},
};

const NAME: &str = "sts";
/// The call that tokens are, without a signature: STS refuses it, in its own form, and that is enough to know it by.
const QUERY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Asks one of STS's hosts that tokens may name.
pub(super) async fn examine(settings: &ServerSettings, within: Duration) -> Vec<Check> {
    let endpoint = match Endpoint::regional(&region(settings)) {
        Ok(endpoint) => endpoint,
        Err(error) => return vec![Check::fail(NAME, error.to_string(), "set server.region to one of AWS's")],
    };
    let host = endpoint.host();
    let options = ClientOptions { total_timeout: within, ..settings.sts.clone() };
    let way = options.connect_to.as_ref().map(|to| format!(" by way of {to}")).unwrap_or_default();
    let client = match http::builder(&options).and_then(|builder| builder.build().map_err(ClientError::Http))
    {
        Ok(client) => client,
        Err(error) => return vec![Check::fail(NAME, error.to_string(), "")],
    };
    let sent = Timestamp::now();
    let response = match client.get(format!("https://{host}/?{QUERY}")).send().await {
        Ok(response) => response,
        Err(error) => {
            let (why, advice) = why(&error, within);
            return vec![
                Check::fail(NAME, format!("{host}{way}: {why}"), advice),
                Check::skip("clock", "STS did not say what time it is"),
            ];
        }
    };
    let received = Timestamp::now();
    let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    let ahead = date.as_deref().and_then(|date| clock::ahead(date, sent, received));
    let clock = ahead.map_or_else(|| Check::skip("clock", "STS's answer has no Date"), clock::judge);
    vec![reached(response, host, &way).await, clock]
}

/// Whether what answered is STS.
async fn reached(response: reqwest::Response, host: &str, way: &str) -> Check {
    const ADVICE: &str = "something between here and STS answers in its place: a proxy, a captive portal, or a wrong \
                          stsConnectTo";
    let status = response.status();
    let body = http::read(response, MAX_BODY).await;
    if !body.is_ok_and(|body| xml::error(&body).is_ok()) {
        return Check::fail(NAME, format!("{host}{way} answers {status}, and not as STS"), ADVICE);
    }
    if status.is_server_error() {
        let advice = "wait, and see AWS's health page";
        return Check::warn(NAME, format!("{host}{way} answers, and fails ({status})"), advice);
    }
    Check::ok(NAME, format!("{host}{way} answers, and its certificate is verified"))
}

/// A region whose host most tokens of the partition's may name: the server's, the environment's, or its first.
fn region(settings: &ServerSettings) -> String {
    let of_environment = || {
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
        let regions = variables.filter_map(|name| std::env::var(name).ok());
        let of_partition = |region: &String| {
            let host = Endpoint::regional(region);
            host.is_ok_and(|host| settings.endpoints.look_up(host.host()).is_some())
        };
        regions.into_iter().find(of_partition)
    };
    settings
        .region
        .clone()
        .or_else(of_environment)
        .unwrap_or_else(|| first_region(settings.partition).to_owned())
}

/// The region that each partition began with, which nobody has to opt in to.
const fn first_region(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws => "us-east-1",
        Partition::AwsCn => "cn-north-1",
        Partition::AwsUsGov => "us-gov-west-1",
        Partition::AwsIso => "us-iso-east-1",
        Partition::AwsIsoB => "us-isob-east-1",
        Partition::AwsIsoE => "eu-isoe-west-1",
        Partition::AwsIsoF => "us-isof-south-1",
        Partition::AwsEusc => "eusc-de-east-1",
    }
}

/// Why there is no answer, and what to do about it. The URL holds nothing secret here, but is long.
pub(super) fn why(error: &reqwest::Error, within: Duration) -> (String, &'static str) {
    if error.is_timeout() {
        return (
            format!("no answer within {} s", within.as_secs()),
            "let this machine out to it on TCP port 443 (security group, route, NAT), or name a VPC endpoint by \
             stsConnectTo or a proxy by HTTPS_PROXY",
        );
    }
    if let Some(tls) = of_tls(error) {
        return (
            format!("its certificate is not believed: {}", trust::words(tls)),
            "where a proxy of yours opens TLS, name its CA by stsCABundle; else install the system's CA certificates, and \
             see that no other host has the address",
        );
    }
    let cause = innermost(error);
    let is_refused = cause.contains("refused");
    let advice = if is_refused {
        "see which address its name has here, and what stsConnectTo and HTTPS_PROXY name"
    } else {
        "see that its name has an address here (DNS), and what stsConnectTo and HTTPS_PROXY name"
    };
    (cause, advice)
}

/// TLS's error within `error`. That of a connection is an error of input and output, which shows its own cause by other
/// means than `source`.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<rustls::Error>().or_else(|| of_tls(inner()?)).or_else(|| of_tls(error.source()?))
}

/// The last cause's words, which are the operating system's or the name server's.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sts::Endpoints;

    #[test]
    fn each_partitions_first_region_is_in_its_table() {
        for partition in Partition::ALL {
            let host = Endpoint::regional(first_region(partition)).unwrap();
            let endpoints = Endpoints::new(partition, None, &[]).unwrap();
            assert!(endpoints.look_up(host.host()).is_some(), "{partition}");
        }
    }
}
