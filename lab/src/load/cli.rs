//! `arngate-lab load`
use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Arrivals, Client, Counts, GuardError, Kubeconfig, Location, Mix, Population, Report, ReviewVersion,
    Schedule, Session, Source, Spacing, Stage, Via, probe, scene::Scene,
};
use crate::sts::{Latency, Principals, RateLimit};

/// The exit code where a run went well and missed a bound that was set for it.
const MISSED: u8 = 3;
/// How many requests are signed before the first is sent, at most.
const AHEAD: u64 = 20_000;

/// Load token verification, and report how it fared
///
/// The target is a webhook (--webhook-kubeconfig, --webhook), a kube-apiserver in front of one (--apiserver-kubeconfig,
/// --apiserver), or an arngate started for this (--with-arngate). Exit codes: 0; 1 where it could not be done; 2 for
/// arguments that make no sense; 3 where a --fail-… bound was missed.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    /// The kubeconfig by which kube-apiserver finds the webhook
    #[arg(long, value_name = "FILE", group = "target", help_heading = "Target")]
    pub(super) webhook_kubeconfig: Option<PathBuf>,
    /// The webhook's URL, such as <https://localhost:21362/authenticate>
    #[arg(long, value_name = "URL", group = "target", help_heading = "Target")]
    pub(super) webhook: Option<String>,
    /// A kubeconfig of a kube-apiserver, which is asked for `SelfSubjectReviews` with the tokens; its user's own
    /// credentials are not used
    #[arg(long, value_name = "FILE", group = "target", help_heading = "Target")]
    pub(super) apiserver_kubeconfig: Option<PathBuf>,
    /// A kube-apiserver's URL
    #[arg(long, value_name = "URL", group = "target", help_heading = "Target")]
    pub(super) apiserver: Option<String>,
    /// Start an arngate, with the emulator as its STS
    #[arg(long, group = "target", help_heading = "Target")]
    pub(super) with_arngate: bool,
    /// Which arngate --with-arngate starts [default: the one beside this program]
    #[arg(long, value_name = "FILE", requires = "with_arngate", help_heading = "Target")]
    pub(super) arngate: Option<PathBuf>,
    /// Whom to trust, in PEM: CAs, or the server's very certificate
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub(super) ca: Option<PathBuf>,
    /// A client certificate, in PEM, for the webhook
    #[arg(long, value_name = "FILE", requires = "client_key", conflicts_with_all = ["apiserver", "apiserver_kubeconfig"], help_heading = "Target")]
    pub(super) client_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "client_cert", help_heading = "Target")]
    pub(super) client_key: Option<PathBuf>,
    /// The version of TokenReviews
    #[arg(long, value_enum, default_value = "v1beta1", help_heading = "Target")]
    pub(super) review_version: ReviewVersion,
    /// Connections from the beginning, as of so many kube-apiservers; each has further ones when its streams are used
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Target")]
    pub(super) connections: usize,
    /// Load another machine
    #[arg(long, help_heading = "Target")]
    pub(super) allow_remote: bool,

    /// The cluster ID that tokens are for
    #[arg(short = 'i', long, default_value = "lab", help_heading = "Tokens")]
    pub(super) cluster_id: String,
    /// The region whose STS tokens name
    #[arg(long, default_value = "us-east-1", help_heading = "Tokens")]
    pub(super) region: String,
    /// Instances of one role, whose session names are instance IDs
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Tokens")]
    pub(super) nodes: usize,
    /// Roles, with a session each [default: 90, if nothing else is said of principals]
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub(super) roles: Option<usize>,
    /// Users [default: 10, if nothing else is said of principals]
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub(super) users: Option<usize>,
    /// Users whom nobody has mapped
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Tokens")]
    pub(super) strangers: usize,
    /// Principals and their keys, as `arngate-lab sts --principals` takes them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nodes", "roles", "users", "strangers"], help_heading = "Tokens")]
    pub(super) principals: Option<PathBuf>,
    /// The share of requests that repeat a token, as clients do for its 14 minutes
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Tokens")]
    pub(super) repeat: f64,
    /// How many principals repeat theirs [default: all]
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub(super) repeat_pool: Option<usize>,
    /// The share that is signed with keys that STS does not know
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Tokens")]
    pub(super) forged: f64,
    /// The share that is none of ours, such as expired service accounts'
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Tokens")]
    pub(super) garbage: f64,
    /// What is drawn follows from it
    #[arg(long, default_value_t = 1, help_heading = "Tokens")]
    pub(super) seed: u64,

    /// Open model: so many requests a second, for --duration
    #[arg(long, value_name = "PER-SECOND", group = "model", help_heading = "Load")]
    pub(super) rate: Option<f64>,
    /// Open model: a stage, FROM:TO:DURATION or RATE:DURATION; may be given several times
    #[arg(long, value_name = "STAGE", group = "model", help_heading = "Load")]
    pub(super) ramp: Vec<Stage>,
    /// Closed loop: so many clients that each wait for their answer [default: 8, without --rate and --ramp]
    #[arg(long, value_name = "N", group = "model", help_heading = "Load")]
    pub(super) parallel: Option<usize>,
    /// How long requests are sent, with --rate and --parallel
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, conflicts_with = "ramp", help_heading = "Load")]
    pub(super) duration: Duration,
    /// At most so many requests
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(super) count: Option<u64>,
    /// Open model: arrivals as of many clients that know nothing of each other, in place of even ones
    #[arg(long, conflicts_with = "parallel", help_heading = "Load")]
    pub(super) poisson: bool,
    /// How long to wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, help_heading = "Load")]
    pub(super) timeout: Duration,
    /// Open model: how many requests may be under way; beyond it they are counted, and not sent
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Load")]
    pub(super) max_in_flight: usize,

    /// Start the STS emulator, say how to point a server at it, and wait for the server
    #[arg(long, conflicts_with = "with_arngate", help_heading = "STS")]
    pub(super) with_sts: bool,
    /// Where that emulator listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "STS")]
    pub(super) sts_listen: SocketAddr,
    /// Where that emulator's HTTPS proxy listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "STS")]
    pub(super) sts_proxy: SocketAddr,
    /// How much later that emulator answers: 20ms, uniform=10ms..30ms, exponential=20ms, lognormal=20ms,0.5
    #[arg(long, default_value = "none", hide_default_value = true, help_heading = "STS")]
    pub(super) sts_latency: Latency,
    /// Beyond which rate that emulator throttles: 100/s, or 100/s,burst=200
    #[arg(long, value_name = "RATE", help_heading = "STS")]
    pub(super) sts_limit: Option<RateLimit>,
    /// How long to wait for the server that is pointed at the emulator
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, help_heading = "STS")]
    pub(super) wait: Duration,
    /// The admin endpoint of an emulator that plays STS already (`arngate-lab sts --admin`)
    #[arg(long, value_name = "URL", conflicts_with_all = ["with_sts", "with_arngate"], help_heading = "STS")]
    pub(super) sts_metrics: Option<String>,
    /// Load a server whose STS is AWS's: every token that it does not remember is a call of yours
    #[arg(long, help_heading = "STS")]
    pub(super) i_know_this_calls_aws: bool,

    /// How the report is printed
    #[arg(short = 'o', long, value_enum, default_value = "text", help_heading = "Report")]
    pub(super) output: Output,
    /// Write the report as a page with plots, too
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) html: Option<PathBuf>,
    /// What the report is called
    #[arg(
        long,
        default_value = "Token verification under load",
        hide_default_value = true,
        help_heading = "Report"
    )]
    pub(super) title: String,
    /// Exit with 3 where there are fewer verdicts a second
    #[arg(long, value_name = "PER-SECOND", help_heading = "Report")]
    pub(super) fail_under_rate: Option<f64>,
    /// Exit with 3 where the 99th percentile is longer
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Report")]
    pub(super) fail_over_p99: Option<Duration>,
    /// Exit with 3 where a larger share of requests, from 0 to 1, has no verdict
    #[arg(long, value_name = "SHARE", help_heading = "Report")]
    pub(super) fail_over_failures: Option<f64>,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|error| format!("expected a duration, such as 30s: {error}"))?;
    let parsed = Duration::try_from(parsed).ok().filter(|duration| !duration.is_zero());
    parsed.ok_or_else(|| "expected a duration above zero".to_owned())
}

