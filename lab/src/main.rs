//! The `arngate-lab` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use arngate::telemetry::{self, LogFormat, Verbosity};
use arngate_lab::{capacity, compare, control_plane, dashboard, demo, load, scenario, startup, sts};
use clap::{Parser, Subcommand};

/// What arngate is tried with, on one machine: no AWS account, no cluster.
#[derive(Debug, Parser)]
#[command(name = "arngate-lab", version)]
struct Cli {
    /// How much arngate logs, where it runs inside
    #[arg(short = 'v', long, value_enum, default_value = "error", global = true)]
    log_verbosity: Verbosity,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show, step by step, how a token becomes a Kubernetes user; exits 0 only if all was as expected
    Demo,
    /// Start an STS emulator and arngate, and leave them running with commands to try
    Up(demo::UpArgs),
    /// Load token verification, and report how it fared
    Load(Box<load::cli::Args>),
    /// Measure arngate beside aws-iam-authenticator
    Compare(compare::cli::Args),
    /// Compute what a cluster needs of arngate
    Capacity(Box<capacity::cli::Args>),
    /// Measure how long arngate takes to start
    Startup(startup::cli::Args),
    /// Play a scenario of loads, faults and restarts
    Scenario(scenario::cli::Args),
    /// Draw arngate's dashboard by what a Prometheus has
    Dashboard(dashboard::cli::Args),
    /// Run the emulator of STS and EC2 alone
    Sts(Box<sts::cli::Args>),
    /// Run a real etcd and kube-apiserver, with a webhook kubeconfig of yours
    ControlPlane(control_plane::cli::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(LogFormat::Text, cli.log_verbosity);
    // The process-wide provider, for the libraries that ask for one; an error says that one is set already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match cli.command {
        Command::Demo => demo::run_demo().await,
        Command::Up(args) => demo::run_up(args).await,
        Command::Load(args) => load::cli::run(*args).await,
        Command::Compare(args) => compare::cli::run(args).await,
        Command::Capacity(args) => capacity::cli::run(*args).await,
        Command::Startup(args) => startup::cli::run(args).await,
        Command::Scenario(args) => scenario::cli::run(args).await,
        Command::Dashboard(args) => dashboard::cli::run(args).await,
        Command::Sts(args) => sts::cli::run(*args).await.map(|()| ExitCode::SUCCESS),
        Command::ControlPlane(args) => control_plane::cli::run(args).await.map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("arngate-lab: {error:#}");
        ExitCode::FAILURE
    })
}
