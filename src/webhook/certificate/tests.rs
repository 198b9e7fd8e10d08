use std::{fs, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use tokio_rustls::TlsConnector;

use super::{facts::Facts, issuer, *};
use crate::telemetry::Metrics;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn names() -> Names {
    Names { hostname: "localhost".to_owned(), address: "127.0.0.1".parse().unwrap() }
}

fn options(folder: &Path, clients: Clients) -> Options {
    let kubeconfig =
        Kubeconfig { path: folder.join("kubeconfig"), url: "https://localhost:1/authenticate".to_owned() };
    Options { state_dir: folder.to_owned(), names: names(), clients, kubeconfig: Some(kubeconfig) }
}

fn start(folder: &Path, now: Timestamp) -> (Keeper, Metrics) {
    let metrics = Metrics::new();
    (Keeper::start(options(folder, Clients::Anybody), metrics.clone(), now).unwrap(), metrics)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn shown(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render(now()).unwrap().0).unwrap()
}

/// A clock that stands.
#[derive(Debug)]
struct At(Timestamp);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).unwrap();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Connects as a client that trusts `pem`, knows the server by `name`, and shows `client`. What it was shown, and
/// whether the server took what it showed.
async fn connect(
    tls: &Tls,
    pem: &str,
    name: &str,
    client: Option<&ClientPem>,
    now: Timestamp,
) -> Result<(CertificateDer<'static>, bool), String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pem)).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(At(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(ClientPem { certificate: pem, key }) => builder
            .with_client_auth_cert(
                vec![certificate(pem)],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepting = tokio::spawn(tls.acceptor().accept(far));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected =
        TlsConnector::from(Arc::new(config)).connect(name, near).await.map_err(|e| e.to_string())?;
    let served = connected.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    let accepted = accepting.await.unwrap().map_err(|error| error.to_string())?;
    Ok((served, accepted.get_ref().1.peer_certificates().is_some()))
}

async fn served(keeper: &Keeper, pem: &str, now: Timestamp) -> CertificateDer<'static> {
    connect(&keeper.tls(), pem, "localhost", None, now).await.unwrap().0
}

#[tokio::test]
async fn what_is_served_is_renewed_in_time_and_what_is_trusted_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, metrics) = start(folder.path(), now());
    let trusted = read(folder.path(), "cert.pem");
    let first = served(&keeper, &trusted, now()).await;
    let facts = Facts::of(&first).unwrap();
    assert_eq!(facts.not_after, now() + days(90));
    // id-ecPublicKey and prime256v1: ECDSA P-256.
    assert!(facts.public_key.windows(8).any(|bytes| bytes == [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]));
    for name in ["localhost", "127.0.0.1", ADMISSION_NAME] {
        connect(&keeper.tls(), &trusted, name, None, now()).await.unwrap();
    }
    keeper.look(now() + days(59));
    assert_eq!(served(&keeper, &trusted, now()).await, first);
    let later = now() + days(61);
    keeper.look(later);
    let second = served(&keeper, &trusted, later).await;
    assert_ne!(second, first);
    assert_eq!(Facts::of(&second).unwrap().not_after, later + days(90));
    assert_eq!(read(folder.path(), "cert.pem"), trusted);
    let line = format!(
        r#"certificate_expiry_timestamp_seconds{{certificate="serving"}} {}"#,
        (later + days(90)).as_second()
    );
    assert!(shown(&metrics).contains(&line), "{line}");
    // A clock that was years behind is set right, and one that was ahead is set back.
    for jump in [now() + days(3000), now()] {
        keeper.look(jump);
        served(&keeper, &trusted, jump).await;
    }
}

#[tokio::test]
async fn what_is_trusted_is_renewed_a_year_before_its_end_and_either_is_trusted_then() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, metrics) = start(folder.path(), now());
    let old = read(folder.path(), "cert.pem");
    assert!(read(folder.path(), "kubeconfig").contains(&encoded(&old)));
    let end = Facts::of(&certificate(&old)).unwrap().not_after;
    keeper.look(end - days(366));
    assert_eq!(read(folder.path(), "cert.pem"), old);
    let key = read(folder.path(), "key.pem");
    keeper.look(end - days(364));
    let new = read(folder.path(), "cert.pem");
    assert_ne!(new, old);
    assert_eq!(
        (read(folder.path(), "cert.previous.pem"), read(folder.path(), "key.pem")),
        (old.clone(), key)
    );
    assert!(read(folder.path(), "kubeconfig").contains(&encoded(&new)));
    for trusted in [&old, &new] {
        served(&keeper, trusted, end - days(364)).await;
    }
    let line = format!(r#"timestamp_seconds{{certificate="previous_authority"}} {}"#, end.as_second());
    assert!(shown(&metrics).contains(&line), "{line}");
    // It is remembered over a restart, until it has ended.
    let (mut again, metrics) = start(folder.path(), end - days(300));
    assert!(shown(&metrics).contains(&line), "{line}");
    again.look(end + days(1));
    assert!(!shown(&metrics).contains("previous_authority"));
    assert_eq!(read(folder.path(), "cert.pem"), new);
}

