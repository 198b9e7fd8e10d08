//! HTTP/2 by the byte, for clients that no library would be.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Server;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What `arngate` listens on.
pub fn address(server: &Server) -> String {
    let rest = server.url.strip_prefix("https://localhost:").unwrap();
    format!("127.0.0.1:{}", rest.split('/').next().unwrap())
}

/// A TLS connection that speaks `protocol`.
pub async fn tls(server: &Server, protocol: &str) -> TlsStream<TcpStream> {
    let pem = std::fs::read(server.path("state/cert.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address(server)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

/// The head of a request, in HPACK without Huffman codes.
pub fn head(method: &str, path: &str) -> Vec<u8> {
    // :method, :path and :scheme of the static table (RFC 7541, appendix A).
    let mut head = if method == "POST" { vec![0x83] } else { vec![0x82] };
    head.extend([0x04, u8::try_from(path.len()).unwrap()]);
    head.extend(path.as_bytes());
    head.push(0x87);
    head
}

/// An HTTP/2 connection of which every frame is written here.
pub struct Connection {
    stream: TlsStream<TcpStream>,
}

impl Connection {
    pub async fn open(server: &Server) -> Self {
        let mut stream = tls(server, "h2").await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream }
    }

    /// Sends it; whether the server still takes anything.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next frame: its kind, its stream, and its content. `None` where the server has closed, or says nothing more for
    /// longer than any answer takes.
    pub async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let read = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut content = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut content).await.ok()?;
            Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), content))
        };
        timeout(Duration::from_secs(20), read).await.expect("the server neither answers nor closes")
    }

    /// The error with which the server ends the connection; `None` where it closes without a word.
    pub async fn error(&mut self) -> Option<u32> {
        while let Some((kind, _, content)) = self.next().await {
            if kind == GOAWAY {
                return Some(u32::from_be_bytes(content[4..8].try_into().unwrap()));
            }
        }
        None
    }
}
