//! The token parser.
//!
//! **Property.** What is taken is sent byte for byte, to a host of STS's in that partition, within the token's time;
//! the HTTP client that sends it reads the same URL; no part of it that is secret is in its `Debug` text. And what is
//! taken, and what is not, is what a second reading of the rules says, which is made with other means.

use std::{fmt::Write, sync::LazyLock};

use arngate::{
    identity::Partition,
    sts::Endpoints,
    token::{MAX_LEN, PREFIX, PresignedRequest, TokenError, parse},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use url::Url;

/// When every token is looked at: 2026-01-15T12:00:00Z. The corpus' URLs are signed then.
const NOW: i64 = 1_768_478_400;

/// A security token shorter than this may be a word of the `Debug` text: a region, or a host.
const TELLING: usize = 64;

static ENDPOINTS: LazyLock<[(Partition, Endpoints); 8]> = LazyLock::new(|| {
    Partition::ALL
        .map(|partition| (partition, Endpoints::new(partition, None, &[]).expect("the table holds")))
});

/// Looks at a URL, or, where it begins as a token does, at a token.
pub fn check(data: &[u8]) {
    let token = match std::str::from_utf8(data) {
        Ok(text) if text.starts_with(PREFIX) => text.to_owned(),
        _ => format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(data)),
    };
    let now = Timestamp::from_second(NOW).expect("it is a moment");
    let url = signed(&token).and_then(|text| Some((Url::parse(&text).ok()?, text)));
    let mut takers = 0;
    for (partition, endpoints) in ENDPOINTS.iter() {
        let result = parse(&token, endpoints, now);
        let wanted = url.as_ref().is_some_and(|(url, text)| is_good(url, text, *partition, endpoints, now));
        assert_eq!(result.is_ok(), wanted, "{partition}: {result:?}");
        if let Ok(request) = result {
            takers += 1;
            taken(&token, &request, endpoints, *partition);
        }
    }
    assert!(takers <= 1, "a host of {takers} partitions");
}

/// The URL in a token that is one in form.
fn signed(token: &str) -> Option<String> {
    let encoded = token.strip_prefix(PREFIX).filter(|_| token.len() <= MAX_LEN)?;
    let url = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    // Two texts for one URL would be two tokens for one request.
    (URL_SAFE_NO_PAD.encode(&url) == encoded).then_some(())?;
    String::from_utf8(url).ok()
}

fn taken(token: &str, request: &PresignedRequest, endpoints: &Endpoints, partition: Partition) {
    let sent = request.url();
    assert_eq!(
        Some(URL_SAFE_NO_PAD.encode(&sent).as_str()),
        token.strip_prefix(PREFIX),
        "not what was signed"
    );
    let host = request.endpoint().host();
    assert_eq!(endpoints.look_up(host), Some(request.endpoint()), "{host} is in no table");
    assert_eq!(region_of(host, partition), Some(request.endpoint().region()), "{host} is none of STS's");
    let url = Url::parse(&sent).expect("the HTTP client can send it");
    assert_eq!(url.as_str(), sent, "the HTTP client would send another");
    assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some(host), None));

    let signed_at = request.signed_at();
    let (minutes, least) = (SignedDuration::from_mins, SignedDuration::from_nanos(1));
    let at = |now| parse(token, endpoints, now).map(|_| ());
    assert_eq!(at(signed_at + minutes(15)), Ok(()));
    assert_eq!(at(signed_at - minutes(5)), Ok(()));
    assert_eq!(at(signed_at + minutes(15) + least), Err(TokenError::Expired));
    assert_eq!(at(signed_at - minutes(5) - least), Err(TokenError::NotYetValid));
    assert_eq!(request.expires_at(), signed_at + minutes(15));

    let debug = format!("{request:?}");
    for (name, value) in url.query_pairs() {
        let is_secret = match &*name {
            "X-Amz-Signature" | "X-Amz-Credential" => true,
            "X-Amz-Security-Token" => value.len() >= TELLING,
            _ => false,
        };
        assert!(!is_secret || !debug.contains(&*value), "{debug} shows {name}");
    }
    assert!(!debug.contains(request.access_key_id()), "{debug} shows the key");
}

