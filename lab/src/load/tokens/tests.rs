use std::collections::HashSet;

use arngate::{identity::Partition, sts::Endpoints, token::parse};

use super::*;
use crate::load::{Counts, Population};

fn maker(mix: &Mix, roles: usize) -> Maker {
    let source = Source::new("lab", "us-east-1", Via::ApiServer).unwrap();
    let population = Population::generated(Counts { roles, ..Counts::default() });
    Maker::new(source, population.credentials(), mix).unwrap()
}

/// So many tokens, of a kind.
fn tokens(maker: &mut Maker, count: usize) -> Vec<(TokenClass, String)> {
    let made = (0..count).map(|_| maker.make().unwrap());
    let token = |payload: &Bytes| String::from_utf8(payload.to_vec()).unwrap().replace("Bearer ", "");
    made.map(|made| (made.class, token(&made.payload))).collect()
}

/// The access key of a token that arngate sends to STS.
fn access_key(token: &str) -> Option<String> {
    let endpoints = Endpoints::new(Partition::Aws, None, &[]).unwrap();
    let parsed = parse(token, &endpoints, Timestamp::now()).ok()?;
    Some(parsed.access_key_id().to_owned())
}

#[test]
fn fresh_tokens_are_all_distinct_and_all_principals_have_their_turn() {
    let mut maker = maker(&Mix::default(), 3);
    let tokens = tokens(&mut maker, 300);
    let distinct: HashSet<&String> = tokens.iter().map(|(_, token)| token).collect();
    assert_eq!(distinct.len(), 300);
    let keys: HashSet<String> = tokens.iter().map(|(_, token)| access_key(token).unwrap()).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn no_load_has_a_token_of_another() {
    let first = maker(&Mix::default(), 5);
    let source = first.source.clone();
    let people = Population::generated(Counts { roles: 5, ..Counts::default() });
    let mut all = HashSet::new();
    // One after the other within a second, and one that repeats beside them.
    for mix in [Mix::default(), Mix { repeat: 1.0, ..Mix::default() }, Mix::default()] {
        let mut maker = Maker::new(source.clone(), people.credentials(), &mix).unwrap();
        let tokens: HashSet<String> = tokens(&mut maker, 50).into_iter().map(|(_, token)| token).collect();
        assert!(all.is_disjoint(&tokens));
        all.extend(tokens);
    }
    assert_eq!(all.len(), 50 + 5 + 50);
}

#[test]
fn repeated_tokens_are_those_of_the_pool() {
    let mut maker = maker(&Mix { repeat: 1.0, pool: Some(2), ..Mix::default() }, 5);
    let tokens = tokens(&mut maker, 100);
    let distinct: HashSet<&String> = tokens.iter().map(|(_, token)| token).collect();
    assert_eq!(distinct.len(), 2);
}

#[test]
fn forged_tokens_pass_for_tokens_and_have_keys_of_their_own() {
    let mut maker = maker(&Mix { forged: 1.0, ..Mix::default() }, 1);
    let keys: HashSet<Option<String>> =
        tokens(&mut maker, 50).iter().map(|(_, token)| access_key(token)).collect();
    assert!(keys.len() == 50 && !keys.contains(&None), "{keys:?}");
}

#[test]
fn garbage_is_no_token() {
    let mut maker = maker(&Mix { garbage: 1.0, ..Mix::default() }, 0);
    assert!(tokens(&mut maker, 20).iter().all(|(_, token)| access_key(token).is_none()));
}

#[test]
fn where_there_is_nobody_nothing_is_signed() {
    let source = Source::new("lab", "us-east-1", Via::ApiServer).unwrap();
    assert!(matches!(Maker::new(source, &[], &Mix::default()), Err(TokenError::Nobody)));
    assert!(Source::new("", "us-east-1", Via::ApiServer).is_err());
    assert!(Source::new("lab", "nowhere", Via::ApiServer).is_err());
}

#[tokio::test]
async fn a_supply_ends_with_its_total() {
    let source = Source::new("lab", "us-east-1", Via::ApiServer).unwrap();
    let mix = Mix { garbage: 1.0, ..Mix::default() };
    let supply = Supply::start(source, &[], &mix, Some(7), 3).await.unwrap();
    let mut count = 0;
    while supply.next().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 7);
}
