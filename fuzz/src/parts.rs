//! Inputs of several texts, with a line of five `=` between them.

/// The line.
const LINE: &str = "=====";

/// The texts of `data`; none where it is no UTF-8.
#[must_use]
pub fn parts(data: &[u8]) -> Option<Vec<&str>> {
    let mut rest = std::str::from_utf8(data).ok()?;
    let mut parts = Vec::new();
    let between = format!("{LINE}\n");
    while let Some((part, after)) = rest.split_once(&between) {
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    Some(parts)
}
