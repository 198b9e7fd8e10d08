//! The programs, and how they are run.
use std::{
    env,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// arngate, built from the same sources: cargo gives a package's tests its own programs alone.
pub(crate) fn arngate() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let folder = PathBuf::from(env!("CARGO_BIN_EXE_arngate-lab"));
        let target = folder.parent().unwrap().parent().unwrap();
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "arngate",
                "--bin",
                "arngate",
                "--target-dir",
            ])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "arngate does not build");
        target.join("debug/arngate")
    });
    built.clone()
}

/// The lab's program, without the settings of whoever runs the tests.
pub(crate) fn lab() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arngate-lab"));
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    if let Some(assets) = env::var_os("ARNGATE_ASSETS") {
        command.env("ARNGATE_ASSETS", assets);
    }
    command
}

/// A finished run.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The report, of a run that ended well.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }
}

/// Runs `arngate-lab load -o json` to its end, on a thread that may wait.
pub(crate) async fn load(args: &[&str]) -> Run {
    let mut command = lab();
    command.args(["load", "-o", "json"]).args(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    Run::of(&output)
}

/// The same, of an arngate that it starts.
pub(crate) async fn load_arngate(args: &[&str]) -> Run {
    let program = tokio::task::spawn_blocking(arngate).await.unwrap().display().to_string();
    load(&[&["--with-arngate", "--arngate", program.as_str()], args].concat()).await
}

/// How many requests came to a kind of answer.
pub(crate) fn count(report: &Value, kind: &str) -> u64 {
    let answers = report["answers"].as_array().unwrap();
    answers.iter().find(|answer| answer["kind"] == kind).map_or(0, |answer| answer["count"].as_u64().unwrap())
}
