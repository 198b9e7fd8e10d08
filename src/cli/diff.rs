//! `arngate diff`

use std::{path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use super::{
    aws_auth::{self, ClusterArgs},
    printable::{counted, printable_json, tell},
};
use crate::mapping::{Change, Gives, Severity};

/// Exit code where there are differences.
const DIFFERENT: u8 = 3;

/// Say who gains access, who loses it, and whose changes, between two states of aws-auth
///
/// The second follows the first as it would in arngate: what is broken in it keeps what was good. Exit code 3 where
/// anything differs, 1 where one of the two cannot be read or is in a namespace where no server reads it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate diff configmap/aws-auth aws-auth.yaml
  git show HEAD:aws-auth.yaml | arngate diff - aws-auth.yaml
  arngate diff -o json before.yaml after.yaml")]
pub(super) struct Args {
    /// As it is: a file, - for standard input, or `configmap/aws-auth` for a cluster's
    #[arg(value_name = "OLD", value_hint = clap::ValueHint::FilePath)]
    old: PathBuf,
    /// As it would be: the same
    #[arg(value_name = "NEW", value_hint = clap::ValueHint::FilePath)]
    new: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How differences are written
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line a difference, which begins with +, - or ~; nothing where there are none.
    Text,
    /// One object.
    Json,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    aws_auth::check_standard_input([&args.old, &args.new])?;
    let old = aws_auth::manifest(&args.old, &args.cluster).await?;
    let new = aws_auth::manifest(&args.new, &args.cluster).await?;
    for (path, manifest) in [(&args.old, &old), (&args.new, &new)] {
        aws_auth::check_is_read(path, manifest)?;
        let errors = manifest.count(Severity::Error);
        if errors > 0 {
            let (name, errors) = (aws_auth::name(path), counted(errors, "error"));
            eprintln!("{name}: {errors}; `arngate lint` says which");
        }
    }
    let changes = old.snapshot.changes(&new.following(&old.snapshot));
    match args.output {
        Output::Text => changes.iter().for_each(tell),
        Output::Json => {
            let report = json!({ "changes": changes.iter().map(object).collect::<Vec<_>>() });
            println!("{}", printable_json(&format!("{report:#}")));
        }
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn object(change: &Change) -> Value {
    let Change { subject, section, before, after } = change;
    let kind = match (before, after) {
        (None, _) => "gains",
        (_, None) => "loses",
        _ => "changes",
    };
    json!({
        "change": kind, "subject": subject.to_string(), "list": section.key(),
        "before": before.as_ref().map(gives), "after": after.as_ref().map(gives),
    })
}

/// Templates as they are written; a username that is null is the canonical ARN.
fn gives(gives: &Gives) -> Value {
    json!({ "username": gives.username, "groups": gives.groups, "userID": gives.user_id })
}
