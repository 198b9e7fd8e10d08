//! `arngate-lab capacity`
use std::{num::NonZeroU32, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::bail;
use serde::Serialize;

use super::{Cluster, Costs, Effort, Forecast, Question, Settings, Sts, forecast, measure, text};
use crate::load::{
    arngate_beside,
    cli::{Output, duration, stopped_by_signals},
};

/// The most of anything that is counted.
const MOST: i64 = 10_000_000;
/// As many as a file of mappings has room for.
const MOST_MAPPINGS: u32 = 140_000;

/// Compute what a cluster needs of arngate: webhook calls, STS calls, CPU and memory
///
/// Nothing is run, unless --measure is given, which measures on this machine what the computation takes for granted.
/// docs/capacity.md explains the model.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes whose kubelets authenticate by IAM, and programs outside of the cluster that ask all the time
    #[arg(long, value_name = "N", required_unless_present = "measure", value_parser = clap::value_parser!(u32).range(..=MOST), help_heading = "Cluster")]
    nodes: Option<u32>,
    /// People who are at work with kubectl at the same time
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=MOST), help_heading = "Cluster")]
    people: u32,
    /// How many commands each of them runs in an hour
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = number, help_heading = "Cluster")]
    commands_per_hour: f64,
    /// kube-apiservers, each with an arngate beside it
    #[arg(long, value_name = "N", default_value = "3", help_heading = "Cluster")]
    apiservers: NonZeroU32,
    /// Tokens a second that reach the webhook and are none of ours
    #[arg(long, value_name = "PER-SECOND", default_value_t = 0.0, value_parser = number, help_heading = "Cluster")]
    foreign: f64,
    /// kube-apiserver's --authentication-token-webhook-cache-ttl
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = time, help_heading = "Cluster")]
    webhook_cache_ttl: Duration,
    /// How long clients keep a token
    #[arg(long, value_name = "DURATION", default_value = "14m", value_parser = duration, help_heading = "Cluster")]
    token_lifetime: Duration,
    /// How long a node is between two requests, on average; 0 is the most
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = time, help_heading = "Cluster")]
    node_pause: Duration,
    /// Mappings, in all backends together
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=MOST), help_heading = "Cluster")]
    mappings: u32,

    /// arngate's --sts-cache-ttl [default: as arngate's]
    #[arg(long, value_name = "DURATION", value_parser = time, help_heading = "arngate")]
    sts_cache_ttl: Option<Duration>,
    /// arngate's --sts-cache-size [default: as arngate's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "arngate")]
    sts_cache_size: Option<u32>,
    /// arngate's --sts-qps; 0 is no limit [default: as arngate's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000), help_heading = "arngate")]
    sts_qps: Option<u32>,
    /// arngate's --sts-burst [default: as arngate's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "arngate")]
    sts_burst: Option<u32>,
    /// arngate's --sts-concurrency [default: as arngate's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "arngate")]
    sts_concurrency: Option<u32>,

    /// STS calls a second that AWS answers for the account in the region
    #[arg(long, value_name = "PER-SECOND", default_value_t = 600.0, value_parser = number, help_heading = "STS")]
    sts_quota: f64,
    /// What the account's other programs use of that
    #[arg(long, value_name = "PER-SECOND", default_value_t = 0.0, value_parser = number, help_heading = "STS")]
    sts_used_by_others: f64,
    /// How long STS takes to answer
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = time, help_heading = "STS")]
    sts_latency: Duration,

    /// Measure on this machine what a review and a mapping cost, and compute with that; takes two minutes
    #[arg(long, help_heading = "Measuring")]
    measure: bool,
    /// How many requests the larger loads have, and two and a half times as many mappings: fewer are quicker and coarser
    #[arg(long, value_name = "N", default_value_t = 20_000, requires = "measure", value_parser = clap::value_parser!(u32).range(100..=1_000_000), help_heading = "Measuring")]
    requests: u32,
    /// The arngate to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE", requires = "measure", help_heading = "Measuring")]
    arngate: Option<PathBuf>,

    /// How the result is printed
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Output,
}

/// A forecast, for programs.
#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    forecast: Forecast,
    costs: Costs,
    assumptions: Vec<String>,
}

/// Computes, after measuring where that is asked for, and prints.
///
/// # Errors
/// Where it cannot be measured.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut costs = Costs::default();
    if args.measure {
        let program = args.arngate.clone().map_or_else(arngate_beside, Ok)?;
        let mappings = (args.requests / 2 * 5).min(MOST_MAPPINGS);
        let effort = Effort { requests: args.requests, mappings };
        let calibration =
            measure(&program, effort, stopped_by_signals()?, |step| eprintln!("- {step}")).await?;
        costs = calibration.costs;
        if args.nodes.is_none() {
            match args.output {
                Output::Text => print!("{}", calibration.to_text()),
                Output::Json => println!("{}", serde_json::to_string_pretty(&calibration)?),
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    let question = args.question(costs)?;
    let forecast = forecast(&question);
    match args.output {
        Output::Text => print!("{}", text::render(&question, &forecast)),
        Output::Json => {
            let assumptions = text::assumptions(&question);
            println!("{}", serde_json::to_string_pretty(&Json { forecast, costs, assumptions })?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn question(&self, costs: Costs) -> anyhow::Result<Question> {
        if self.token_lifetime > Duration::from_mins(15) {
            bail!("--token-lifetime {:?}: no token is good for more than 15 minutes", self.token_lifetime);
        }
        let default = Settings::default();
        Ok(Question {
            cluster: Cluster {
                nodes: self.nodes.unwrap_or_default(),
                people: self.people,
                commands_per_hour: self.commands_per_hour,
                apiservers: self.apiservers,
                foreign_per_second: self.foreign,
                webhook_ttl: self.webhook_cache_ttl.as_secs_f64(),
                token_lifetime: self.token_lifetime.as_secs_f64(),
                node_pause: self.node_pause.as_secs_f64(),
                mappings: self.mappings,
                ..Cluster::default()
            },
            settings: Settings {
                sts_ttl: self.sts_cache_ttl.map_or(default.sts_ttl, |ttl| ttl.as_secs_f64()),
                cache_size: self.sts_cache_size.unwrap_or(default.cache_size),
                qps: match self.sts_qps {
                    None => default.qps,
                    Some(0) => None,
                    Some(qps) => Some(qps.into()),
                },
                burst: self.sts_burst.map_or(default.burst, f64::from),
                concurrency: self.sts_concurrency.map_or(default.concurrency, f64::from),
            },
            sts: Sts {
                quota: self.sts_quota,
                others: self.sts_used_by_others,
                latency: self.sts_latency.as_secs_f64(),
            },
            costs,
        })
    }
}

/// A duration that may be none.
fn time(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { duration(text) }
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to 1,000,000,000".to_owned()),
    }
}
