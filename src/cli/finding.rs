//! What is wrong or odd in mappings, as commands write it.

use serde_json::{Value, json};

use super::printable::printable;
use crate::mapping::{Finding, Severity};

pub(super) const fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Place, message and advice.
pub(super) fn words(finding: &Finding) -> String {
    let Finding { place, message, advice, .. } = finding;
    let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    printable(&format!("{place}{message}{advice}"))
}

/// `FILE:LINE:COLUMN: SEVERITY: WORDS`, as compilers have it, so that editors find the place.
pub(super) fn line(file: &str, finding: &Finding) -> String {
    let at = finding.position.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    format!("{}{at}: {}: {}", printable(file), label(finding.severity), words(finding))
}

pub(super) fn object(file: &str, finding: &Finding) -> Value {
    json!({
        "severity": label(finding.severity), "file": file, "line": finding.position.map(|at| at.line),
        "column": finding.position.map(|at| at.column), "place": finding.place, "message": finding.message,
        "advice": finding.advice,
    })
}
