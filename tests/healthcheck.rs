//! `arngate healthcheck`, as an image or a supervisor runs it.

mod support;

use std::{
    net::TcpListener,
    process::Output,
    time::{Duration, Instant},
};

use arngate_lab::sts::Emulator;
use support::{Server, Setup, arngate, emulator, text};

fn check(args: &[&str]) -> Output {
    arngate().arg("healthcheck").args(args).output().unwrap()
}

fn port(server: &Server) -> String {
    server.url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned()
}

/// The check of `server`, by its own file and the port that it took.
fn check_server(server: &Server, more: &[&str]) -> Output {
    let (config, port) = (server.path("config.yaml"), port(server));
    check(&[&["-c", config.to_str().unwrap(), "--port", &port], more].concat())
}

/// A server whose aws-auth never loads: no API server is at the end of its kubeconfig.
fn not_ready(emulator: &Emulator) -> Server {
    Setup::new(emulator, "  backendMode: [EKSConfigMap]\n").arg("--master", "http://127.0.0.1:9").start()
}

#[tokio::test]
async fn a_server_that_serves_is_healthy_and_one_that_is_gone_is_not() {
    let (emulator, _) = emulator().await;
    let mut server = Setup::new(&emulator, "").start();
    let output = check_server(&server, &[]);
    assert_eq!((output.status.code(), text(&output).0.as_str()), (Some(0), "ok\n"), "{}", text(&output).1);
    let output = check_server(&server, &["--ready"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
    assert!(text(&output).0.contains("[+]MountedFile ok"), "{}", text(&output).0);

    server.signal("TERM");
    assert!(server.wait().success());
    let output = check_server(&server, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("cannot connect to https://localhost:"), "{}", text(&output).1);
}

#[tokio::test]
async fn healthy_is_not_ready() {
    let (emulator, _) = emulator().await;
    let server = not_ready(&emulator);
    assert_eq!(check_server(&server, &[]).status.code(), Some(0));
    let output = check_server(&server, &["--ready"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output).1;
    assert!(told.contains("answers 503") && told.contains("[-]EKSConfigMap failed"), "{told}");
}

#[tokio::test]
async fn a_server_with_another_certificate_is_somebody_else() {
    let (emulator, _) = emulator().await;
    let (server, other) = (Setup::new(&emulator, "").start(), Setup::new(&emulator, "").start());
    let state = other.path("state");
    let output = check_server(&server, &["--state-dir", state.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("does not show the certificate in"), "{}", text(&output).1);
}

#[tokio::test]
async fn a_server_on_every_address_and_one_on_a_name_are_found() {
    let (emulator, _) = emulator().await;
    for address in ["", "0.0.0.0", "localhost"] {
        let server = Setup::new(&emulator, &format!("  address: '{address}'\n")).start();
        let output = check_server(&server, &[]);
        assert_eq!(output.status.code(), Some(0), "{address:?}: {}", text(&output).1);
    }
}

#[tokio::test]
async fn who_listens_and_says_nothing_costs_no_more_than_the_timeout() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port().to_string();
    let state = server.path("state");
    let start = Instant::now();
    let output = check(&["--port", &silent_port, "--state-dir", state.to_str().unwrap(), "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("within 1 s"), "{}", text(&output).1);
    // It would be 3 s without the flag, and for ever without a limit.
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(&["--state-dir", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output).1;
    assert!(told.contains("cert.pem") && told.contains("--state-dir"), "{told}");
    let output = check(&["--port", "0"]);
    assert!(text(&output).1.contains("name the one it took by --port"), "{}", text(&output).1);
}
