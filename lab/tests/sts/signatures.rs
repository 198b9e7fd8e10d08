use std::time::{Duration, SystemTime};

use arngate_lab::sts::{Clock, Emulator, Principals};
use jiff::{SignedDuration, Timestamp};

use crate::support::{ACCOUNT, HOST, Presigned, client, emulator, get};

#[tokio::test]
async fn another_clusters_header_does_not_match() {
    let (emulator, alice) = emulator().await;
    let (client, url) = (client(&emulator, HOST), Presigned::default().url(&alice));
    assert_eq!(get(&client, &url, "test").await.status, 200);
    for cluster in ["another", "Test", ""] {
        assert_eq!(get(&client, &url, cluster).await.verdict(), (403, "SignatureDoesNotMatch"), "{cluster}");
    }
    let without = client.get(&url).send().await.unwrap();
    assert_eq!(without.status().as_u16(), 403, "a signed header must be there");
}

#[tokio::test]
async fn blanks_around_and_in_a_signed_header_are_as_sigv4_has_them() {
    let (emulator, alice) = emulator().await;
    let presigned = Presigned { headers: vec![("x-k8s-aws-id", "my  cluster")], ..Presigned::default() };
    let answer = get(&client(&emulator, HOST), &presigned.url(&alice), "my cluster ").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_wrong_secret_does_not_match_and_a_wrong_session_is_invalid() {
    let (emulator, alice) = emulator().await;
    let mut wrong = alice.clone();
    wrong.secret_access_key.push('x');
    let answer = Presigned::default().send(&emulator, &wrong).await;
    assert_eq!(answer.verdict(), (403, "SignatureDoesNotMatch"));
    assert!(answer.element("Message").starts_with("The request signature we calculated does not match"));

    for token in [None, Some("another".to_owned())] {
        let wrong = arngate_lab::sts::Credentials { session_token: token, ..alice.clone() };
        let answer = Presigned::default().send(&emulator, &wrong).await;
        assert_eq!(answer.verdict(), (403, "InvalidClientTokenId"));
        assert_eq!(answer.element("Message"), "The security token included in the request is invalid.");
    }

    let mut unknown = alice.clone();
    unknown.access_key_id.replace_range(4..8, "0000");
    let answer = Presigned::default().send(&emulator, &unknown).await;
    assert_eq!(answer.verdict(), (403, "InvalidClientTokenId"));
    assert_eq!(emulator.access_keys_seen(), 1, "keys that it doesn't know aren't kept");
}

#[tokio::test]
async fn whatever_is_changed_in_the_query_does_not_match() {
    let (emulator, alice) = emulator().await;
    let client = client(&emulator, HOST);
    let url = Presigned::default().url(&alice);
    let signature = url.split_once("X-Amz-Signature=").unwrap().1;
    let signature = signature.split('&').next().unwrap();
    let flipped: String = signature.chars().rev().collect();
    for changed in [
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        url.replace(signature, &flipped),
        url.replace(signature, &signature.to_uppercase()),
        format!("{url}&More=1"),
        url.replace(&format!("{HOST}/"), &format!("{HOST}/more")),
    ] {
        assert_ne!(changed, url);
        assert_eq!(
            get(&client, &changed, "test").await.verdict(),
            (403, "SignatureDoesNotMatch"),
            "{changed}"
        );
    }
    let repeated = get(&client, &format!("{url}&X-Amz-Date=20260101T000000Z"), "test").await;
    assert_eq!(repeated.verdict(), (400, "IncompleteSignature"));
    // The order of parameters is not signed.
    let (base, query) = url.split_once('?').unwrap();
    let reversed: Vec<_> = query.split('&').rev().collect();
    let answer = get(&client, &format!("{base}?{}", reversed.join("&")), "test").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_method_that_was_not_signed_does_not_match() {
    let (emulator, alice) = emulator().await;
    let request = client(&emulator, HOST).head(Presigned::default().url(&alice));
    assert_eq!(request.header("x-k8s-aws-id", "test").send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn the_scopes_region_is_the_hosts() {
    let (emulator, alice) = emulator().await;
    let elsewhere = Presigned { region: "eu-west-1", ..Presigned::default() };
    let answer = elsewhere.send(&emulator, &alice).await;
    assert_eq!(answer.verdict(), (403, "SignatureDoesNotMatch"));
    assert!(answer.element("Message").contains("valid region"), "{answer:?}");
}

#[tokio::test]
async fn time_is_its_clocks_from_15_minutes_back_to_5_ahead() {
    let signed: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
    let clock = Clock::fixed(signed);
    let principals = Principals::new();
    let bob = principals.user(ACCOUNT, "bob");
    let emulator = Emulator::builder().principals(principals).clock(clock.clone()).start().await.unwrap();
    let presigned = Presigned {
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(signed.as_second().unsigned_abs()),
        ..Presigned::default()
    };

    for (seconds, message) in [
        (0, ""),
        // X-Amz-Expires, one minute here, is none of STS's concern.
        (900, ""),
        (
            901,
            "Signature expired: 20260304T050607Z is now earlier than 20260304T050608Z (20260304T052108Z - 15 \
             min.)",
        ),
        (-300, ""),
        (
            -301,
            "Signature not yet current: 20260304T050607Z is still later than 20260304T050606Z \
             (20260304T050106Z + 5 min.)",
        ),
    ] {
        clock.set(signed + SignedDuration::from_secs(seconds));
        let answer = presigned.send(&emulator, &bob).await;
        let expected = if message.is_empty() { (200, "") } else { (403, "SignatureDoesNotMatch") };
        assert_eq!((answer.verdict(), answer.element("Message")), (expected, message), "{seconds}");
    }
    let late =
        Presigned { time: SystemTime::now() - Duration::from_hours(24 * 365 * 30), ..Presigned::default() };
    assert_eq!(late.send(&emulator, &bob).await.verdict(), (403, "SignatureDoesNotMatch"));
}
