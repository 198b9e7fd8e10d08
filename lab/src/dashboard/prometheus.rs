use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    url: String,
    http: reqwest::Client,
}

/// Labels, and values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The labels that are left.
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970, and values.
    pub points: Vec<(f64, f64)>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its end.
    pub to: Timestamp,
    /// How long it is.
    pub lasting: Duration,
    /// Between two points.
    pub step: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// Nobody there.
    #[error("cannot ask Prometheus: {0}")]
    Http(#[from] reqwest::Error),
    /// A question that it does not understand.
    #[error("Prometheus does not take {expression}: {error}")]
    Refused {
        /// The question.
        expression: String,
        /// What it says.
        error: String,
    },
    /// An answer that is none.
    #[error("what Prometheus answers to {expression} cannot be read: {error}")]
    Unreadable {
        /// The question.
        expression: String,
        /// Why.
        error: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    result: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Prometheus {
    /// The one at `url`, as `http://127.0.0.1:9090`.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn at(url: &str) -> Result<Self, PrometheusError> {
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// What `expression` was over `span`. Values that are no numbers are left out, as where nothing is divided by
    /// nothing.
    ///
    /// # Errors
    /// See [`PrometheusError`].
    pub async fn over(&self, expression: &str, span: Span) -> Result<Vec<Series>, PrometheusError> {
        let to = span.to.as_second();
        let from = to.saturating_sub(i64::try_from(span.lasting.as_secs()).unwrap_or(i64::MAX));
        let parameters = [
            ("query", expression.to_owned()),
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", span.step.as_secs().max(1).to_string()),
        ];
        let body: String = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", percent(value)))
            .collect::<Vec<_>>()
            .join("&");
        let request = self.http.post(format!("{}/api/v1/query_range", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let text = request.send().await?.text().await?;
        let unreadable = |error| PrometheusError::Unreadable { expression: expression.to_owned(), error };
        let answer: Answer = serde_json::from_str(&text).map_err(unreadable)?;
        let Some(data) = answer.data else {
            return Err(PrometheusError::Refused { expression: expression.to_owned(), error: answer.error });
        };
        Ok(data.result.into_iter().map(Found::series).filter(|series| !series.points.is_empty()).collect())
    }
}

impl Found {
    fn series(self) -> Series {
        let value = |(at, text): (f64, String)| {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| (at, value))
        };
        Series { labels: self.metric, points: self.values.into_iter().filter_map(value).collect() }
    }
}

/// A value of a form.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_nothing_that_means_something_else() {
        assert_eq!(percent("rate(a{b=\"c\"}[1m]) > 0"), "rate%28a%7Bb%3D%22c%22%7D%5B1m%5D%29%20%3E%200");
    }

    #[test]
    fn values_that_are_no_numbers_are_gaps() {
        let found = r#"{"metric": {"a": "b"}, "values": [[1, "0.5"], [2, "NaN"], [3, "+Inf"], [4, "1"]]}"#;
        let series = serde_json::from_str::<Found>(found).unwrap().series();
        assert_eq!(series.points, [(1.0, 0.5), (4.0, 1.0)]);
    }
}
