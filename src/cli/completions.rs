//! `arngate completions`

use std::{io::Write, process::ExitCode};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, NAME};

/// Print a script by which a shell completes commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate completions bash > /usr/share/bash-completion/completions/arngate
  arngate completions zsh > /usr/share/zsh/site-functions/_arngate
  arngate completions fish > ~/.config/fish/completions/arngate.fish")]
pub(super) struct Args {
    /// Which shell's
    #[arg(value_enum)]
    shell: For,
}

/// The shells that have been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum For {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// fish
    Fish,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    // Into memory first: the generator panics where its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