/// What aws-iam-authenticator makes: RSA, a CA for 100 years, its name a `PrintableString` (pkg/config/certs).
fn theirs(folder: &Path, name: &str, not_after: Timestamp) -> String {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = issuer::authority(&names(), now()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let printable = rcgen::string::PrintableString::try_from(name).unwrap();
    params.distinguished_name.push(DnType::CommonName, rcgen::DnValue::PrintableString(printable));
    params
        .subject_alt_names
        .retain(|san| !matches!(san, rcgen::SanType::DnsName(name) if name.as_str() == ADMISSION_NAME));
    params.not_before = rcgen::date_time_ymd(2016, 1, 1);
    let seconds = Duration::from_secs(u64::try_from(not_after.as_second()).unwrap());
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + seconds;
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(folder.join("cert.pem"), &pem).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    pem
}

#[tokio::test]
async fn a_certificate_of_the_other_program_is_left_as_it_is_and_issues_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = theirs(folder.path(), "aws-iam-authenticator", now() + days(36500));
    let (keeper, _) = start(folder.path(), now());
    assert_eq!(read(folder.path(), "cert.pem"), trusted);
    for name in ["localhost", ADMISSION_NAME] {
        connect(&keeper.tls(), &trusted, name, None, now()).await.unwrap();
    }
}

#[tokio::test]
async fn the_other_programs_is_renewed_under_the_same_name_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = theirs(folder.path(), "aws-iam-authenticator", now() + days(5));
    let (keeper, _) = start(folder.path(), now());
    let renewed = read(folder.path(), "cert.pem");
    assert_ne!(renewed, trusted);
    let [before, after] = [&trusted, &renewed].map(|pem| Facts::of(&certificate(pem)).unwrap());
    assert_eq!((&before.common_name, &before.key_id), (&after.common_name, &after.key_id));
    assert!(after.common_name.is_some_and(|name| name.printable));
    for trusted in [&trusted, &renewed] {
        served(&keeper, trusted, now()).await;
    }
}

