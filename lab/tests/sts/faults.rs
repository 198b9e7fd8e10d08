use std::time::{Duration, Instant};

use arngate_lab::sts::{Fault, FaultPlan};
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
    emulator.faults().set(Fault::Oversized(1 << 20));
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 1 << 20 && answer.element("Arn").starts_with("arn:"));

    emulator.faults().set(Fault::Body("text/plain".to_owned(), Bytes::from_static(b"what?")));
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "what?"));
    assert_eq!(answer.headers["content-type"], "text/plain");
}
