use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const PEER: Peer = Peer {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1),
    certified: false,
};

/// A connection that is served, its client's end, and what stops the server.
async fn open(connections: &Arc<Connections>) -> (DuplexStream, CancellationToken) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (place, stop) = (connections.take().await, CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move {
        let answer = |request: Request<Arriving>, _| async move {
            let read = timeout(Duration::from_secs(10), request.into_body().collect()).await;
            let text = if read.is_ok_and(|read| read.is_ok()) { "whole" } else { "late" };
            Ok(Answer::new(Full::new(Bytes::from_static(text.as_bytes()))))
        };
        converse(server, PEER, answer, place, &Metrics::new(), &stopped).await;
    });
    (client, stop)
}

fn places() -> Arc<Connections> {
    Connections::new(8, Metrics::new())
}

async fn rest(mut client: DuplexStream) -> String {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_is_left_after_ten_seconds() {
    let begun = Instant::now();
    let (client, _stop) = open(&places()).await;
    assert_eq!(rest(client).await, "");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_ends_after_ten_seconds() {
    let begun = Instant::now();
    let (mut client, _stop) = open(&places()).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let ended = loop {
        sleep(Duration::from_millis(900)).await;
        if client.write_all(b"x: y\r\n").await.is_err() {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "it goes on for ever");
    };
    assert!((10..12).contains(&ended.as_secs()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_is_answered_and_not_waited_for() {
    let (mut client, _stop) = open(&places()).await;
    client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n\r\nx").await.unwrap();
    let begun = Instant::now();
    let answer = rest(client).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
    assert!(begun.elapsed() < Duration::from_mins(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_an_http_1_client_has_a_minute_to_ask_again() {
    let (mut client, _stop) = open(&places()).await;
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(rest(client).await.ends_with("whole"));
    assert_eq!(begun.elapsed().as_secs(), 60);
}

/// Reads one HTTP/2 frame: type, flags, and content. `None` at the end.
async fn frame(client: &mut DuplexStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut content = vec![0; usize::try_from(length).unwrap()];
    client.read_exact(&mut content).await.ok()?;
    Some((head[3], head[4], content))
}

#[tokio::test(start_paused = true)]
async fn an_http_2_client_that_lives_and_asks_nothing_is_told_to_leave_after_five_minutes() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // :method GET, :path /, :scheme https, END_STREAM and END_HEADERS.
    const GET: &[u8] = &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x87];
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let (mut client, _stop) = open(&places()).await;
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    client.write_all(&[SETTINGS, GET].concat()).await.unwrap();
    let begun = Instant::now();
    let told = loop {
        match frame(&mut client).await.expect("ended without a word") {
            (PING, 0, content) => {
                let answer = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], content.as_slice()].concat();
                client.write_all(&answer).await.unwrap();
            }
            (GOAWAY, _, content) => break content[4..8].to_vec(),
            _ => {}
        }
    };
    assert_eq!((begun.elapsed().as_secs(), told), (300, vec![0; 4]), "NO_ERROR");
    // One that stays all the same is left.
    while let Some((kind, ..)) = frame(&mut client).await {
        assert_ne!(kind, 0, "DATA");
    }
    assert!(begun.elapsed() <= IDLE_TIMEOUT + LEAVE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_who_is_asked_nothing_leaves_at_once() {
    let (mut client, stop) = open(&places()).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut first = [0; 16];
    client.read_exact(&mut first).await.unwrap();
    let begun = Instant::now();
    stop.cancel();
    rest(client).await;
    assert_eq!(begun.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_longest_silent_connection_makes_room_for_the_next() {
    let connections = Connections::new(1, Metrics::new());
    let (silent, _stop) = open(&connections).await;
    let begun = Instant::now();
    let next = timeout(Duration::from_mins(1), open(&connections)).await;
    let (mut next, _stop) = next.expect("there is no room");
    assert_eq!(rest(silent).await, "");
    next.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(next).await.ends_with("whole"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