/// Loads the target and prints the report.
///
/// # Errors
/// Where it cannot be done.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mix = args.mix();
    mix.check()?;
    let arrivals = args.arrivals()?;
    let population = args.population()?;
    let scene = Scene::set_up(&args, &population).await?;
    let client = Arc::new(Client::new(scene.target.clone(), args.connections, args.timeout));
    let source = Source::new(&args.cluster_id, &args.region, client.target().via)?;
    client.connect().await.context("the target cannot be loaded")?;
    if mix.reaches_sts() && !args.i_know_this_calls_aws {
        let sts = scene.sts.as_ref().ok_or(GuardError::NoEmulator)?;
        // A mix of forged tokens alone has nobody to send ahead; whoever is known will do.
        let first = population.credentials().first().context("there is no principal to send ahead")?;
        probe(&client, sts, first, &source).await?;
    }
    let total = match &arrivals {
        // Random arrivals may be some more than are expected.
        Arrivals::Open { schedule, .. } => Some(schedule.expected() + schedule.expected() / 10 + 1000),
        Arrivals::Closed { .. } => args.count,
    };
    let ahead = usize::try_from(total.unwrap_or(AHEAD).min(AHEAD)).unwrap_or_default();
    let session = Session {
        client,
        source,
        people: population.credentials().to_vec(),
        sts: scene.sts.clone(),
        stop: stopped_by_signals()?,
    };
    let report = session.run(&args.title, &mix, arrivals, total, ahead).await?;
    if let Some(path) = &args.html {
        fs::write(path, report.to_html()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.output {
        Output::Text => print!("{}", report.to_text()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(args.verdict(&report))
}

impl Args {
    pub(super) fn via(&self) -> Via {
        if self.apiserver.is_some() || self.apiserver_kubeconfig.is_some() {
            Via::ApiServer
        } else {
            Via::Webhook(self.review_version)
        }
    }

    fn mix(&self) -> Mix {
        let Self { repeat, forged, garbage, repeat_pool, seed, .. } = *self;
        Mix { repeat, forged, garbage, pool: repeat_pool, seed }
    }

    fn population(&self) -> anyhow::Result<Population> {
        if let Some(file) = &self.principals {
            return Ok(Population::of(Principals::from_file(file)?));
        }
        let silent = self.roles.is_none() && self.users.is_none() && self.nodes == 0 && self.strangers == 0;
        let (roles, users) = if silent { (90, 10) } else { (0, 0) };
        Ok(Population::generated(Counts {
            nodes: self.nodes,
            roles: self.roles.unwrap_or(roles),
            sessions: 1,
            users: self.users.unwrap_or(users),
            strangers: self.strangers,
        }))
    }

    fn arrivals(&self) -> anyhow::Result<Arrivals> {
        let stages = match self.rate {
            Some(rate) => vec![format!("{rate}:{}s", self.duration.as_secs_f64()).parse().context("--rate")?],
            None => self.ramp.clone(),
        };
        if stages.is_empty() {
            let parallel = self.parallel.unwrap_or(8);
            if !(1..=100_000).contains(&parallel) {
                bail!("--parallel {parallel}: expected a number from 1 to 100,000");
            }
            return Ok(Arrivals::Closed { parallel, lasting: self.duration });
        }
        let spacing = if self.poisson { Spacing::Poisson(self.seed) } else { Spacing::Even };
        let schedule = Schedule::new(stages, spacing, self.count)?;
        Ok(Arrivals::Open { schedule, in_flight: self.max_in_flight })
    }

    pub(super) fn location(&self) -> anyhow::Result<Location> {
        let kubeconfig = self.webhook_kubeconfig.as_ref().or(self.apiserver_kubeconfig.as_ref());
        let url = self.webhook.as_ref().or(self.apiserver.as_ref()).cloned().unwrap_or_default();
        let mut location = Location { url, ..Location::default() };
        if let Some(path) = kubeconfig {
            let Kubeconfig { server, authority, server_name, client } = Kubeconfig::read(path)?;
            // Where an API server is shown a certificate, it asks no webhook about the token.
            let client = client.filter(|_| self.via() != Via::ApiServer);
            location = Location { url: server, authority, server_name, client };
        }
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        if let Some(path) = &self.ca {
            location.authority = Some(read(path)?);
        }
        if let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) {
            location.client = Some((read(certificate)?, read(key)?));
        }
        Ok(location)
    }

    /// Whether the run was as good as it had to be.
    fn verdict(&self, report: &Report) -> ExitCode {
        let mut missed = false;
        let mut miss = |text: String| {
            eprintln!("arngate-lab load: {text}");
            missed = true;
        };
        if let Some(rate) = self.fail_under_rate.filter(|rate| report.verdicts_per_second < *rate) {
            miss(format!(
                "{:.1} verdicts a second, and at least {rate} were asked for",
                report.verdicts_per_second
            ));
        }
        let p99 = Duration::from_secs_f64(report.latency.p99_ms / 1000.0);
        if let Some(most) = self.fail_over_p99.filter(|most| p99 > *most) {
            miss(format!("the 99th percentile is {p99:?}, and at most {most:?} were asked for"));
        }
        let failed = report.failed_share();
        if let Some(most) = self.fail_over_failures.filter(|most| failed > *most) {
            miss(format!("a share of {failed:.4} has no verdict, and at most {most} were asked for"));
        }
        if missed { ExitCode::from(MISSED) } else { ExitCode::SUCCESS }
    }
}

/// A token that is cancelled by INT and TERM.
pub(crate) fn stopped_by_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        stopped.cancel();
    });
    Ok(stop)
}