#[tokio::test]
async fn somebody_elses_authority_is_not_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = theirs(folder.path(), "somebody", now() + days(5));
    let (keeper, metrics) = start(folder.path(), now());
    assert_eq!(read(folder.path(), "cert.pem"), trusted);
    assert!(!folder.path().join("cert.previous.pem").exists());
    served(&keeper, &trusted, now()).await;
    let end = (now() + days(5)).as_second();
    assert!(shown(&metrics).contains(&format!(r#"seconds{{certificate="authority"}} {end}"#)));
}

#[tokio::test]
async fn a_renewal_that_cannot_be_written_is_tried_again_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = theirs(folder.path(), "aws-iam-authenticator", now() + days(5));
    // Where the new file would be made before it takes the old one's place.
    fs::create_dir(folder.path().join("cert.pem.new")).unwrap();
    let (mut keeper, metrics) = start(folder.path(), now());
    assert_eq!(read(folder.path(), "cert.pem"), trusted);
    served(&keeper, &trusted, now()).await;
    keeper.look(now() + SignedDuration::from_mins(1));
    assert!(!shown(&metrics).contains(r#"loads_total{result="loaded"}"#), "not each minute");
    fs::remove_dir(folder.path().join("cert.pem.new")).unwrap();
    keeper.look(now() + SignedDuration::from_hours(1));
    assert_ne!(read(folder.path(), "cert.pem"), trusted);
}

/// A certificate for `localhost` that may not sign, and its key.
fn leaf() -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("cert.pem"), certificate).unwrap();
    fs::write(folder.join("key.pem"), key).unwrap();
}

#[tokio::test]
async fn one_that_may_not_sign_is_served_as_it_is_and_loaded_anew_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (leaf(), leaf());
    write(folder.path(), &first);
    let (mut keeper, metrics) = start(folder.path(), now());
    assert_eq!(served(&keeper, &first.0, now()).await, certificate(&first.0));
    keeper.look(now() + days(1000));
    assert_eq!(served(&keeper, &first.0, now()).await, certificate(&first.0));

    // Half of the change: the old pair stays, and it is told once.
    fs::write(folder.path().join("cert.pem"), &second.0).unwrap();
    keeper.look(now());
    keeper.look(now());
    assert_eq!(served(&keeper, &first.0, now()).await, certificate(&first.0));
    assert!(shown(&metrics).contains(r#"certificate_loads_total{result="failed"} 1"#));
    write(folder.path(), &second);
    keeper.look(now());
    assert_eq!(served(&keeper, &second.0, now()).await, certificate(&second.0));
    assert!(shown(&metrics).contains(r#"certificate_loads_total{result="loaded"} 1"#));
    assert!(read(folder.path(), "kubeconfig").contains(&encoded(&second.0)));
    fs::remove_file(folder.path().join("cert.pem")).unwrap();
    keeper.look(now());
    assert_eq!(served(&keeper, &second.0, now()).await, certificate(&second.0));
}

#[tokio::test]
async fn kube_apiserver_is_issued_a_certificate_that_the_server_takes() {
    let folder = tempfile::tempdir().unwrap();
    let start = |now| Keeper::start(options(folder.path(), Clients::Own), Metrics::new(), now).unwrap();
    let keeper = start(now());
    let trusted = read(folder.path(), "cert.pem");
    let pem = || ClientPem {
        certificate: read(folder.path(), "client.pem"),
        key: read(folder.path(), "client-key.pem"),
    };
    let first = pem();
    assert!(read(folder.path(), "kubeconfig").contains(&encoded(&first.key)));
    let shows = async |keeper: &Keeper, client: Option<&ClientPem>| {
        connect(&keeper.tls(), &trusted, "localhost", client, now()).await.map(|(_, certified)| certified)
    };
    assert_eq!(shows(&keeper, Some(&first)).await, Ok(true));
    assert_eq!(shows(&keeper, None).await, Ok(false), "a probe has none");

    // What is served is no client's certificate, nor is another server's client one of this server's.
    let elsewhere = tempfile::tempdir().unwrap();
    Keeper::start(options(elsewhere.path(), Clients::Own), Metrics::new(), now()).unwrap();
    let foreign = ClientPem {
        certificate: read(elsewhere.path(), "client.pem"),
        key: read(elsewhere.path(), "client-key.pem"),
    };
    assert!(shows(&keeper, Some(&foreign)).await.is_err());
    let (serving, key) = issuer::issue(
        &Pair::load_or_make(folder.path(), &names(), now()).unwrap(),
        issuer::Purpose::Server(&names()),
        now(),
    )
    .unwrap();
    let serving = ClientPem { certificate: serving.pem(), key: key.serialize_pem() };
    assert!(shows(&keeper, Some(&serving)).await.is_err());

    // It is kept over a restart, issued anew where half of it is lost, and with a year to go.
    start(now());
    assert_eq!(pem(), first);
    fs::remove_file(folder.path().join("client-key.pem")).unwrap();
    start(now());
    let second = pem();
    assert_ne!(second, first);
    let mut keeper = start(now());
    keeper.look(now() + days(3650 - 364));
    assert_ne!(pem(), second);
    // One that kube-apiserver read before is as good.
    let later = now() + days(3650 - 300);
    let (_, certified) = connect(&keeper.tls(), &trusted, "localhost", Some(&second), later).await.unwrap();
    assert!(certified);
}

#[test]
fn one_that_may_not_sign_issues_nobody_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &leaf());
    let error =
        Keeper::start(options(folder.path(), Clients::Own), Metrics::new(), now()).unwrap_err().to_string();
    assert!(error.contains("may not sign") && error.contains("clientCAFile"), "{error}");
}

#[test]
fn renewals_are_due_in_the_last_third_but_no_earlier_than_a_year_before() {
    let due = |length: i64, at: i64| issuer::is_due(now(), now() + days(length), now() + days(at));
    assert!(!due(90, 59) && due(90, 60) && due(90, 200));
    assert!(!due(3650, 3284) && due(3650, 3285));
    assert!(due(90, -1), "the clock was set back");
}

fn encoded(pem: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(pem)
}
