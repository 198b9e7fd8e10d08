//! `arngate verify` on what a test has made.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use arngate_lab::sts::Emulator;

use super::{CLUSTER_ID, arngate};

pub struct Verify {
    address: String,
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

impl Verify {
    pub fn new(emulator: &Emulator) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        emulator.write_ca(&ca).unwrap();
        Self { address: emulator.address().to_string(), ca, _folder: folder }
    }

    pub fn command(&self, token: &str) -> Command {
        let mut command = arngate();
        command.args(["verify", "-i", CLUSTER_ID, "-t", token, "--sts-connect-to", &self.address]);
        command.arg("--sts-ca-bundle").arg(&self.ca);
        command
    }

    /// Off the runtime's thread, on which the emulator answers.
    pub async fn run(&self, token: &str, args: &[&str]) -> Output {
        let mut command = self.command(token);
        command.args(args);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}
