//! `arngate-lab up`: the demo's stage, left standing, with the commands to try on it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use arngate::yaml::{self, Limits};

use super::stage::{CLUSTER_ID, REGION, ROLE_ONLY, Stage, USER_TOO};
use crate::sts::Credentials;

/// Start an STS emulator and arngate, and leave them running until Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to keep certificates, configuration and the aws-auth to edit; a temporary folder where absent
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port for arngate; 0 takes any free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
}

/// Runs until Ctrl-C or TERM.
///
/// # Errors
/// Where something cannot be started.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::tempdir()?;
    let folder = args.dir.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let stage = Stage::set_up(&folder, args.port).await?;
    let aws_auth = folder.join("aws-auth.yaml");
    std::fs::write(&aws_auth, manifest())?;
    print_commands(&stage, &folder, &aws_auth);

    let (mut term, mut int) = (
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?,
    );
    let mut seen = String::new();
    let mut tick = tokio::time::interval(Duration::from_millis(300));
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let text = std::fs::read_to_string(&aws_auth).unwrap_or_default();
                if text != seen {
                    match data(&text) {
                        Ok(data) => stage.aws_auth.replace(data),
                        Err(error) => eprintln!("{}: {error:#}; not applied, as an API server would not", aws_auth.display()),
                    }
                    seen = text;
                }
            }
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    println!("\nstopping");
    stage.stop().await?;
    Ok(ExitCode::SUCCESS)
}

fn manifest() -> String {
    let indented = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        format!("    {}\n", lines.join("\n    "))
    };
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\ndata:\n  \
         mapRoles: |\n{}  mapUsers: |\n{}",
        indented(ROLE_ONLY),
        indented(USER_TOO)
    )
}

/// The manifest's data, as an API server would store it.
fn data(manifest: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let document = yaml::parse(manifest, Limits::default())?.context("it is empty")?;
    let Some(data) = document.get("data") else {
        return Ok(BTreeMap::new());
    };
    let fields = data.as_mapping().context("data is no mapping")?;
    fields
        .iter()
        .map(|(key, value)| {
            let text = |node: &yaml::Node| node.as_str().map(str::to_owned);
            text(key).zip(text(value)).context("data holds something that is no text: is a | missing?")
        })
        .collect()
}

fn print_commands(stage: &Stage, folder: &Path, aws_auth: &Path) {
    let token = |name: &str, credentials: &Credentials| {
        let keys: Vec<String> =
            credentials.env().iter().map(|(key, value)| format!("{key}={value}")).collect();
        let keys = keys.join(" ");
        println!(
            "  # {name}\n  {keys} \\\n    arngate token -i {CLUSTER_ID} --region {REGION} --token-only > {}\n",
            folder.join(format!("{name}.token")).display()
        );
    };
    println!("arngate answers on {}\n\nMake a token:\n", stage.url);
    token("role-admin", &stage.role);
    token("user-bob", &stage.user);
    token("user-mallory", &stage.stranger);
    println!(
        "Ask STS who that is:\n\n  arngate verify -i {CLUSTER_ID} -t - --sts-connect-to {} --sts-ca-bundle {} < {}\n",
        stage.emulator.address(),
        folder.join("sts-ca.pem").display(),
        folder.join("role-admin.token").display(),
    );
    println!(
        "Ask arngate which Kubernetes user that is:\n\n  \
         printf '{{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{{\"token\":\"%s\"}}}}' \"$(cat {})\" \\\n    \
         | curl -s --cacert {} -H 'content-type: application/json' -d @- {}\n",
        folder.join("role-admin.token").display(),
        folder.join("state/cert.pem").display(),
        stage.url,
    );
    println!("Edit the mappings (a save takes effect at once):\n\n  $EDITOR {}\n", aws_auth.display());
    println!(
        "See the figures:\n\n  curl -s --cacert {} {}\n",
        folder.join("state/cert.pem").display(),
        stage.url.replace("/authenticate", "/metrics")
    );
    println!("Ctrl-C stops everything.");
}
