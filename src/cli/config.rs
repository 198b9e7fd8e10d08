//! `arngate config show`

use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};

use super::Global;
use crate::config::{CommandLine, File, ServerFlags, show};

/// See what the server would run by
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate config show -c /etc/arngate/config.yaml")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every value that `arngate server` would run by with the same file, environment and flags, and where
    /// it came from
    Show(Box<ShowArgs>),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate config show -c /etc/arngate/config.yaml --backend-mode CRD
  arngate config show -c /etc/arngate/config.yaml -o json")]
struct ShowArgs {
    /// How the answer looks
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    flags: ServerFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// A JSON list
    Json,
}

pub(super) fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let Command::Show(args) = args.command;
    let context = "the configuration cannot be used";
    let file = global.config.as_deref().map(File::read).transpose().context(context)?.unwrap_or_default();
    let verbosity = global.log_verbosity.to_possible_value();
    let is_given = |id: &str| global.given.contains(id);
    let line = CommandLine {
        cluster_id: global.cluster_id.as_deref(),
        log_format: (&global.log_format, is_given("log_format")),
        log_verbosity: (verbosity.as_ref().map_or("", |value| value.get_name()), is_given("log_verbosity")),
        feature_gates: (global.gates(), is_given("feature_gates")),
        from_environment: &global.from_environment,
    };
    let shown = show(file, &line, &args.flags).context(context)?;
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&shown)?),
        Output::Text => {
            for shown in shown {
                let value = if shown.value.is_empty() { "-" } else { &shown.value };
                println!("{:40} {value:56} # {}", shown.key, shown.source);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
