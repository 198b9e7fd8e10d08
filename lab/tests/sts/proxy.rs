use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Presigned, builder, emulator, get};

#[tokio::test]
async fn stss_hosts_lead_to_the_emulator() {
    let (emulator, alice) = emulator().await;
    let proxy = reqwest::Proxy::https(format!("http://{}", emulator.proxy_address())).unwrap();
    let client = builder(&emulator).proxy(proxy).build().unwrap();
    for (host, region) in [("sts.amazonaws.com", "us-east-1"), ("sts.eu-west-1.amazonaws.com", "eu-west-1")] {
        let presigned = Presigned { host: host.to_owned(), region, ..Presigned::default() };
        for _ in 0..2 {
            let answer = get(&client, &presigned.url(&alice), "test").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    assert_eq!((emulator.calls(), emulator.connections()), (4, 2));
}

#[tokio::test]
async fn nothing_else_leads_anywhere() {
    let (emulator, _) = emulator().await;
    for request in [
        "CONNECT iam.amazonaws.com:443 HTTP/1.1\r\nHost: iam.amazonaws.com:443\r\n\r\n",
        "CONNECT sts.us-east-1.amazonaws.com.evil.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT sts.us-east-1.amazonaws.com:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://sts.amazonaws.com/ HTTP/1.1\r\nHost: sts.amazonaws.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: sts.amazonaws.com\r\n\r\n",
    ] {
        let answer = exchange(emulator.proxy_address(), request).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
    }
    let endless = format!("CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(32 * 1024));
    let answer = exchange(emulator.proxy_address(), &endless).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(emulator.calls(), 0);
}

/// Sends a text and returns the head of what comes back.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}
