//! `arngate-lab scenario`
use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};

use super::{Scenario, play};
use crate::load::{
    arngate_beside,
    cli::{Output, stopped_by_signals},
    page,
};

/// The exit code where something was expected and did not come.
const MISSED: u8 = 3;

/// Play a scenario on arngate and the STS emulator, and report what it came to
///
/// Exit codes: 0; 1 where it could not be played; 2 for arguments that make no sense; 3 where an `expect` was missed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario, in YAML; lab/scenarios has examples
    file: PathBuf,
    /// The arngate to start [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    arngate: Option<PathBuf>,
    /// So many times the principals, rates, counts and STS's limits
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,
    /// In so much less time
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    hurry: f64,
    /// How the reports are printed
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Output,
    /// Write the reports as a page with plots, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Plays it and prints the reports.
///
/// # Errors
/// Where it cannot be played.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    for (flag, factor) in [("--scale", args.scale), ("--hurry", args.hurry)] {
        if !(0.0001..=1000.0).contains(&factor) {
            bail!("{flag} {factor}: expected a factor from 0.0001 to 1000");
        }
    }
    let file = &args.file;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let scenario = Scenario::parse(&text).with_context(|| file.display().to_string())?;
    let scenario = scenario.scaled(args.scale, args.hurry);
    let arngate = args.arngate.map_or_else(arngate_beside, Ok)?;
    let outcome = play(scenario, &arngate, stopped_by_signals()?, |step| eprintln!("- {step}")).await?;
    if let Some(path) = &args.html {
        let html = page(&outcome.loads, &outcome.name);
        fs::write(path, html).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.output {
        Output::Text => {
            println!("{}\n", outcome.name);
            for report in &outcome.loads {
                println!("{}", report.to_text());
            }
        }
        Output::Json => println!("{}", serde_json::to_string_pretty(&outcome)?),
    }
    for missed in &outcome.missed {
        eprintln!("not as expected: {missed}");
    }
    Ok(if outcome.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}
