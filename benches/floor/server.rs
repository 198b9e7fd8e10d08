//! The floor: hyper, rustls, serde, base64 and reqwest, set up as arngate sets them up, and nothing else. Nothing is
//! checked: it is no authenticator.

use std::{convert::Infallible, env, fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(Deserialize)]
struct Review {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    token: String,
}

/// Serves until it is killed, by the arguments and the configuration file that arngate would get.
pub(crate) fn run() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> anyhow::Result<()> {
    let config = fs::read_to_string(argument("-c")?)?;
    let kubeconfig = value(&config, "generateKubeconfig")?;
    let cluster_id = value(&config, "clusterID")?;
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://localhost:{}/authenticate", listener.local_addr()?.port());
    arngate::webhook::kubeconfig::write(Path::new(&kubeconfig), &url, &key.cert.pem(), None)?;
    let tls = tls(&key.cert.pem(), &key.signing_key.serialize_pem())?;
    let client = client(&argument("--sts-connect-to")?, &argument("--sts-ca-bundle")?)?;
    eprintln!("{{\"message\":\"listening\",\"url\":\"{url}\"}}");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, client, cluster_id) = (tls.clone(), client.clone(), cluster_id.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, client.clone(), cluster_id.clone()));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().max_concurrent_streams(250);
            // A client that goes away ends it.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Decodes the token, sends it, and says who came back.
async fn answer(
    request: Request<Incoming>,
    client: reqwest::Client,
    cluster_id: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match forward(request, &client, &cluster_id).await {
        Ok(body) => (200, body),
        Err(error) => (500, error.to_string()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}

async fn forward(
    request: Request<Incoming>,
    client: &reqwest::Client,
    cluster_id: &str,
) -> anyhow::Result<String> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Review = serde_json::from_slice(&body)?;
    let token = review.spec.token.strip_prefix("k8s-aws-v1.").context("a token that is not ours")?;
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token)?)?;
    let response = client.get(url).header("x-k8s-aws-id", cluster_id).send().await?;
    let status = response.status();
    let text = String::from_utf8(response.bytes().await?.to_vec())?;
    if status != 200 {
        bail!("STS: {status}");
    }
    let between = |open, close| text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    let (arn, _) = between("<Arn>", "</Arn>").context("no ARN")?;
    Ok(serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1beta1",
        "kind": "TokenReview",
        "metadata": {},
        "spec": {},
        "status": {"authenticated": true, "user": {"username": arn}},
    })
    .to_string())
}

fn tls(certificate: &str, key: &str) -> anyhow::Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn client(address: &str, ca: &str) -> anyhow::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address: std::net::SocketAddr = address.parse()?;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .http1_only()
        .no_proxy()
        .pool_max_idle_per_host(512)
        .tcp_nodelay(true)
        .timeout(Duration::from_secs(8))
        .resolve("sts.us-east-1.amazonaws.com", address)
        .build()?)
}

fn argument(name: &str) -> anyhow::Result<String> {
    env::args().skip_while(|argument| argument != name).nth(1).with_context(|| format!("no {name}"))
}

/// A key's value in the configuration file that the lab writes: JSON's quoting is YAML's.
fn value(config: &str, key: &str) -> anyhow::Result<String> {
    let line = config.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    serde_json::from_str(line.with_context(|| format!("no {key}"))?).with_context(|| key.to_owned())
}
