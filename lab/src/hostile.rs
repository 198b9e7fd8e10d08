//! Tokens that must be refused before anything leaves for STS, each derived from one good token.
//!
//! The tests put every one of them to the parser and to the real server, and count what STS sees.

use arngate::token::{PREFIX, TokenError};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};

/// A token that must be refused, and why.
#[derive(Debug, Clone)]
pub struct HostileCase {
    /// What is wrong with it.
    pub name: &'static str,
    /// The token.
    pub token: String,
    /// The refusal.
    pub refusal: TokenError,
}

/// The host that the good token names.
const HOST: &str = "sts.us-east-1.amazonaws.com";

/// Every hostile case, derived from `url`: a presigned URL for [`HOST`] with a security token, signed at `now`.
///
/// # Panics
/// Where `url` is no such URL, since a case would then test something else than its name says.
#[must_use]
pub fn hostile_tokens(url: &str, now: Timestamp) -> Vec<HostileCase> {
    use TokenError as E;
    let url = Url(url);
    let mut cases = Vec::new();
    let mut add = |name, url: String, refusal| {
        cases.push(HostileCase {
            name,
            token: token(url.as_bytes()),
            refusal,
        })
    };

    // The scheme and the host.
    add("another_scheme", url.with("https://", "http://"), E::Scheme);
    add(
        "scheme_in_upper_case",
        url.with("https://", "HTTPS://"),
        E::Scheme,
    );
    add("no_scheme", url.with("https://", "//"), E::Scheme);
    for (name, host) in [
        ("another_host", "example.com"),
        (
            "look_alike_host_with_suffix",
            "sts.us-east-1.amazonaws.com.evil.com",
        ),
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
        ("backslash_in_host", "evil.com\\.sts.us-east-1.amazonaws.com"),
        ("backslash_behind_host", "sts.us-east-1.amazonaws.com\\"),
        ("empty_host", ""),
    ] {
        add(name, url.with(HOST, host), E::Host);
    }
    add(
        "idn_host",
        url.with(HOST, "sts.us-\u{ff45}ast-1.amazonaws.com"),
        E::Character,
    );
    add(
        "nul_in_host",
        url.with(HOST, "sts.us-east-1.amazonaws.com\0.evil.com"),
        E::Character,
    );

    // The path and the fragment.
    add("path", url.with("/?", "/x?"), E::Path);
    add("doubled_slash", url.with("/?", "//?"), E::Path);
    add("dot_path", url.with("/?", "/.?"), E::Path);
    add("no_path", url.with("/?", "?"), E::Path);
    add(
        "no_query",
        url.0[..url.0.find('?').unwrap_or(0)].to_owned(),
        E::Path,
    );
    add("fragment", format!("{}#x", url.0), E::Fragment);
    add("empty_fragment", format!("{}#", url.0), E::Fragment);
    add(
        "fragment_that_hides_the_query",
        url.with("/?", "/#?"),
        E::Fragment,
    );

    // Bytes that no URL has.
    for (name, text) in [
        ("carriage_return", "\r"),
        ("line_feed", "\n"),
        ("tab", "\t"),
        ("space", " "),
        ("delete", "\x7f"),
    ] {
        add(name, url.with("Action", &format!("{text}Action")), E::Character);
    }
    add(
        "header_smuggled_behind_a_line_break",
        format!("{}\r\nx-k8s-aws-id: other", url.0),
        E::Character,
    );
    add("space_at_the_end", format!("{} ", url.0), E::Character);

    // The query's form.
    add(
        "semicolon_as_separator",
        url.with("&Version", ";Version"),
        E::Query,
    );
    add("empty_parameter", url.with("&Version", "&&Version"), E::Query);
    add("trailing_separator", format!("{}&", url.0), E::Query);
    add(
        "parameter_without_value",
        url.with("Version=2011-06-15", "Version"),
        E::Query,
    );
    add(
        "malformed_percent_sequence",
        url.with("=GetCallerIdentity", "=GetCallerIdentity%"),
        E::Query,
    );
    add(
        "percent_sequence_that_is_no_number",
        url.with("=GetCallerIdentity", "=GetCallerIdentity%zz"),
        E::Query,
    );
    add(
        "percent_sequence_cut_off",
        url.with("=GetCallerIdentity", "=GetCallerIdentity%2"),
        E::Query,
    );
    add(
        "needless_percent_encoding",
        url.with("=GetCallerIdentity", "=%47etCallerIdentity"),
        E::Query,
    );
    add(
        "plus_for_space",
        url.with("=GetCallerIdentity", "=+GetCallerIdentity"),
        E::Query,
    );
    add(
        "second_question_mark",
        url.with("=GetCallerIdentity", "=GetCallerIdentity?"),
        E::Query,
    );

    // Parameters twice, in another case, encoded, or unknown.
    let credential = url.value("X-Amz-Credential");
    add(
        "duplicate_parameter",
        format!("{}&X-Amz-Credential={credential}", url.0),
        E::DuplicateParameter,
    );
    add(
        "duplicate_action",
        format!("{}&Action=GetCallerIdentity", url.0),
        E::DuplicateParameter,
    );
    add(
        "duplicate_in_another_case",
        format!("{}&x-amz-credential={credential}", url.0),
        E::UnknownParameter,
    );
    add(
        "parameter_in_another_case",
        url.with("X-Amz-Date", "x-amz-date"),
        E::UnknownParameter,
    );
    add(
        "action_in_another_case",
        url.with("Action", "action"),
        E::UnknownParameter,
    );
    add(
        "percent_encoded_name",
        url.with("Action", "%41ction"),
        E::UnknownParameter,
    );
    add(
        "duplicate_by_percent_encoded_name",
        format!("{}&%41ction=GetCallerIdentity", url.0),
        E::UnknownParameter,
    );
    add(
        "unknown_parameter",
        format!("{}&DurationSeconds=900", url.0),
        E::UnknownParameter,
    );

    // Values.
    add("another_action", url.set("Action", "AssumeRole"), E::Action);
    add(
        "action_with_another_behind_it",
        url.set("Action", "GetCallerIdentityX"),
        E::Action,
    );
    add("another_version", url.set("Version", "2010-05-08"), E::Version);
    add(
        "another_algorithm",
        url.set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        E::Algorithm,
    );
    add(
        "no_algorithm",
        url.without("X-Amz-Algorithm"),
        E::MissingParameter("X-Amz-Algorithm"),
    );
    add(
        "no_action",
        url.with("Action=GetCallerIdentity&", ""),
        E::MissingParameter("Action"),
    );
    add(
        "no_version",
        url.without("Version"),
        E::MissingParameter("Version"),
    );
    let scope: Vec<&str> = credential.split("%2F").collect();
    let scoped = |parts: &[&str]| url.set("X-Amz-Credential", &parts.join("%2F"));
    let (key, date, region) = (scope[0], scope[1], scope[2]);
    add("credential_without_scope", scoped(&[key]), E::Credential);
    add(
        "credential_of_another_service",
        scoped(&[key, date, region, "s3", "aws4_request"]),
        E::Credential,
    );
    add(
        "credential_with_another_end",
        scoped(&[key, date, region, "sts", "aws5_request"]),
        E::Credential,
    );
    add(
        "credential_with_a_part_more",
        scoped(&[key, date, region, "sts", "aws4_request", "x"]),
        E::Credential,
    );
    add(
        "credential_without_key",
        scoped(&["", date, region, "sts", "aws4_request"]),
        E::Credential,
    );
    add(
        "credential_of_another_day",
        scoped(&[key, "20200101", region, "sts", "aws4_request"]),
        E::CredentialDate,
    );
    add(
        "credential_of_no_day",
        scoped(&[key, "", region, "sts", "aws4_request"]),
        E::CredentialDate,
    );
    add(
        "credential_of_another_region",
        scoped(&[key, date, "eu-central-1", "sts", "aws4_request"]),
        E::CredentialRegion,
    );
    add(
        "global_host_with_another_region",
        {
            let elsewhere = scoped(&[key, date, "eu-central-1", "sts", "aws4_request"]);
            Url(&elsewhere).with(HOST, "sts.amazonaws.com")
        },
        E::CredentialRegion,
    );
    add(
        "no_credential",
        url.without("X-Amz-Credential"),
        E::MissingParameter("X-Amz-Credential"),
    );
    add(
        "host_not_signed",
        url.set("X-Amz-SignedHeaders", "x-k8s-aws-id"),
        E::SignedHeaders,
    );
    add(
        "cluster_id_not_signed",
        url.set("X-Amz-SignedHeaders", "host"),
        E::SignedHeaders,
    );
    add(
        "another_header_signed",
        url.set("X-Amz-SignedHeaders", "accept%3Bhost%3Bx-k8s-aws-id"),
        E::SignedHeaders,
    );
    add(
        "no_signed_headers",
        url.without("X-Amz-SignedHeaders"),
        E::MissingParameter("X-Amz-SignedHeaders"),
    );
    for (name, value) in [
        ("expires_too_large", "901"),
        ("expires_negative", "-1"),
        ("expires_overflowing", "99999999999999999999"),
        ("expires_overflowing_16_bits", "65537"),
        ("expires_not_a_number", "x"),
        ("expires_empty", ""),
        ("expires_fraction", "60.5"),
    ] {
        add(name, url.set("X-Amz-Expires", value), E::Expires);
    }
    add("expires_with_sign", url.set("X-Amz-Expires", "%2B60"), E::Expires);
    add(
        "no_expires",
        url.without("X-Amz-Expires"),
        E::MissingParameter("X-Amz-Expires"),
    );
    add(
        "no_date",
        url.without("X-Amz-Date"),
        E::MissingParameter("X-Amz-Date"),
    );
    for (name, value) in [
        ("date_empty", ""),
        ("date_without_time", "20260101"),
        ("date_in_another_form", "2026-01-01T00%3A00%3A00Z"),
        ("date_without_zone", "20260101T000000"),
        ("date_that_the_calendar_lacks", "20260230T000000Z"),
        ("date_with_a_61st_second", "20260101T000061Z"),
    ] {
        add(name, url.set("X-Amz-Date", value), E::Date);
    }
    let minutes = SignedDuration::from_mins;
    let second = SignedDuration::from_secs(1);
    add(
        "more_than_15_minutes_old",
        url.signed_at(now - minutes(15) - second),
        E::Expired,
    );
    add(
        "years_old",
        url.signed_at(now - minutes(60 * 24 * 365 * 3)),
        E::Expired,
    );
    add(
        "more_than_5_minutes_ahead",
        url.signed_at(now + minutes(5) + second + second),
        E::NotYetValid,
    );
    for (name, value) in [
        ("signature_empty", String::new()),
        ("signature_too_short", "0".repeat(63)),
        ("signature_too_long", "0".repeat(65)),
        ("signature_not_hexadecimal", "g".repeat(64)),
        ("signature_in_upper_case", "A".repeat(64)),
    ] {
        add(name, url.set("X-Amz-Signature", &value), E::Signature);
    }
    add(
        "no_signature",
        url.without("X-Amz-Signature"),
        E::MissingParameter("X-Amz-Signature"),
    );
    add(
        "empty_security_token",
        url.set("X-Amz-Security-Token", ""),
        E::SecurityToken,
    );

    cases.extend(encodings(url.0));
    cases
}

