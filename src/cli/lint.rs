//! `arngate lint`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{
    aws_auth::{self, ClusterArgs},
    finding::{label, line, object, words},
    printable::{counted, printable, printable_json},
};
use crate::mapping::{Finding, Manifest, ManifestError, Section, Severity};

/// Exit code where something is found.
const FOUND: u8 = 3;

/// Look for what is wrong in aws-auth, in files or a cluster
///
/// It looks in manifests as kubectl takes them (several documents, a List), in
/// aws-auth's data or one of its lists alone, or in what a cluster has (`-n kube-system configmap/aws-auth`).
///
/// Each finding has its line and column in the file, or in the value where it comes from a cluster, and says what to
/// do. Exit code 3 where there are errors, 1 where a file cannot be read or holds no aws-auth.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate lint aws-auth.yaml
  helm template . | arngate lint -
  arngate lint -n kube-system configmap/aws-auth
  arngate lint -o github --strict clusters/one/aws-auth.yaml clusters/two/aws-auth.yaml")]
pub(super) struct Args {
    /// Files, - for standard input, or `configmap/aws-auth` for a cluster's
    #[arg(
        value_name = "FILE",
        default_value = "configmap/aws-auth",
        num_args = 1..,
        value_hint = clap::ValueHint::FilePath
    )]
    files: Vec<PathBuf>,
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

/// What was found in a file.
struct Linted {
    file: String,
    findings: Vec<Finding>,
    mappings: usize,
    /// The file is this list, and nothing around it.
    list_alone: Option<Section>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    aws_auth::check_standard_input(&args.files)?;
    let (mut linted, mut unread) = (Vec::new(), false);
    for path in &args.files {
        match lint(path, args).await {
            Ok(file) => linted.push(file),
            // What the other files hold is told all the same.
            Err(error) => {
                eprintln!("arngate: {error:#}");
                unread = true;
            }
        }
    }
    let code = if linted.is_empty() { ExitCode::SUCCESS } else { tell(args, &linted) };
    Ok(if unread { ExitCode::FAILURE } else { code })
}

async fn lint(path: &Path, args: &Args) -> anyhow::Result<Linted> {
    let file = aws_auth::name(path);
    if aws_auth::is_in_cluster(path) {
        let Manifest { findings, snapshot, .. } = aws_auth::of_cluster(&args.cluster).await?;
        return Ok(Linted { file, findings, mappings: snapshot.index().len(), list_alone: None });
    }
    match Manifest::read(&aws_auth::text(path)?) {
        Ok(Manifest { findings, snapshot, list_alone, .. }) => {
            Ok(Linted { file, findings, mappings: snapshot.index().len(), list_alone })
        }
        // What is no YAML is a finding as well: kubectl refuses the file.
        Err(ManifestError::Yaml(error)) => {
            let finding = Finding {
                severity: Severity::Error,
                position: Some(error.position),
                place: String::new(),
                message: format!("the file is no YAML, and kubectl refuses it: {}", error.message),
                advice: error.advice.to_owned(),
            };
            Ok(Linted { file, findings: vec![finding], mappings: 0, list_alone: None })
        }
        Err(error) => Err(anyhow::Error::new(error).context(file)),
    }
}

fn tell(args: &Args, linted: &[Linted]) -> ExitCode {
    let findings =
        || linted.iter().flat_map(|file| file.findings.iter().map(|finding| (&*file.file, finding)));
    let count = |severity| findings().filter(|(_, finding)| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mappings: usize = linted.iter().map(|file| file.mappings).sum();
    match args.output {
        Output::Text => {
            for (file, finding) in findings() {
                println!("{}", line(file, finding));
            }
            for Linted { file, list_alone, .. } in linted {
                if let Some(section) = list_alone {
                    println!("{}", printable(&format!("{file}: taken for the value of {}", section.key())));
                }
            }
            let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
            println!("{errors}, {warnings}; {}", counted(mappings, "mapping"));
        }
        Output::Json => {
            let findings: Vec<_> = findings().map(|(file, finding)| object(file, finding)).collect();
            let files: Vec<_> = linted
                .iter()
                .map(|Linted { file, mappings, list_alone, .. }| {
                    json!({"file": file, "mappings": mappings, "takenFor": list_alone.map(Section::key)})
                })
                .collect();
            let report = json!({
                "findings": findings, "errors": errors, "warnings": warnings, "mappings": mappings, "files": files,
            });
            println!("{}", printable_json(&format!("{report:#}")));
        }
        Output::Github => {
            for (file, finding) in findings() {
                println!("{}", annotation(file, finding));
            }
        }
    }
    if errors > 0 || (args.strict && warnings > 0) { ExitCode::from(FOUND) } else { ExitCode::SUCCESS }
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
