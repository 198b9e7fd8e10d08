use std::time::{Duration, Instant};

use arngate_lab::sts::{Conditions, Emulator, Fault, FaultPlan, Flaw, Principals};
use bytes::Bytes;
use http::StatusCode;
use tokio::time::timeout;

use crate::support::{HOST, Presigned, client, emulator, get};

#[tokio::test]
async fn errors_of_the_service() {
    let (emulator, alice) = emulator().await;
    for (fault, expected, kind, message) in [
        (Fault::Throttle, (400, "Throttling"), "Sender", "Rate exceeded"),
        (
            Fault::Status(StatusCode::INTERNAL_SERVER_ERROR),
            (500, "InternalFailure"),
            "Receiver",
            "unknown error",
        ),
        (
            Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
            (503, "ServiceUnavailable"),
            "Receiver",
            "temporary",
        ),
        (Fault::None, (200, ""), "", ""),
    ] {
        emulator.faults().set(fault);
        let answer = Presigned::default().send(&emulator, &alice).await;
        assert_eq!((answer.verdict(), answer.element("Type")), (expected, kind));
        assert!(answer.element("Message").contains(message), "{answer:?}");
    }
    let outcomes = emulator.outcomes();
    assert_eq!((outcomes["Throttling"], outcomes["InternalFailure"], outcomes["Success"]), (1, 1, 1));
}

#[tokio::test]
async fn a_fault_for_the_next_requests_ends_by_itself() {
    let (emulator, alice) = emulator().await;
    emulator.faults().set_for(Fault::Throttle, 2);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(Presigned::default().send(&emulator, &alice).await.status);
    }
    assert_eq!(statuses, [400, 400, 200]);
    assert_eq!(emulator.faults().current(), FaultPlan { fault: Fault::Throttle, remaining: Some(0) });
}

#[tokio::test]
async fn answers_come_late_or_never() {
    let (emulator, alice) = emulator().await;
    let delay = Duration::from_millis(80);
    emulator.faults().set(Fault::Delay(delay));
    let started = Instant::now();
    assert_eq!(Presigned::default().send(&emulator, &alice).await.status, 200);
    assert!(started.elapsed() >= delay);

    emulator.faults().set(Fault::Hang);
    let presigned = Presigned::default();
    assert!(timeout(delay, presigned.send(&emulator, &alice)).await.is_err());
    assert_eq!(emulator.last_requests()[1].outcome, "Hang");
}

#[tokio::test]
async fn connections_are_reset() {
    let (emulator, alice) = emulator().await;
    emulator.faults().set_for(Fault::Reset, 1);
    let (client, url) = (client(&emulator, HOST), Presigned::default().url(&alice));
    let error = client.get(&url).header("x-k8s-aws-id", "test").send().await.unwrap_err();
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(get(&client, &url, "test").await.status, 200);
    assert_eq!(emulator.connections(), 2);
}

#[tokio::test]
async fn redirects_lead_where_they_are_told_to() {
    let (emulator, alice) = emulator().await;
    emulator.faults().set(Fault::Redirect("https://elsewhere.example/".to_owned()));
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers["location"], "https://elsewhere.example/");
}

#[tokio::test]
async fn bodies_are_huge_or_nonsense() {
    let (emulator, alice) = emulator().await;
    let usual = Presigned::default().send(&emulator, &alice).await.body.len();
    emulator.faults().set(Fault::Oversized(1_000_000));
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() == usual + 1_000_000 && answer.element("Arn").starts_with("arn:"));

    emulator.faults().set(Fault::Body("text/plain".to_owned(), Bytes::from_static(b"what?")));
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "what?"));
    assert_eq!(answer.headers["content-type"], "text/plain");
}

#[tokio::test]
async fn bodies_come_slowly() {
    let (emulator, alice) = emulator().await;
    let lasting = Duration::from_millis(160);
    emulator.faults().set(Fault::SlowBody(lasting));
    let started = Instant::now();
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert!(started.elapsed() >= lasting);
    assert!(answer.status == 200 && answer.element("Arn").starts_with("arn:"), "{answer:?}");
}

