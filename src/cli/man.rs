//! `arngate man`

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::{Cli, NAME};

/// Write the man pages into a directory: arngate.1, and one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arngate man /usr/local/share/man/man1
  arngate man man")]
pub(super) struct Args {
    /// The directory, which is made where it is not there
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let directory = &args.directory;
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    // Names the pages of what is below, and hands the options of every command down to them.
    command.build();
    let number = write(&command, directory)?;
    println!("{number} pages are in {}", directory.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of `command` and of those below it; how many that is.
fn write(command: &Command, directory: &Path) -> anyhow::Result<usize> {
    let man = Man::new(command.clone()).manual(NAME);
    let path = directory.join(man.get_filename());
    fs::write(&path, page(&man, command)?).with_context(|| format!("cannot write {}", path.display()))?;
    let mut number = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        number += write(below, directory)?;
    }
    Ok(number)
}

/// A page. The generator's own would run the lines of the examples together.
/// <https://github.com/clap-rs/clap/issues/6087>
fn page(man: &Man, command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(after) = command.get_after_help() {
        more(&after.to_string()).to_writer(&mut page)?;
    }
    Ok(escaped(&page))
}

/// A page in ASCII. Formatters that are not told its encoding take it for Latin-1.
fn escaped(page: &[u8]) -> Vec<u8> {
    let escape = |letter: char| match letter {
        letter if letter.is_ascii() => letter.to_string(),
        letter => format!("\\[u{:04X}]", u32::from(letter)),
    };
    String::from_utf8_lossy(page).chars().map(escape).collect::<String>().into_bytes()
}

/// What stands behind the options: `Heading: text`, or a heading with lines indented under it, which stay as they are.
fn more(after: &str) -> Roff {
    let mut roff = Roff::default();
    for block in after.split("\n\n") {
        let (heading, rest) = block.split_once(':').unwrap_or(("", block));
        roff.control("SH", [heading.to_uppercase().as_str()]);
        let as_they_are = rest.starts_with('\n');
        if as_they_are {
            roff.control("nf", []);
        }
        for line in rest.trim_start_matches('\n').lines() {
            roff.text([roman(line.trim_start())]);
        }
        if as_they_are {
            roff.control("fi", []);
        }
    }
    roff
}