/// The rules once more, on what the `url` crate and jiff make of the text.
fn is_good(url: &Url, text: &str, partition: Partition, endpoints: &Endpoints, now: Timestamp) -> bool {
    const ALWAYS: [&str; 8] = [
        "Action",
        "Version",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    let is_plain = url.as_str() == text
        && url.scheme() == "https"
        && url.path() == "/"
        && url.fragment().is_none()
        && (url.username(), url.password(), url.port()) == ("", None, None);
    let (Some(query), Some(host)) = (url.query().filter(|_| is_plain), url.host_str()) else { return false };
    let Some(region) = region_of(host, partition).filter(|region| is_listed(region, endpoints)) else {
        return false;
    };
    let pairs: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "="))).collect();
    // One encoding a value: else two texts would be one request.
    if !pairs.iter().all(|(_, value)| encoded_again(value).as_deref() == Some(*value)) {
        return false;
    }
    let value = |wanted: &str| {
        let mut all = pairs.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value);
        all.next().filter(|_| all.next().is_none())
    };
    let security_token = value("X-Amz-Security-Token");
    let number_of_names = ALWAYS.len() + usize::from(security_token.is_some());
    if !ALWAYS.iter().all(|name| value(name).is_some())
        || pairs.len() != number_of_names
        || security_token == Some("")
    {
        return false;
    }
    let value = |name| value(name).unwrap_or_default();
    let fixed = [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-SignedHeaders", "host%3Bx-k8s-aws-id"),
    ];
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let signature = value("X-Amz-Signature");
    let scope: Vec<&str> = value("X-Amz-Credential").split("%2F").collect();
    let [key, day, scope_region, "sts", "aws4_request"] = scope.as_slice() else { return false };
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    fixed.iter().all(|(name, wanted)| value(name) == *wanted)
        && signature.len() == 64
        && signature.chars().all(is_digit)
        && seconds(value("X-Amz-Expires")).is_some_and(|seconds| seconds <= 900)
        && (16..=128).contains(&key.len())
        && key.chars().all(is_key)
        && value("X-Amz-Date").split_once('T').is_some_and(|(date, _)| date == *day)
        && *scope_region == region
        && moment(value("X-Amz-Date")).is_some_and(|signed_at| {
            let age = now.duration_since(signed_at);
            age <= SignedDuration::from_mins(15) && age >= SignedDuration::from_mins(-5)
        })
}

/// `value` decoded and encoded as SigV4 does it, where it can be decoded.
fn encoded_again(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a text takes it");
        }
    }
    Some(text)
}

/// A number of seconds. Zeros may stand before it, as many as sixteen bits' parser takes: any number.
fn seconds(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let significant = digits.trim_start_matches('0');
    match significant {
        _ if !is_number => None,
        "" => Some(0),
        _ => significant.parse().ok(),
    }
}

fn moment(date: &str) -> Option<Timestamp> {
    let form = "dddddddd_dddddd_";
    let in_form = date.len() == form.len()
        && date.chars().zip(form.chars()).all(|(c, form)| form == '_' || c.is_ascii_digit())
        && date.ends_with('Z');
    // jiff takes a leap second, which a civil time does not have.
    let is_second = date.get(13..15).is_some_and(|second| second < "60");
    let moment = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok().filter(|_| in_form && is_second)?;
    Offset::UTC.to_timestamp(moment).ok()
}

/// Whether some host in the table is the region's.
fn is_listed(region: &str, endpoints: &Endpoints) -> bool {
    endpoints.iter().any(|endpoint| endpoint.region() == region)
}

/// The region of what is a host of STS's by its form: <https://docs.aws.amazon.com/general/latest/gr/sts.html>.
fn region_of(host: &str, partition: Partition) -> Option<&str> {
    let (suffix, dual_stack) = match partition {
        Partition::Aws | Partition::AwsUsGov => (".amazonaws.com", Some(".api.aws")),
        Partition::AwsCn => (".amazonaws.com.cn", Some(".api.amazonwebservices.com.cn")),
        Partition::AwsIso => (".c2s.ic.gov", None),
        Partition::AwsIsoB => (".sc2s.sgov.gov", None),
        Partition::AwsIsoE => (".cloud.adc-e.uk", None),
        Partition::AwsIsoF => (".csp.hci.ic.gov", None),
        Partition::AwsEusc => (".amazonaws.eu", Some(".api.amazonwebservices.eu")),
    };
    if (host, partition) == ("sts.amazonaws.com", Partition::Aws) {
        return Some("us-east-1");
    }
    let of = |beginning: &str, end: Option<&str>| host.strip_prefix(beginning)?.strip_suffix(end?);
    of("sts.", Some(suffix)).or_else(|| of("sts-fips.", Some(suffix))).or_else(|| of("sts.", dual_stack))
}
