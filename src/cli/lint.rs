//! `arngate lint`

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use serde_json::json;

use super::{
    aws_auth::{self, ClusterArgs},
    printable::{printable, printable_json},
};
use crate::mapping::{Finding, Manifest, ManifestError, Severity};

/// Exit code where something is found.
const FOUND: u8 = 3;

/// Look for what is wrong or odd in aws-auth: in a manifest as kubectl takes it, in aws-auth's data alone, or in what
/// a cluster has (`-n kube-system configmap/aws-auth`).
///
/// Each finding has its line and column in the file, or in the value where it comes from a cluster, and says what to
/// do. Exit code 3 where there are errors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, `-` for standard input, or `configmap/aws-auth` for a cluster's
    #[arg(value_name = "FILE", default_value = "configmap/aws-auth")]
    file: PathBuf,
    /// Namespace of the cluster's ConfigMap: kube-system, where aws-auth is
    #[arg(short, long, value_name = "NAMESPACE", default_value = "kube-system", hide_default_value = true)]
    namespace: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How findings are written
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line a finding, which begins with its file, line and column.
    Text,
    /// One object.
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = args.file.display().to_string();
    let manifest = if is_in_cluster(&args.file) {
        if args.namespace != "kube-system" {
            bail!("aws-auth is in the namespace kube-system, and nowhere else");
        }
        aws_auth::of_cluster(&args.cluster).await.map(Some)?
    } else {
        match Manifest::read(&aws_auth::text(&args.file)?) {
            Ok(manifest) => Some(manifest),
            // What is no YAML is a finding as well: kubectl refuses the file.
            Err(ManifestError::Yaml(error)) => {
                let finding = Finding {
                    severity: Severity::Error,
                    position: Some(error.position),
                    place: String::new(),
                    message: format!("the file is no YAML, and kubectl refuses it: {}", error.message),
                    advice: error.advice.to_owned(),
                };
                return Ok(tell(args, &file, &[finding], 0));
            }
            Err(error) => return Err(anyhow::Error::new(error).context(file)),
        }
    };
    let Some(manifest) = manifest else { return Ok(ExitCode::SUCCESS) };
    Ok(tell(args, &file, &manifest.findings, manifest.snapshot.index().len()))
}

/// Whether a command is to look at a cluster's aws-auth.
fn is_in_cluster(file: &std::path::Path) -> bool {
    ["configmap/aws-auth", "configmaps/aws-auth", "cm/aws-auth"]
        .iter()
        .any(|name| file == std::path::Path::new(name))
        && !file.exists()
}

fn tell(args: &Args, file: &str, findings: &[Finding], mappings: usize) -> ExitCode {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match args.output {
        Output::Text => {
            for finding in findings {
                println!("{}", line(file, finding));
            }
            println!("{errors} errors, {warnings} warnings; {mappings} mappings");
        }
        Output::Json => {
            let findings: Vec<_> = findings.iter().map(|finding| object(file, finding)).collect();
            let report = json!({
                "findings": findings, "errors": errors, "warnings": warnings, "mappings": mappings,
            });
            println!("{}", printable_json(&format!("{report:#}")));
        }
        Output::Github => {
            for finding in findings {
                println!("{}", annotation(file, finding));
            }
        }
    }
    if errors > 0 || (args.strict && warnings > 0) { ExitCode::from(FOUND) } else { ExitCode::SUCCESS }
}

const fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Place, message and advice.
fn words(finding: &Finding) -> String {
    let Finding { place, message, advice, .. } = finding;
    let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    printable(&format!("{place}{message}{advice}"))
}

fn line(file: &str, finding: &Finding) -> String {
    let at = finding.position.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    format!("{file}{at}: {}: {}", label(finding.severity), words(finding))
}

fn object(file: &str, finding: &Finding) -> serde_json::Value {
    json!({
        "severity": label(finding.severity), "file": file, "line": finding.position.map(|at| at.line),
        "column": finding.position.map(|at| at.column), "place": finding.place, "message": finding.message,
        "advice": finding.advice,
    })
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
fn annotation(file: &str, finding: &Finding) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let at = finding.position.map(|at| format!(",line={},col={}", at.line, at.column)).unwrap_or_default();
    format!(
        "::{} file={}{at},title=aws-auth::{}",
        label(finding.severity),
        property(file),
        escape(&words(finding))
    )
}
