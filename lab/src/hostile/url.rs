//! Scheme, host, path, fragment, and bytes that no URL has.

use arngate::token::TokenError;

use super::{HostileCase, Url};

/// The host that the good token names.
const HOST: &str = "sts.us-east-1.amazonaws.com";

pub(super) fn hosts(good: Url<'_>) -> Vec<HostileCase> {
    let schemes = [("another_scheme", "http://"), ("scheme_in_upper_case", "HTTPS://"), ("no_scheme", "//")]
        .map(|(name, scheme)| HostileCase::of_url(name, &good.with("https://", scheme), TokenError::Scheme));
    let hosts = [
        ("another_host", "example.com"),
        ("look_alike_host_with_suffix", "sts.us-east-1.amazonaws.com.evil.com"),
        ("look_alike_host_of_another_service", "sts.s3.amazonaws.com"),
        ("look_alike_host_without_dot", "stsxus-east-1.amazonaws.com"),
        ("look_alike_host_with_prefix", "evil-sts.us-east-1.amazonaws.com"),
        ("unknown_region", "sts.mars-east-1.amazonaws.com"),
        ("host_of_another_partition", "sts.cn-north-1.amazonaws.com.cn"),
        ("gov_host_with_the_same_suffix", "sts.us-gov-west-1.amazonaws.com"),
        ("ipv4_address", "127.0.0.1"),
        ("ipv6_address", "[::1]"),
        ("decimal_ip_address", "2130706433"),
        ("imds_address", "169.254.169.254"),
        ("imds_ipv6_address", "[fd00:ec2::254]"),
        ("port", "sts.us-east-1.amazonaws.com:443"),
        ("empty_port", "sts.us-east-1.amazonaws.com:"),
        ("userinfo_before_host", "user@sts.us-east-1.amazonaws.com"),
        ("userinfo_with_password", "user:pass@sts.us-east-1.amazonaws.com"),
        ("host_as_userinfo", "sts.us-east-1.amazonaws.com@evil.com"),
        ("trailing_dot", "sts.us-east-1.amazonaws.com."),
        ("upper_case_host", "STS.us-east-1.amazonaws.com"),
        ("punycode_host", "xn--sts-xna.us-east-1.amazonaws.com"),
        ("percent_encoding_in_host", "sts%2Eus-east-1.amazonaws.com"),
        ("percent_encoded_nul_in_host", "sts.us-east-1.amazonaws.com%00"),
        ("fips_host_of_no_region", "sts-fips.amazonaws.com"),
        ("octal_ip_address", "0177.0.0.1"),
        ("backslash_in_host", "evil.com\\.sts.us-east-1.amazonaws.com"),
        ("backslash_behind_host", "sts.us-east-1.amazonaws.com\\"),
        ("empty_host", ""),
    ]
    .map(|(name, host)| HostileCase::of_url(name, &good.with(HOST, host), TokenError::Host));
    let characters = [
        ("idn_host", "sts.us-\u{ff45}ast-1.amazonaws.com"),
        ("nul_in_host", "sts.us-east-1.amazonaws.com\0.evil.com"),
    ]
    .map(|(name, host)| HostileCase::of_url(name, &good.with(HOST, host), TokenError::Character));
    schemes.into_iter().chain(hosts).chain(characters).collect()
}

pub(super) fn paths(good: Url<'_>) -> Vec<HostileCase> {
    let no_query = good.0[..good.0.find('?').unwrap_or(0)].to_owned();
    [
        ("path", good.with("/?", "/x?"), TokenError::Path),
        ("doubled_slash", good.with("/?", "//?"), TokenError::Path),
        ("dot_path", good.with("/?", "/.?"), TokenError::Path),
        ("no_path", good.with("/?", "?"), TokenError::Path),
        ("no_query", no_query, TokenError::Path),
        ("fragment", good.and("#x"), TokenError::Fragment),
        ("empty_fragment", good.and("#"), TokenError::Fragment),
        ("fragment_that_hides_the_query", good.with("/?", "/#?"), TokenError::Fragment),
    ]
    .map(|(name, url, refusal)| HostileCase::of_url(name, &url, refusal))
    .to_vec()
}

pub(super) fn bytes(good: Url<'_>) -> Vec<HostileCase> {
    [
        ("carriage_return", good.with("Action", "\rAction")),
        ("line_feed", good.with("Action", "\nAction")),
        ("tab", good.with("Action", "\tAction")),
        ("space", good.with("Action", " Action")),
        ("delete_character", good.with("Action", "\x7fAction")),
        ("header_smuggled_behind_a_line_break", good.and("\r\nx-k8s-aws-id: other")),
        ("space_at_the_end", good.and(" ")),
        ("space_at_the_beginning", format!(" {}", good.0)),
        ("utf8_beyond_ascii", good.and("ä")),
        // Many a URL library drops line breaks and tabs before it looks at the rest.
        ("line_feed_in_scheme", good.with("https", "ht\ntps")),
        ("tab_in_host", good.with("sts.", "sts\t.")),
        ("carriage_return_in_host", good.with("sts.", "sts\r.")),
        ("space_in_host", good.with("sts.", "sts .")),
        ("line_feed_in_path", good.with("/?", "/\n?")),
        ("tab_in_a_value", good.with("=GetCaller", "=Get\tCaller")),
    ]
    .map(|(name, url)| HostileCase::of_url(name, &url, TokenError::Character))
    .to_vec()
}
