//! What of a verification's CPU time is arngate's own: beside a floor, a server that only decodes and forwards.
//!
//! ```text
//! floor ─▶ Measurement ─┬▶ arngate        checks, remembers, limits, maps, logs, counts
//!                       └▶ floor server   hyper ─ decode ─ reqwest ─ STS ─ a fixed answer; the same libraries
//! ```
//!
//! Both have the same client, the same emulator, and as many distinct tokens; they run in turns. The emulator and the
//! client are in this process, the servers are processes of their own, and their time is what the kernel counts.

mod server;

use std::{env, process::ExitCode};

use arngate_lab::compare::{LoadFigures, Measurement, Program, Spread};
use tokio_util::sync::CancellationToken;

/// The ratio that is to be kept.
const AT_MOST: f64 = 1.15;
const RUNS: usize = 7;
const REQUESTS: u64 = 20_000;

fn main() -> anyhow::Result<ExitCode> {
    // `Measurement` starts it with arngate's own arguments.
    if env::args().nth(1).as_deref() == Some("server") {
        server::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare())
}

async fn compare() -> anyhow::Result<ExitCode> {
    let number = |name, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let runs = usize::try_from(number("ARNGATE_BENCH_RUNS", RUNS as u64))?.max(1);
    let measurement =
        Measurement::prepare(number("ARNGATE_BENCH_REQUESTS", REQUESTS), CancellationToken::new()).await?;
    let floor = Program::Arngate(env::current_exe()?);
    let ours = Program::Arngate(env!("CARGO_BIN_EXE_arngate").into());
    let (mut of_floor, mut of_ours) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        let order = if run % 2 == 1 { [&floor, &ours] } else { [&ours, &floor] };
        for program in order {
            let figures = measurement.measure_distinct(program).await?;
            if program == &floor { &mut of_floor } else { &mut of_ours }.push(figures);
        }
    }
    let cpu = |figures: &[LoadFigures]| Spread::of(figures.iter().map(|load| load.server_cpu_ms * 1000.0));
    let (floor, ours) = (cpu(&of_floor), cpu(&of_ours));
    let ratio = ours.median / floor.median;
    println!("CPU for each verification, distinct tokens, medians of {runs} runs in turns (least to most):");
    for (name, spread) in [("floor", floor), ("arngate", ours)] {
        println!("  {name:<8} {:6.1} µs  ({:.1} to {:.1})", spread.median, spread.least, spread.most);
    }
    let met = ratio <= AT_MOST;
    println!("  ratio    {ratio:6.2}     (at most {AT_MOST}: {})", if met { "kept" } else { "missed" });
    Ok(ExitCode::SUCCESS)
}
