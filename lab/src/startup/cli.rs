//! `arngate-lab startup`
use std::{fmt::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use serde::Serialize;

use super::{Milestones, Starts};
use crate::{
    compare::Spread,
    load::{
        arngate_beside,
        cli::{Output, stopped_by_signals},
    },
};

/// Measure how long arngate takes from its start until it can tell who somebody is
///
/// With an API server that answers, and with none: then the last good snapshot of aws-auth, on disk, is what it knows.
/// A release build gives figures that mean something.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often it is started, with and without an API server
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// How many mappings aws-auth has; a ConfigMap has room for some 8,000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=8_000))]
    mappings: u16,
    /// The arngate to start [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    arngate: Option<PathBuf>,
    /// How the result is printed
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Output,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Times {
    listening: Spread,
    verdict: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<Spread>,
}

#[derive(Debug, Serialize)]
struct Figures {
    runs: usize,
    mappings: u16,
    with_api_server: Times,
    without_api_server: Times,
}

/// Measures, and prints.
///
/// # Errors
/// Where it cannot be started.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let program = args.arngate.map_or_else(arngate_beside, Ok)?;
    let stop = stopped_by_signals()?;
    let mut starts = Starts::prepare(&program, args.mappings.into()).await?;
    let series = async |starts: &mut Starts| -> anyhow::Result<Times> {
        let mut runs = Vec::new();
        for _ in 0..args.runs {
            if stop.is_cancelled() {
                anyhow::bail!("stopped");
            }
            runs.push(starts.start().await?);
        }
        Ok(times(&runs))
    };
    let with_api_server = series(&mut starts).await?;
    starts.without_api_server();
    let without_api_server = series(&mut starts).await?;
    let figures =
        Figures { runs: args.runs.into(), mappings: args.mappings, with_api_server, without_api_server };
    match args.output {
        Output::Text => print!("{}", to_text(&figures)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&figures)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn times(runs: &[Milestones]) -> Times {
    let spread = |of: fn(&Milestones) -> Option<Duration>| {
        Spread::of(runs.iter().filter_map(of).map(|time| time.as_secs_f64() * 1000.0))
    };
    Times {
        listening: spread(|run| Some(run.listening)),
        verdict: spread(|run| Some(run.verdict)),
        ready: runs.iter().any(|run| run.ready.is_some()).then(|| spread(|run| run.ready)),
    }
}

fn to_text(figures: &Figures) -> String {
    let Figures { runs, mappings, with_api_server, without_api_server } = figures;
    let mut text = format!("From the start, in ms: median of {runs} (least, most); {mappings} mappings\n");
    let mut line = |name: &str, Spread { median, least, most }: Spread| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<38}{median:>7.1}  ({least:.1}, {most:.1})");
    };
    line("a connection is taken", with_api_server.listening);
    line("somebody is let in", with_api_server.verdict);
    if let Some(ready) = with_api_server.ready {
        line("/readyz says 200", ready);
    }
    line("no API server: a connection is taken", without_api_server.listening);
    line("no API server: somebody is let in", without_api_server.verdict);
    text
}
