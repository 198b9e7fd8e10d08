//! What whoever reaches the port can do to it, and that kube-apiserver is answered all the same.

mod support;

use std::time::Duration;

use support::{
    ACCOUNT, Server, Setup, emulator, token,
    wire::{self, Connection, frame, head},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The bound on connections (ARCHITECTURE.md).
const PLACES: usize = 512;

/// The figure in the metrics; 0 where it is not there.
async fn figure(server: &Server, name: &str) -> f64 {
    let metrics = server.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("aws_iam_authenticator_{name} ")));
    line.map_or(0.0, |value| value.parse().unwrap())
}

const NO_ROOM: &str = r#"connections_closed_total{reason="no_room"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_or_never_end_a_head_keep_nobody_out() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n").start();
    // More than there are places, of each of the two kinds.
    let mut silent = Vec::new();
    let mut slow = Vec::new();
    for _ in 0..PLACES * 5 / 8 {
        silent.push(TcpStream::connect(wire::address(&server)).await.unwrap());
        let mut stream = wire::tls(&server, "http/1.1").await;
        stream.write_all(b"POST /authenticate HTTP/1.1\r\ncontent-le").await.unwrap();
        slow.push(stream);
    }
    server.review(&token(&bob)).await.user();
    assert!(figure(&server, "connections").await <= 512.0);
    assert!(figure(&server, NO_ROOM).await >= 100.0, "they made room");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_keep_nobody_out() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n").start();
    let mut slow = Vec::new();
    for _ in 0..PLACES + 8 {
        let mut stream = wire::tls(&server, "http/1.1").await;
        let head = "POST /authenticate HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"kind\"";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    server.review(&token(&bob)).await.user();
    assert!(figure(&server, NO_ROOM).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_resets_its_requests_rapidly_is_ended_and_others_are_answered() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n").start();
    let mut attacker = Connection::open(&server).await;
    let mut sent = 0;
    'flood: for round in 0..1000_u32 {
        let mut burst = Vec::new();
        for number in 0..100 {
            let stream = 1 + 2 * (100 * round + number);
            burst.extend(frame(wire::HEADERS, wire::END_HEADERS, stream, &head("POST", "/authenticate")));
            burst.extend(frame(wire::RST_STREAM, 0, stream, &wire::CANCEL.to_be_bytes()));
        }
        if !attacker.send(&burst).await {
            break 'flood;
        }
        sent += 100;
        if round % 10 == 0 {
            server.review(&token(&bob)).await.user();
        }
    }
    assert!(sent < 100_000, "nobody stopped it");
    let error = attacker.error().await;
    assert!(matches!(error, None | Some(wire::ENHANCE_YOUR_CALM)), "{error:?}");
    println!("ended after {sent} requests at most");
    server.review(&token(&bob)).await.user();
    assert!(
        emulator.calls() <= 2,
        "one call for equal tokens within a second or two, and none for the flood"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_the_server_reset_its_requests_is_ended() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let mut attacker = Connection::open(&server).await;
    let mut burst = Vec::new();
    for number in 0..1000 {
        let stream = 1 + 2 * number;
        burst.extend(frame(wire::HEADERS, wire::END_HEADERS, stream, &head("POST", "/authenticate")));
        // A window beyond 2^31-1 is an error of the stream (RFC 9113, 6.9.1).
        burst.extend(frame(wire::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
    }
    attacker.send(&burst).await;
    let error = attacker.error().await;
    assert!(matches!(error, None | Some(wire::ENHANCE_YOUR_CALM)), "{error:?}");
    server.review("garbage").await.assert_final_denial();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_is_refused() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let mut attacker = Connection::open(&server).await;
    let mut open = attacker.send(&frame(wire::HEADERS, 0, 1, &head("POST", "/authenticate"))).await;
    // A header that is never used again: x: y, without indexing.
    let more = [0x00, 1, b'x', 1, b'y'].repeat(1000);
    let mut sent = 0;
    while open && sent < 100_000_000 {
        open = attacker.send(&frame(wire::CONTINUATION, 0, 1, &more)).await;
        sent += more.len();
    }
    assert!(sent < 100_000_000, "it takes a head without an end");
    println!("ended after {sent} bytes of a head at most");
    server.review("garbage").await.assert_final_denial();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_250_requests_under_way_at_most() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let mut client = Connection::open(&server).await;
    let mut burst = Vec::new();
    for number in 0..260 {
        burst.extend(frame(wire::HEADERS, wire::END_HEADERS, 1 + 2 * number, &head("POST", "/authenticate")));
    }
    client.send(&burst).await;
    let mut refused = Vec::new();
    while refused.len() < 10 {
        let (kind, stream, content) = client.next().await.expect("the connection ended");
        if kind == wire::RST_STREAM && content == wire::REFUSED_STREAM.to_be_bytes() {
            refused.push(stream);
        }
    }
    let last: Vec<u32> = (250..260).map(|number| 1 + 2 * number).collect();
    assert_eq!(refused, last);
}

#[tokio::test]
async fn tls_1_2_is_the_floor_and_1_3_is_preferred() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let stream = wire::tls(&server, "h2").await;
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let old = server.client_builder().tls_version_max(reqwest::tls::Version::TLS_1_2).build().unwrap();
    assert_eq!(old.get(server.at("/healthz")).send().await.unwrap().status(), 200);

    // A hello of TLS 1.1, without extensions: version, random, no session, one cipher suite, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    let mut stream = TcpStream::connect(wire::address(&server)).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    // A fatal alert (21), and nothing else: protocol_version (70), or that something is missing that 1.2 has.
    assert_eq!((answer[0], answer[5], answer.len()), (21, 2, 7), "{answer:?}");
}

#[tokio::test]
async fn metrics_and_health_checks_can_have_an_address_of_their_own() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let setup = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n  metricsAddress: 127.0.0.1:0\n");
    let server = setup.start();
    let lines = server.log_lines();
    let line = lines.iter().find(|line| line["message"] == "metrics and health checks").unwrap();
    let base = format!("http://{}", line["address"].as_str().unwrap());
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = async |url: String| {
        let answer = plain.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    server.review(&token(&bob)).await.user();
    assert_eq!(asked(format!("{base}/healthz")).await, (200, "ok".to_owned()));
    assert_eq!(asked(format!("{base}/readyz")).await.0, 200);
    let (code, metrics) = asked(format!("{base}/metrics")).await;
    assert!(code == 200 && metrics.contains(r#"decisions_total{outcome="authenticated""#), "{metrics}");
    for path in ["/authenticate", "/validate/aws-auth", "/"] {
        let answer = plain.post(format!("{base}{path}")).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        let answer = server.client().get(server.at(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains("metricsAddress"));
    }
}

#[test]
fn an_address_for_metrics_that_is_taken_or_is_none_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (address, words) in [
        (address.as_str(), format!("cannot listen on {address} for metrics")),
        ("9090", "want ADDRESS:PORT".to_owned()),
    ] {
        let output = support::arngate()
            .args(["server", "-i", "c", "--port", "0", "--health-port", "0", "--metrics-address", address])
            .arg("--state-dir")
            .arg(folder.path())
            .arg("--generate-kubeconfig")
            .arg(folder.path().join("kubeconfig"))
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(support::text(&output).1.contains(&words), "{}", support::text(&output).1);
    }
}