#[tokio::test]
async fn beyond_the_limit_it_throttles_as_sts_does() {
    let (emulator, alice) = emulator().await;
    // The burst, and then none for 1,000 seconds.
    let limit = Some("0.001/s,burst=3".parse().unwrap());
    emulator.faults().apply(Conditions { limit, ..Conditions::default() });
    let mut verdicts = Vec::new();
    for _ in 0..5 {
        let answer = Presigned::default().send(&emulator, &alice).await;
        verdicts.push((answer.status, answer.element("Code").to_owned()));
    }
    let throttled = (400, "Throttling".to_owned());
    assert_eq!(verdicts[..3], vec![(200, String::new()); 3]);
    assert_eq!(verdicts[3..], vec![throttled; 2]);
}

#[tokio::test]
async fn conditions_change_over_http_while_it_runs() {
    let principals = Principals::new();
    let alice = principals.role("111122223333", "Admin", "alice");
    let any = "127.0.0.1:0".parse().unwrap();
    let emulator = Emulator::builder().principals(principals).admin(any).start().await.unwrap();
    let admin = format!("http://{}", emulator.admin_address().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = async |body: &str| {
        let answer = http.put(format!("{admin}/conditions")).body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    assert_eq!(put(r#"{"fault": "status=503", "for": 1, "latency": "1ms"}"#).await.0, 200);
    assert_eq!(Presigned::default().send(&emulator, &alice).await.verdict(), (503, "ServiceUnavailable"));
    assert_eq!(Presigned::default().send(&emulator, &alice).await.status, 200);

    let (status, body) = put(r#"{"limit": "lots"}"#).await;
    assert!(status == 400 && body.contains("100/s"), "{body}");
    let now = http.get(format!("{admin}/conditions")).send().await.unwrap().text().await.unwrap();
    assert!(now.contains(r#""latency":"1ms""#), "what is refused changes nothing: {now}");

    let deleted = http.delete(format!("{admin}/conditions")).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    assert_eq!(emulator.faults().conditions(), Conditions::default());

    let seen = http.get(format!("{admin}/seen")).send().await.unwrap().text().await.unwrap();
    assert!(seen.contains(r#""calls":2"#) && seen.contains(r#""ServiceUnavailable":1"#), "{seen}");
    let key = format!("{admin}/seen/{}", alice.access_key_id);
    assert_eq!(http.get(key).send().await.unwrap().text().await.unwrap().trim(), r#"{"calls":2}"#);
}

#[tokio::test]
async fn its_admin_endpoint_is_this_machines_alone() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Emulator::builder().admin(everywhere).start().await.unwrap_err();
    assert!(refused.to_string().contains("loopback"), "{refused}");
}

#[tokio::test]
async fn nobody_vouches_for_certificates_with_a_flaw() {
    let (emulator, alice) = emulator().await;
    let client = client(&emulator, HOST);
    let ask =
        async || client.get(Presigned::default().url(&alice)).header("x-k8s-aws-id", "test").send().await;
    assert_eq!(ask().await.unwrap().status(), 200);
    for (flaw, words) in [
        (Flaw::Expired, "Expired"),
        (Flaw::OtherName, "NotValidForName"),
        (Flaw::UnknownIssuer, "BadSignature"),
    ] {
        // The connection that there is ends, and its session is not resumed.
        emulator.flaw_certificates(Some(flaw)).unwrap();
        let mut error = ask().await.unwrap_err();
        if !error.is_connect() {
            // It was taken before its end had come.
            error = ask().await.unwrap_err();
        }
        assert!(error.is_connect() && format!("{error:?}").contains(words), "{flaw:?}: {error:?}");
        emulator.flaw_certificates(None).unwrap();
        assert_eq!(ask().await.unwrap().status(), 200);
    }
}
