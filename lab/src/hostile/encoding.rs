//! What may be wrong around the URL: its base64, its prefix, its length.

use arngate::token::{PREFIX, TokenError};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};

use super::{HostileCase, token};

pub(super) fn cases(url: &str) -> Vec<HostileCase> {
    let good = token(url.as_bytes());
    let body = &good[PREFIX.len()..];
    let with = |body: String| format!("{PREFIX}{body}");
    // A URL whose encoding differs between the alphabets, and one whose length asks for padding.
    let differing = format!("{url}>>>???");
    let padded = (0..3).map(|more| format!("{url}{}", "x".repeat(more))).find(|url| url.len() % 3 == 1);
    let padded = padded.unwrap_or_default();
    let base64 = [
        ("base64_with_padding", with(URL_SAFE.encode(&padded))),
        ("base64_of_the_standard_alphabet", with(STANDARD_NO_PAD.encode(&differing))),
        ("base64_of_the_standard_alphabet_with_padding", with(STANDARD.encode(&differing))),
        ("base64_with_a_space", with(format!(" {body}"))),
        ("base64_with_a_line_break_inside", with(format!("{}\n{}", &body[..76], &body[76..]))),
        ("base64_with_a_line_break_behind", with(format!("{body}\n"))),
        ("base64_with_a_carriage_return", with(format!("{body}\r\n"))),
        ("base64_with_stray_bits", with(stray_bits(&padded))),
        ("base64_of_one_character", with("A".to_owned())),
    ]
    .map(|(name, token)| HostileCase { name, token, refusal: TokenError::Base64 });
    let prefixes = [
        ("no_prefix", body.to_owned()),
        ("prefix_in_another_case", good.replacen("k8s", "K8S", 1)),
        ("prefix_of_another_version", good.replacen("v1", "v2", 1)),
        ("space_before_the_prefix", format!(" {good}")),
        ("empty", String::new()),
        ("a_service_account_token", "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln".to_owned()),
    ]
    .map(|(name, token)| HostileCase { name, token, refusal: TokenError::Prefix });
    let others = [
        ("invalid_utf8", token(&[url.as_bytes(), b"\xff\xfe"].concat()), TokenError::Character),
        ("nothing_behind_the_prefix", PREFIX.to_owned(), TokenError::Scheme),
        ("too_long", format!("{good}{}", "A".repeat(4097 - good.len())), TokenError::TooLong),
        ("far_too_long", with("A".repeat(500_000)), TokenError::TooLong),
    ]
    .map(|(name, token, refusal)| HostileCase { name, token, refusal });
    base64.into_iter().chain(prefixes).chain(others).collect()
}

/// The last of `bytes` takes two characters, of which the second has four bits to spare; here one of those is
/// set, so that two tokens would stand for one URL.
fn stray_bits(bytes: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(bytes);
    let last = text.pop();
    text.push(if last == Some('A') { 'B' } else { 'h' });
    text
}
