//! `arngate-lab dashboard`

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use jiff::Timestamp;

use super::{Dashboard, Panel, Prometheus, Span, Variables, page::Lines, render};

/// How many points a plot has at most.
const POINTS: u64 = 300;

/// Draw arngate's dashboard by what a Prometheus has, as a page without anything from elsewhere.
///
/// Exits with 3 where a panel has found nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Prometheus's URL
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    prometheus: String,
    /// The dashboard, as Grafana exports it
    #[arg(long, value_name = "FILE", default_value = "deploy/monitoring/dashboard.json")]
    file: PathBuf,
    /// The job that arngate is scraped by
    #[arg(long, value_name = "NAME", default_value = "arngate")]
    job: String,
    /// How far back
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(10..=604_800))]
    last: u64,
    /// The interval of rates: four times that of scrapes, as Grafana has it
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    rate_interval: u64,
    /// Where to write the page
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

/// Asks, draws, and says which panels are empty.
///
/// # Errors
/// Where the file cannot be read, Prometheus does not answer, or the page cannot be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.file);
    let text = text.with_context(|| format!("cannot read {}", args.file.display()))?;
    let dashboard = Dashboard::parse(&text).with_context(|| args.file.display().to_string())?;
    let variables = Variables { job: args.job, rate_interval: format!("{}s", args.rate_interval) };
    let prometheus = Prometheus::at(&args.prometheus)?;
    let lasting = Duration::from_secs(args.last);
    let step = Duration::from_secs(args.last.div_ceil(POINTS));
    let span = Span { to: Timestamp::now(), lasting, step };
    let mut found: Vec<(Panel, Lines)> = Vec::new();
    for panel in dashboard.panels() {
        let lines = lines(&prometheus, panel, &variables, span).await?;
        println!("{:3} lines  {}", lines.len(), panel.title);
        found.push((panel.clone(), lines));
    }
    let about = format!("The last {} s at {}, by {}", args.last, span.to, args.prometheus);
    let of = |panel: &Panel| {
        let lines = found.iter().find(|(other, _)| other == panel);
        lines.map(|(_, lines)| lines.clone()).unwrap_or_default()
    };
    std::fs::write(&args.html, render(&dashboard, &about, of))
        .with_context(|| format!("cannot write {}", args.html.display()))?;
    let empty = found.iter().filter(|(_, lines)| lines.is_empty()).count();
    Ok(if empty == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn lines(
    prometheus: &Prometheus,
    panel: &Panel,
    variables: &Variables,
    span: Span,
) -> anyhow::Result<Lines> {
    let mut lines = Lines::new();
    for query in &panel.queries {
        for series in prometheus.over(&query.filled_in(variables), span).await? {
            lines.push((query.name(&series.labels), series));
        }
    }
    Ok(lines)
}