/// What may be wrong around the URL: its base64, its prefix, its length.
fn encodings(url: &str) -> Vec<HostileCase> {
    use TokenError as E;
    let good = token(url.as_bytes());
    let body = &good[PREFIX.len()..];
    // A URL whose encoding differs between the alphabets, and one whose length asks for padding.
    let differing = format!("{url}>>>???");
    let padded = (0..3)
        .map(|more| format!("{url}{}", "x".repeat(more)))
        .find(|url| url.len() % 3 != 0);
    let padded = padded.unwrap_or_default();
    let stray_bits = {
        // One byte takes two characters, of which the second has four bits to spare.
        let mut text = URL_SAFE_NO_PAD.encode(&padded[..padded.len() - (padded.len() % 3) + 1]);
        text.pop();
        text + "_"
    };
    let with = |body: String| format!("{PREFIX}{body}");
    [
        ("base64_with_padding", with(URL_SAFE.encode(&padded)), E::Base64),
        (
            "base64_of_the_standard_alphabet",
            with(STANDARD_NO_PAD.encode(&differing)),
            E::Base64,
        ),
        (
            "base64_of_the_standard_alphabet_with_padding",
            with(STANDARD.encode(&differing)),
            E::Base64,
        ),
        ("base64_with_a_space", with(format!(" {body}")), E::Base64),
        (
            "base64_with_a_line_break_inside",
            with(format!("{}\n{}", &body[..76], &body[76..])),
            E::Base64,
        ),
        (
            "base64_with_a_line_break_behind",
            with(format!("{body}\n")),
            E::Base64,
        ),
        (
            "base64_with_a_carriage_return",
            with(format!("{body}\r\n")),
            E::Base64,
        ),
        ("base64_with_stray_bits", with(stray_bits), E::Base64),
        ("base64_of_one_character", with("A".to_owned()), E::Base64),
        (
            "invalid_utf8",
            token(&[url.as_bytes(), b"\xff\xfe"].concat()),
            E::Character,
        ),
        (
            "utf8_beyond_ascii",
            token(format!("{url}ä").as_bytes()),
            E::Character,
        ),
        ("nothing_behind_the_prefix", PREFIX.to_owned(), E::Scheme),
        ("no_prefix", body.to_owned(), E::Prefix),
        (
            "prefix_in_another_case",
            good.replacen("k8s", "K8S", 1),
            E::Prefix,
        ),
        (
            "prefix_of_another_version",
            good.replacen("v1", "v2", 1),
            E::Prefix,
        ),
        ("space_before_the_prefix", format!(" {good}"), E::Prefix),
        ("empty", String::new(), E::Prefix),
        (
            "a_service_account_token",
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln".to_owned(),
            E::Prefix,
        ),
        (
            "too_long",
            format!("{good}{}", "A".repeat(4097 - good.len())),
            E::TooLong,
        ),
        (
            "far_too_long",
            format!("{PREFIX}{}", "A".repeat(500_000)),
            E::TooLong,
        ),
    ]
    .into_iter()
    .map(|(name, token, refusal)| HostileCase { name, token, refusal })
    .collect()
}

