//! `arngate doctor`

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::json;

use super::{
    Global,
    printable::{counted, printable, printable_json},
};
use crate::{
    config::{ServerFlags, ServerSettings},
    doctor::{self, Check, Options, Status},
    source::look,
};

/// Look at what makes an installation fail, and say what to do about it
///
/// It looks at the configuration, STS and the clock, the API server and arngate's rights there, mappings and credentials
/// for EC2, certificate, webhook kubeconfig, port, and kube-apiserver's flags.
///
/// It takes the file and flags that `arngate server` has, and is run where that runs, as the same user. It changes
/// nothing. Exit code 1 where a check failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate doctor -c /etc/arngate/config.yaml --kubeconfig /etc/kubernetes/arngate.kubeconfig
  arngate doctor -c /etc/arngate/config.yaml -o json --timeout 5
  arngate doctor -i my-cluster --backend-mode EKSConfigMap --apiserver-manifest /etc/kubernetes/manifests/kube-apiserver.yaml")]
pub(super) struct Args {
    /// How the answer looks
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    /// How long each check may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// The manifest of kube-apiserver's static pod, where there is one
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/kubernetes/manifests/kube-apiserver.yaml",
        value_hint = clap::ValueHint::FilePath
    )]
    apiserver_manifest: PathBuf,
    #[command(flatten, next_help_heading = "The server's flags")]
    flags: ServerFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let checks = Box::pin(examine(global, &args)).await;
    match args.output {
        Output::Text => tell(&checks),
        Output::Json => {
            let report = json!({ "ok": !has_failed(&checks), "checks": checks });
            println!("{}", printable_json(&format!("{report:#}")));
        }
    }
    Ok(if has_failed(&checks) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(global: &Global, args: &Args) -> Vec<Check> {
    const NAME: &str = "configuration";
    let loaded = ServerSettings::load(global.config.as_deref(), global.cluster_id.as_deref(), &args.flags);
    let mut settings = match loaded {
        Ok(settings) => settings,
        Err(error) => {
            let advice = "mend it: nothing else was looked at, and arngate does not start with it";
            return vec![Check::fail(NAME, error.to_string(), advice)];
        }
    };
    settings.permission_sets = global.gates().sso_role_match;
    let mut modes = settings.backend_modes.clone();
    let mut checks = Vec::new();
    if let Some(path) = &settings.dynamic_backend_mode {
        match look::backend_modes(path) {
            Ok(found) => modes = found.unwrap_or(modes),
            Err(error) => checks.push(Check::warn(
                NAME,
                format!("dynamicBackendModePath: {error}"),
                "a server keeps the backends that it has; mend the file",
            )),
        }
    }
    let names: Vec<_> = modes.iter().map(|mode| mode.name()).collect();
    let found = format!("valid: cluster ID {}, backends {}", settings.cluster_id.as_str(), names.join(", "));
    checks.insert(0, Check::ok(NAME, found));
    let options = Options {
        apiserver_manifest: args.apiserver_manifest.clone(),
        within: Duration::from_secs(args.timeout),
    };
    checks.extend(Box::pin(doctor::examine(&settings, &modes, &options)).await);
    checks
}

fn has_failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}

/// A line a check, and under it what to do.
fn tell(checks: &[Check]) {
    for Check { name, status, found, advice } in checks {
        println!("{:4}  {name:18}  {}", label(*status), printable(found));
        if !advice.is_empty() {
            println!("{:26}-> {}", "", printable(advice));
        }
    }
    let count = |wanted| checks.iter().filter(|check| check.status == wanted).count();
    println!("{}, {}", counted(count(Status::Fail), "failure"), counted(count(Status::Warn), "warning"));
}

const fn label(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
        Status::Skip => "skip",
    }
}
