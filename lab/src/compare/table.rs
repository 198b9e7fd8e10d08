use std::fmt::Write as _;

use serde::Serialize;

use super::{Figures, LoadFigures};

/// Bytes in a mebibyte.
const MIB: f64 = 1_048_576.0;

/// What several runs came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// That of these values; not a number where there are none.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let median = if values.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        };
        Self { median, least: at(0), most: at(values.len().wrapping_sub(1)) }
    }
}

/// What is to be reached, as a ratio of medians, arngate's to aws-iam-authenticator's, or for arngate alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At least so many times theirs.
    AtLeastTimes(f64),
    /// At most this part of theirs: 12 is a twelfth.
    AtMostOneIn(f64),
    /// At most this, whatever theirs is.
    AtMost(f64),
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What is measured.
    pub name: &'static str,
    /// In which unit.
    pub unit: &'static str,
    /// What aws-iam-authenticator came to.
    pub theirs: Spread,
    /// What arngate came to.
    pub ours: Spread,
    /// What is to be reached.
    pub target: Target,
    /// Whether it is.
    pub met: bool,
}

impl Row {
    fn new(name: &'static str, unit: &'static str, theirs: Spread, ours: Spread, target: Target) -> Self {
        let met = match target {
            Target::AtLeastTimes(times) => ours.median >= times * theirs.median,
            Target::AtMostOneIn(part) => ours.median * part <= theirs.median,
            Target::AtMost(most) => ours.median <= most,
        };
        Self { name, unit, theirs, ours, target, met }
    }

    fn ratio(&self) -> String {
        let (ours, theirs) = (self.ours.median, self.theirs.median);
        match self.target {
            _ if ours == 0.0 && theirs == 0.0 => "-".to_owned(),
            Target::AtLeastTimes(_) => format!("{:.1} ×", ours / theirs),
            Target::AtMostOneIn(_) => format!("1/{:.1}", theirs / ours),
            Target::AtMost(_) => "-".to_owned(),
        }
    }

