//! `arngate-lab compare`
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::{Figures, Measurement, Program, Runs, Table};
use crate::{
    control_plane::Assets,
    load::{arngate_beside, cli::stopped_by_signals},
};

/// The exit code where a target is missed and --check was given.
const MISSED: u8 = 3;

/// Measure arngate beside aws-iam-authenticator: rates, CPU, STS connections, latency, memory, size
///
/// Nothing is built here: arngate is the one beside this program (a release build, for figures that mean something),
/// aws-iam-authenticator the one that `make assets` has built. Takes some ten minutes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The arngate to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    arngate: Option<PathBuf>,
    /// The aws-iam-authenticator to measure [default: that of `make assets`]
    #[arg(long, value_name = "FILE")]
    authenticator: Option<PathBuf>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// How many requests most loads have
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=500_000))]
    requests: u64,
    /// How the table is printed
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Output,
    /// Exit with 3 where a target is missed
    #[arg(long)]
    check: bool,
}

/// How the table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For a terminal.
    Text,
    /// For a page.
    Markdown,
    /// For programs.
    Json,
}

/// Measures both in turns, and prints the table.
///
/// # Errors
/// Where one cannot be measured.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let ours = Program::Arngate(args.arngate.map_or_else(arngate_beside, Ok)?);
    let theirs = match args.authenticator {
        Some(path) => path,
        None => Assets::locate()?.go_authenticator(),
    };
    let theirs = Program::Authenticator(theirs);
    let sizes = (
        theirs.size().with_context(|| format!("there is no {}", theirs.path().display()))?,
        ours.size().with_context(|| format!("there is no {}", ours.path().display()))?,
    );
    let (our_version, their_version) = (version(&ours).await?, version(&theirs).await?);
    let measurement = Measurement::prepare(args.requests, stopped_by_signals()?).await?;
    let mut runs = Runs { theirs: Vec::new(), ours: Vec::new(), sizes };
    for number in 1..=args.runs {
        // Each is first as often as the other, where the number of runs is even.
        let order = if number % 2 == 1 { [&theirs, &ours] } else { [&ours, &theirs] };
        for program in order {
            let figures = measurement.measure(program).await?;
            eprintln!("run {number} of {}: {}", args.runs, line(program, &figures));
            match program {
                Program::Arngate(_) => runs.ours.push(figures),
                Program::Authenticator(_) => runs.theirs.push(figures),
            }
        }
    }
    let table = Table {
        theirs: format!("aws-iam-authenticator {their_version}"),
        ours: format!("arngate {our_version}"),
        runs: usize::from(args.runs),
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        rows: runs.rows(),
        costs: runs.costs(),
    };
    match args.output {
        Output::Text => print!("{}", table.to_text()),
        Output::Markdown => print!("{}", table.to_markdown()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&table)?),
    }
    Ok(if args.check && !table.met() { ExitCode::from(MISSED) } else { ExitCode::SUCCESS })
}

fn line(program: &Program, figures: &Figures) -> String {
    let name = match program {
        Program::Arngate(_) => "arngate",
        Program::Authenticator(_) => "aws-iam-authenticator",
    };
    let Figures { distinct, repeated, foreign, slow_sts, .. } = figures;
    format!(
        "{name:<21}  distinct {:.0}/s, {:.3} ms CPU; repeated {:.0}/s; not ours {:.0}/s; slow STS {:.1} ms",
        distinct.rate, distinct.server_cpu_ms, repeated.rate, foreign.rate, slow_sts.p50_ms
    )
}

/// The version, by what a program says of itself: both print JSON, with names of their own.
async fn version(program: &Program) -> anyhow::Result<String> {
    let path = program.path();
    let output = Command::new(path).arg("version").env_clear().output().await;
    let output = output.with_context(|| format!("cannot run {}", path.display()))?;
    if !output.status.success() {
        bail!("{} version: {}", path.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let named = json.as_ref().and_then(|json| {
        ["Version", "version"].into_iter().find_map(|name| json.get(name)?.as_str()).map(str::to_owned)
    });
    let first = || text.lines().next().unwrap_or_default().trim().trim_start_matches("arngate ").to_owned();
    Ok(named.filter(|version| !version.is_empty()).unwrap_or_else(first))
}
