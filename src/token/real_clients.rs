//! Tokens that the clients of today made, and what each is parsed to.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::{PREFIX, TokenError, parse};
use crate::{
    identity::Partition,
    sts::{Endpoints, ExtraHost},
};

/// The lines of `real_clients.txt`, which says how they were made.
fn recorded() -> impl Iterator<Item = [&'static str; 7]> {
    include_str!("real_clients.txt").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        fields.try_into().unwrap()
    })
}

fn endpoints(partition: &str) -> Endpoints {
    Endpoints::new(partition.parse().unwrap(), None, &[]).unwrap()
}

#[test]
fn tokens_of_real_clients_parse() {
    for [client, partition, host, region, access_key_id, date, token] in recorded() {
        let signed_at: Timestamp = date.parse().unwrap();
        let request = parse(token, &endpoints(partition), signed_at)
            .unwrap_or_else(|error| panic!("{client} in {region}: {error}"));
        assert_eq!(request.endpoint().host(), host, "{client}");
        assert_eq!(request.endpoint().region(), region, "{client}");
        assert_eq!(request.access_key_id(), access_key_id, "{client}");
        assert_eq!(request.signed_at(), signed_at, "{client}");
        let signed = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).unwrap();
        assert_eq!(request.url().into_bytes(), signed, "{client}: byte for byte");
    }
    assert_eq!(recorded().count(), 12);
}

#[test]
fn tokens_of_another_partition_are_refused() {
    for [client, partition, host, _, _, date, token] in recorded() {
        let now = date.parse().unwrap();
        for other in Partition::ALL.into_iter().filter(|other| other.id() != partition) {
            assert_eq!(
                parse(token, &endpoints(other.id()), now),
                Err(TokenError::Host),
                "{client}: {host} in {other}"
            );
        }
    }
}

#[test]
fn a_configured_host_is_taken_with_its_own_region_alone() {
    let token = |host: &str| {
        let [.., date, token] = recorded().next().unwrap();
        let url = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).unwrap();
        let url = String::from_utf8(url).unwrap().replace("sts.us-east-1.amazonaws.com", host);
        let now: Timestamp = date.parse().unwrap();
        (format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url)), now)
    };
    let host = "vpce-1.sts.us-east-1.vpce.amazonaws.com";
    let (token, now) = token(host);
    let with = |region: &str| {
        let extra = ExtraHost { host: host.to_owned(), region: region.to_owned() };
        parse(&token, &Endpoints::new(Partition::Aws, None, &[extra]).unwrap(), now)
    };
    assert_eq!(with("us-east-1").unwrap().endpoint().host(), host);
    assert_eq!(with("eu-west-1"), Err(TokenError::CredentialRegion));
    assert_eq!(parse(&token, &endpoints("aws"), now), Err(TokenError::Host));
}

#[test]
fn debug_shows_neither_query_nor_key() {
    for [_, partition, host, _, access_key_id, date, token] in recorded() {
        let request = parse(token, &endpoints(partition), date.parse().unwrap()).unwrap();
        let debug = format!("{request:?} {request:#?}");
        assert!(debug.contains(host), "{debug}");
        for secret in [access_key_id, "X-Amz", "Signature", "EXAMPLE", token] {
            assert!(!debug.contains(secret), "{debug} holds {secret}");
        }
    }
}