    fn goal(&self) -> String {
        match self.target {
            Target::AtLeastTimes(times) => format!("≥ {times} ×"),
            Target::AtMostOneIn(part) => format!("≤ 1/{part}"),
            Target::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// What a load cost all three that took part: the server, the client and the emulator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// The load.
    pub load: &'static str,
    /// Whose run it was.
    pub program: &'static str,
    /// The server's CPU time a verification, in milliseconds.
    pub server_cpu_ms: Spread,
    /// The client's.
    pub client_cpu_ms: Spread,
    /// The emulator's.
    pub sts_cpu_ms: Spread,
    /// How much of the machine's CPU time the three used, from 0 to 1.
    pub machine: Spread,
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// What aws-iam-authenticator says of itself.
    pub theirs: String,
    /// What arngate says of itself.
    pub ours: String,
    /// How many runs of each there were.
    pub runs: usize,
    /// How many CPUs server, client and emulator shared.
    pub cpus: usize,
    /// The lines.
    pub rows: Vec<Row>,
    /// What measuring cost.
    pub costs: Vec<Cost>,
}

/// A load of a run.
type LoadOf = fn(&Figures) -> &LoadFigures;

/// Both programs' figures, one for each run, and the sizes of their files in bytes.
#[derive(Debug, Clone)]
pub struct Runs {
    /// aws-iam-authenticator's.
    pub theirs: Vec<Figures>,
    /// arngate's.
    pub ours: Vec<Figures>,
    /// The files' sizes, theirs first.
    pub sizes: (u64, u64),
}

impl Runs {
    fn row(
        &self,
        name: &'static str,
        unit: &'static str,
        figure: impl Fn(&Figures) -> f64,
        target: Target,
    ) -> Row {
        let (theirs, ours) = (self.theirs.iter().map(&figure), self.ours.iter().map(&figure));
        Row::new(name, unit, Spread::of(theirs), Spread::of(ours), target)
    }

    /// The lines of the table.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        use Target::{AtLeastTimes, AtMost, AtMostOneIn};
        let (theirs, ours) = self.sizes;
        let size = |bytes: u64| Spread::of(std::iter::once(mib(bytes)));
        vec![
            self.row("distinct tokens, 64 parallel", "a second", |f| f.distinct.rate, AtLeastTimes(7.0)),
            self.row("  CPU for each", "ms", |f| f.distinct.server_cpu_ms, AtMostOneIn(12.0)),
            self.row(
                "  new STS connections",
                "per 100 calls",
                |f| f.distinct.connections_per_100_calls,
                AtMost(1.0),
            ),
            self.row("100 tokens again and again", "a second", |f| f.repeated.rate, AtLeastTimes(15.0)),
            self.row("tokens that are not ours", "a second", |f| f.foreign.rate, AtLeastTimes(1.8)),
            self.row("STS at 20 ms, 256 parallel", "ms, median", |f| f.slow_sts.p50_ms, AtMostOneIn(5.0)),
            self.row("memory, 1,000 mappings", "MiB", |f| mib(f.memory_1k), AtMostOneIn(3.0)),
            self.row("memory, 10,000 mappings", "MiB", |f| mib(f.memory_10k), AtMostOneIn(60.0)),
            Row::new("binary", "MiB", size(theirs), size(ours), AtMostOneIn(4.0)),
        ]
    }

    /// What measuring cost.
    #[must_use]
    pub fn costs(&self) -> Vec<Cost> {
        let loads: [(&'static str, LoadOf); 4] = [
            ("distinct", |figures| &figures.distinct),
            ("repeated", |figures| &figures.repeated),
            ("not ours", |figures| &figures.foreign),
            ("slow STS", |figures| &figures.slow_sts),
        ];
        let programs = [("aws-iam-authenticator", &self.theirs), ("arngate", &self.ours)];
        let all = loads.into_iter().flat_map(|(load, of)| {
            programs.map(|(program, runs)| {
                let spread =
                    |value: fn(&LoadFigures) -> f64| Spread::of(runs.iter().map(|run| value(of(run))));
                Cost {
                    load,
                    program,
                    server_cpu_ms: spread(|load| load.server_cpu_ms),
                    client_cpu_ms: spread(|load| load.client_cpu_ms),
                    sts_cpu_ms: spread(|load| load.sts_cpu_ms),
                    machine: spread(|load| load.machine),
                }
            })
        });
        all.collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory, far below 2^53")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

impl Table {
    /// Whether every target is met.
    #[must_use]
    pub fn met(&self) -> bool {
        self.rows.iter().all(|row| row.met)
    }

    fn head(&self) -> String {
        format!(
            "{} and {}: medians of {} alternating runs, with the least and the most. Server, client and STS emulator \
             share {} CPUs, so that rates are those of all three together; CPU is the server's alone.",
            self.theirs, self.ours, self.runs, self.cpus
        )
    }

    /// For people, on a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let cells: Vec<Vec<String>> = self.lines().collect();
        let widths: Vec<usize> = (0..6)
            .map(|column| {
                cells
                    .iter()
                    .filter_map(|line| line.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = format!("{}\n\n", self.head());
        for line in &cells {
            for (place, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                // Names to the left, figures to the right.
                let parts = if place == 0 { [cell, &blanks, ""] } else { ["  ", &blanks, cell] };
                text.extend(parts);
            }
            text.push('\n');
        }
        text.push_str("\nCPU a verification, in ms, and how busy the machine was:\n");
        for cost in &self.costs {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:<10} {:<22} server {:>7.3}  client {:>6.3}  emulator {:>6.3}  machine {:>3.0} %",
                cost.load,
                cost.program,
                cost.server_cpu_ms.median,
                cost.client_cpu_ms.median,
                cost.sts_cpu_ms.median,
                cost.machine.median * 100.0
            );
        }
        text
    }

    /// For a page.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.head());
        for (number, line) in self.lines().enumerate() {
            let _ =
                writeln!(text, "| {} |", line.iter().map(|cell| cell.trim()).collect::<Vec<_>>().join(" | "));
            if number == 0 {
                text.push_str("|---|---:|---:|---:|---:|---|\n");
            }
        }
        text.push_str("\n| CPU a verification, ms | program | server | client | emulator | machine busy |\n");
        text.push_str("|---|---|---:|---:|---:|---:|\n");
        for cost in &self.costs {
            let _ = writeln!(
                text,
                "| {} | {} | {:.3} | {:.3} | {:.3} | {:.0} % |",
                cost.load,
                cost.program,
                cost.server_cpu_ms.median,
                cost.client_cpu_ms.median,
                cost.sts_cpu_ms.median,
                cost.machine.median * 100.0
            );
        }
        text
    }

    fn lines(&self) -> impl Iterator<Item = Vec<String>> {
        let head =
            ["", "aws-iam-authenticator", "arngate", "ratio", "target", "met"].map(str::to_owned).to_vec();
        let rows = self.rows.iter().map(|row| {
            vec![
                format!("{} ({})", row.name, row.unit),
                shown(row.theirs),
                shown(row.ours),
                row.ratio(),
                row.goal(),
                if row.met { "yes" } else { "NO" }.to_owned(),
            ]
        });
        std::iter::once(head).chain(rows)
    }
}

/// The median, and in brackets the least and the most where they differ.
fn shown(spread: Spread) -> String {
    let number = |value: f64| match value {
        value if value >= 1000.0 => crate::load::grouped(rounded(value)),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    };
    let Spread { median, least, most } = spread;
    if (most - least).abs() < f64::EPSILON {
        number(median)
    } else {
        format!("{} ({} to {})", number(median), number(least), number(most))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates, positive and far below 2^53"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests;
