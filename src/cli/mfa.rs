//! Asking for an MFA code, where somebody can answer.

use std::{
    fs::OpenOptions,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    time::Duration,
};

use crate::credentials::{MfaCode, MfaCodeError};

/// How long an answer is waited for: whoever looks for the device has it by then.
const PATIENCE: Duration = Duration::from_mins(5);
/// The longest line that is read.
const MAX_LINE: u64 = 64;
/// aws-iam-authenticator's words, which scripts may wait for.
const PROMPT: &str = "Assume Role MFA token code: ";

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "nobody can be asked: there is no terminal. Run `arngate token` with --cache and these options in one, and \
         the credentials are found for as long as they are good; or write the code to standard input"
    )]
    NoTerminal,
    #[error(transparent)]
    Code(#[from] MfaCodeError),
    #[error("the answer cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("no answer within {} minutes", PATIENCE.as_secs() / 60)]
    TooLate,
}

/// A code of the device `serial`: asked for on stderr and read from standard input where that is a terminal; what
/// standard input holds where it is none; else asked for at the terminal that the process belongs to. The code is
/// shown while it is typed, as today: it is good once.
pub(super) async fn ask(serial: &str) -> Result<MfaCode, AskError> {
    let serial = serial.to_owned();
    let answer = tokio::task::spawn_blocking(move || read(&serial));
    let line = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| AskError::TooLate)?;
    let line = line.map_err(io::Error::other)??;
    Ok(line.trim().parse()?)
}

fn read(serial: &str) -> Result<String, AskError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        prompt(&mut io::stderr(), serial)?;
        return Ok(line(stdin.lock())?);
    }
    let given = line(stdin.lock())?;
    if !given.trim().is_empty() {
        return Ok(given);
    }
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| AskError::NoTerminal)?;
    prompt(&mut terminal, serial)?;
    Ok(line(BufReader::new(terminal))?)
}

fn prompt(to: &mut impl Write, serial: &str) -> io::Result<()> {
    // A name from a file: nothing in it may move the terminal's cursor.
    let serial: String = serial.chars().filter(|character| !character.is_control()).collect();
    write!(to, "MFA device {serial}\n{PROMPT}")?;
    to.flush()
}

fn line(from: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(MAX_LINE).read_line(&mut line)?;
    Ok(line)
}
