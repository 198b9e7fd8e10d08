//! The command line: one file a command.

mod add;
mod addition;
mod aws_auth;
mod cluster;
mod completions;
mod config;
mod crd;
mod diff;
mod doctor;
mod editing;
mod entries;
mod explain;
mod explanation;
mod finding;
mod healthcheck;
mod identity_mapping;
mod init;
mod lint;
mod man;
mod mapping_file;
mod mfa;
mod printable;
mod server;
mod service_access;
mod stray;
mod sts_options;
mod token;
mod undo;
mod verify;
mod version;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, parser::ValueSource};

use crate::{
    config::{self as configuration, FeatureGates, GateList},
    telemetry::{self, LogFormat, Verbosity},
    token::ClusterId,
};

/// What the program is called.
const NAME: &str = "arngate";

/// An IAM authenticator for Kubernetes: kube-apiserver asks it who a bearer token is, AWS STS vouches for the
/// caller, and aws-auth says which user and groups that is.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    // A flag that is given twice is last given.
    args_override_self = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage; verify: 3 token refused, 4 no verdict from STS;\n\
                  lint: 3 errors found; explain: 3 not let in; diff: 3 differences.\n\n\
                  Examples:\n  \
                  arngate server -c /etc/arngate/config.yaml --backend-mode EKSConfigMap,MountedFile\n  \
                  arngate token -i my-cluster\n  \
                  arngate token -i my-cluster --token-only | arngate verify -t - -i my-cluster"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Configuration file (YAML); keys are matched without case
    #[arg(short, long, value_name = "FILE", value_parser = path, global = true)]
    config: Option<PathBuf>,
    /// Cluster ID: what tokens must be signed for (a name of this cluster's own)
    #[arg(
        short = 'i',
        long,
        value_name = "ID",
        env = "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID",
        global = true
    )]
    cluster_id: Option<String>,
    /// How log lines on stderr look: text or json; anything else is taken as text
    #[arg(short, long, value_name = "FORMAT", default_value = "text", global = true)]
    log_format: String,
    /// How much is logged: fatal, error, warning, info, debug or trace
    #[arg(
        short = 'v',
        long,
        value_parser = verbosity,
        value_name = "LEVEL",
        default_value = "info",
        env = "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY",
        global = true
    )]
    log_verbosity: Verbosity,
    /// Feature gates: ConfiguredInitDirectories, SSORoleMatch (on unless it says false), IAMIdentityMappingCRD, which
    /// needs no gate here, and `AllAlpha`, which is all of them. It may be given more than once
    #[arg(long, value_name = "NAME=BOOL,…", global = true)]
    feature_gates: Vec<GateList>,
    /// The arguments that come from the command line or the environment.
    #[arg(skip)]
    given: BTreeSet<String>,
    /// Those of them that come from the environment.
    #[arg(skip)]
    from_environment: BTreeSet<String>,
}

impl Global {
    /// What all feature gates come to.
    fn gates(&self) -> FeatureGates {
        FeatureGates::of(&self.feature_gates)
    }