/// A token around any bytes.
#[must_use]
pub fn token(url: &[u8]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
}

/// The URL in a token.
///
/// # Panics
/// Where `token` holds none.
#[must_use]
pub fn url_of(token: &str) -> String {
    let body = token.strip_prefix(PREFIX).unwrap_or_else(|| panic!("no token"));
    let bytes = URL_SAFE_NO_PAD
        .decode(body)
        .unwrap_or_else(|error| panic!("no base64: {error}"));
    String::from_utf8(bytes).unwrap_or_else(|error| panic!("no text: {error}"))
}

/// A good URL, to be spoilt.
struct Url<'a>(&'a str);

impl Url<'_> {
    fn with(&self, from: &str, to: &str) -> String {
        assert!(self.0.contains(from), "the good URL does not hold {from}");
        self.0.replacen(from, to, 1)
    }

    fn pair(&self, name: &str) -> &str {
        let found = self
            .0
            .split(['?', '&'])
            .find(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name));
        found.unwrap_or_else(|| panic!("the good URL lacks {name}"))
    }

    fn value(&self, name: &str) -> &str {
        &self.pair(name)[name.len() + 1..]
    }

    fn set(&self, name: &str, value: &str) -> String {
        self.with(self.pair(name), &format!("{name}={value}"))
    }

    fn without(&self, name: &str) -> String {
        self.with(&format!("&{}", self.pair(name)), "")
    }

    /// With another X-Amz-Date, and the scope's date to go with it.
    fn signed_at(&self, time: Timestamp) -> String {
        let date = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let url = self.set("X-Amz-Date", &date);
        let url = Url(&url);
        let credential = url.value("X-Amz-Credential");
        let day = credential.split("%2F").nth(1).unwrap_or_default();
        url.set("X-Amz-Credential", &credential.replacen(day, &date[..8], 1))
    }
}
