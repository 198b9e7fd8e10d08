//! `arngate version`

use std::process::ExitCode;

use serde_json::json;

/// Print the version, as JSON or bare
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate version
  arngate version --short")]
pub(super) struct Args {
    /// Print the number alone
    #[arg(short, long)]
    short: bool,
    /// How the answer looks
    #[arg(short, long, value_enum, default_value = "json")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One JSON object
    Json,
    /// YAML
    Yaml,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        _ if args.short => println!("{version}"),
        Output::Json => println!("{}", json!({"Version": version})),
        Output::Yaml => println!("Version: {version}"),
    }
    ExitCode::SUCCESS
}
