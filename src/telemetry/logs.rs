use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged, by the names that aws-iam-authenticator's `--log-verbosity` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Verbosity {
    /// What ends the program; taken as `error`.
    #[value(alias = "panic")]
    Fatal,
    /// Errors.
    Error,
    /// And what looks wrong.
    #[value(alias = "warn")]
    Warning,
    /// And each decision. The default.
    Info,
    /// And connections that end early.
    Debug,
    /// All there is.
    Trace,
}

impl Verbosity {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Fatal | Self::Error => LevelFilter::ERROR,
            Self::Warning => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Sends this process's log lines to stderr. A second call changes nothing.
///
/// Other crates' lines never show, whatever the verbosity: at debug they hold whole requests, and so would
/// hold tokens.
pub fn init(format: LogFormat, verbosity: Verbosity) {
    let own = verbosity.filter();
    let filter = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("arngate", own)
        .with_target("arngate_lab", own);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // A line that cannot be written is lost: telling of it on the same closed stderr would panic in the middle
        // of a review.
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    // An error means that a subscriber is set already, which is what a second call in one process meets.
    let _ = match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false))
            .try_init(),
    };
}
