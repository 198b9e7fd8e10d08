//! aws-iam-authenticator 0.7.18, as it runs today.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use arngate_lab::{control_plane::ControlPlane, sts::Emulator};
use serde_json::{Value, json};

use crate::support;

/// The Go program's server, killed when dropped.
pub(crate) struct Theirs {
    child: Child,
    url: String,
}

impl Theirs {
    /// Starts it on `config`, with the emulator as STS by the proxy variables: it knows no other way.
    pub(crate) fn start(
        assets: &ControlPlane,
        emulator: &Emulator,
        config: &str,
        folder: &Path,
        kubeconfig: &Path,
        port: u16,
    ) -> Self {
        let file = folder.join("theirs.yaml");
        fs::write(&file, config).unwrap();
        let ca = folder.join("theirs-ca.pem");
        emulator.write_ca(&ca).unwrap();
        let mut child = Command::new(assets.assets().go_authenticator())
            .args(["server", "-l", "json", "--feature-gates", "SSORoleMatch=true", "-c"])
            .arg(file)
            .args(["--port", &port.to_string()])
            .arg("--state-dir")
            .arg(folder)
            .arg("--generate-kubeconfig")
            .arg(folder.join("theirs.kubeconfig"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "us-east-1")
            // By which it asks EC2.
            .envs(emulator.principals().role(support::ACCOUNT, "Authenticator", "theirs").env())
            .env("HTTPS_PROXY", format!("http://{}", emulator.proxy_address()))
            .env("SSL_CERT_FILE", ca)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the Go program does not start:\n{log}") };
            let found = serde_json::from_str::<Value>(&line).ok().and_then(|line| {
                line["msg"].as_str().and_then(|text| text.strip_prefix("listening on ")).map(str::to_owned)
            });
            if let Some(address) = found {
                break address;
            }
            log.push_str(&line);
            log.push('\n');
        };
        // Somebody has to read on, or it stops where its pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("https://{address}/authenticate") }
    }

    /// Its certificate is a CA that serves, which rustls takes from nobody; that is not looked at here.
    pub(crate) async fn review(&self, token: &str) -> Value {
        let client =
            reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview", "spec": {"token": token},
        });
        // It listens before it serves.
        for _ in 0..100 {
            let sent =
                client.post(&self.url).header("content-type", "application/json").body(review.to_string());
            match sent.send().await {
                Ok(answer) => return support::answer(answer).await.body,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("the Go program does not answer");
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // Its first TERM does not end it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