    /// The cluster ID of the flag or the environment, else of the configuration file.
    fn cluster_id(&self) -> anyhow::Result<ClusterId> {
        let of_file = || {
            let Some(path) = &self.config else { return Ok(None) };
            configuration::File::read(path)
                .context("the configuration cannot be used")
                .map(|file| file.cluster_id)
        };
        let Some(id) = self.cluster_id.clone().map_or_else(of_file, |id| Ok(Some(id)))? else {
            bail!(
                "no cluster ID: say which cluster the token is for with -i ID, or by clusterID in the file of -c"
            )
        };
        id.parse().with_context(|| format!("the cluster ID {id:?}"))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    // Each type says what its command is for: a word here would take the place of all that it says.
    Server(Box<server::Args>),
    Healthcheck(healthcheck::Args),
    Config(config::Args),
    Crd(crd::Args),
    Init(init::Args),
    Token(token::Args),
    Lint(lint::Args),
    Explain(Box<explain::Args>),
    Diff(diff::Args),
    Doctor(Box<doctor::Args>),
    Verify(verify::Args),
    Add(add::Args),
    Get(identity_mapping::GetArgs),
    Create(identity_mapping::CreateArgs),
    Delete(identity_mapping::DeleteArgs),
    Undo(undo::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

/// Runs the program on the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let Cli { mut global, command } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    global.from_environment = coming_from(&matches, &[ValueSource::EnvVariable]);
    global.given = coming_from(&matches, &[ValueSource::EnvVariable, ValueSource::CommandLine]);
    // An empty flag or variable says nothing, as today.
    global.cluster_id = global.cluster_id.filter(|id| !id.is_empty());
    global.config = global.config.filter(|path| !path.as_os_str().is_empty());
    let format = LogFormat::from_str(&global.log_format, false);
    telemetry::init(format.clone().unwrap_or(LogFormat::Text), global.log_verbosity);
    if format.is_err() {
        tracing::warn!("-l {:?} is no log format: want text or json, and text is taken", global.log_format);
    }
    // The process-wide provider, for the libraries that ask for one; an error says that one is set already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    let result = runtime.block_on(async {
        match command {
            Command::Server(args) => server::run(&global, *args).await,
            Command::Healthcheck(args) => healthcheck::run(&global, args).await,
            Command::Token(args) => token::run(&global, args).await,
            Command::Verify(args) => verify::run(&global, args).await,
            Command::Add(args) => add::run(args).await,
            Command::Get(args) => identity_mapping::get(args).await,
            Command::Create(args) => identity_mapping::create(args).await,
            Command::Delete(args) => identity_mapping::delete(args).await,
            Command::Undo(args) => undo::run(args).await,
            Command::Lint(args) => lint::run(&args).await,
            Command::Explain(args) => explain::run(&global, *args).await,
            Command::Diff(args) => diff::run(&args).await,
            Command::Config(args) => config::run(&global, args),
            Command::Crd(args) => crd::run(&args),
            Command::Doctor(args) => Box::pin(doctor::run(&global, *args)).await,
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
            Command::Init(args) => init::run(&global, args),
            Command::Version(args) => Ok(version::run(&args)),
        }
    });
    // What still waits for a name server or a file must not hold the exit up.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failed(&error))
}

/// The arguments of the command, and of the command below it, that come from one of `sources`.
fn coming_from(matches: &ArgMatches, sources: &[ValueSource]) -> BTreeSet<String> {
    let comes_from_there = |id: &&clap::Id| {
        // Groups have no source, and are no arguments.
        matches.try_contains_id(id.as_str()).is_ok()
            && matches.value_source(id.as_str()).is_some_and(|source| sources.contains(&source))
    };
    let mut found: BTreeSet<String> =
        matches.ids().filter(comes_from_there).map(ToString::to_string).collect();
    if let Some((_, below)) = matches.subcommand() {
        found.extend(coming_from(below, sources));
    }
    found
}

/// A path that may be empty.
#[expect(clippy::unnecessary_wraps, reason = "clap's parsers may fail")]
fn path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
}

/// A level by its name, without regard to case; an empty variable says nothing.
fn verbosity(text: &str) -> Result<Verbosity, String> {
    if text.is_empty() { Ok(Verbosity::Info) } else { Verbosity::from_str(text, true) }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("arngate: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, with its words.
    fn commands(command: &clap::Command, words: &str) -> Vec<(String, String)> {
        let words = format!("{words} {}", command.get_name()).trim().to_owned();
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        let below: Vec<_> = below.flat_map(|below| commands(below, &words)).collect();
        std::iter::once((words, after)).chain(below).collect()
    }

    #[test]
    fn every_command_has_examples_and_they_can_be_run() {
        let all = commands(&Cli::command(), "");
        assert!(all.len() > 20, "{}", all.len());
        for (words, after) in all {
            let (_, examples) =
                after.split_once("Examples:\n").unwrap_or_else(|| panic!("{words} has no examples"));
            let lines: Vec<&str> = examples.lines().map(str::trim).collect();
            assert!(lines.iter().any(|line| line.contains(&words)), "{words}: {lines:?}");
            for line in lines {
                let ours =
                    line.split(" > ").next().unwrap().split(" | ").filter(|part| part.starts_with(NAME));
                let ours: Vec<_> = ours.collect();
                assert!(!ours.is_empty(), "{words}: {line}");
                for command in ours {
                    let parsed = Cli::try_parse_from(command.split_whitespace());
                    assert!(parsed.is_ok(), "{words}: {command}: {}", parsed.err().unwrap());
                }
            }
        }
    }

    #[test]
    fn every_command_is_told_of_in_a_line() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!((10..=100).contains(&about.len()) && !about.ends_with('.'), "{name}: {about}");
        }
    }

    #[test]
    fn the_command_line_is_one_that_clap_takes() {
        Cli::command().debug_assert();
    }
}
