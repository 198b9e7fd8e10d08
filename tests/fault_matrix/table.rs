//! The rows of one area, printed when they are complete, or as far as they came.

use std::fmt::Write;

/// What one fault came to.
pub(crate) struct Row {
    pub(crate) fault: String,
    /// What a caller who is mapped got meanwhile.
    pub(crate) got: String,
    /// What forged tokens and callers who are not mapped got.
    pub(crate) others: String,
    /// How long it took, after the fault's end, until all was well.
    pub(crate) recovery: String,
}

/// The rows of an area.
pub(crate) struct Table {
    area: &'static str,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn of(area: &'static str) -> Self {
        Self { area, rows: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        fault: &str,
        got: impl Into<String>,
        others: impl Into<String>,
        recovery: impl Into<String>,
    ) {
        self.rows.push(Row {
            fault: fault.to_owned(),
            got: got.into(),
            others: others.into(),
            recovery: recovery.into(),
        });
    }
}

impl Drop for Table {
    /// Prints in one piece, since other areas print as well.
    fn drop(&mut self) {
        let mut text = format!(
            "\n{}\n| fault | kube-apiserver got | forged, not mapped | well again after |\n|---|---|---|---|\n",
            self.area
        );
        for Row { fault, got, others, recovery } in &self.rows {
            writeln!(text, "| {fault} | {got} | {others} | {recovery} |").unwrap();
        }
        println!("{text}");
    }
}
