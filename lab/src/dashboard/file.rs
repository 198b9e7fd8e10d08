use serde::Deserialize;

/// A dashboard as Grafana has it, as far as it is drawn here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Its name.
    pub title: String,
    /// Its rows, from above.
    pub rows: Vec<Row>,
}

/// A heading, and the panels below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The heading.
    pub title: String,
    /// In the order of the file.
    pub panels: Vec<Panel>,
}

/// One figure or plot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    /// Its heading.
    pub title: String,
    /// What it shows.
    pub description: String,
    /// Grafana's name of the unit, such as `reqps`.
    pub unit: String,
    /// What it looks like.
    pub kind: PanelKind,
    /// What is asked.
    pub queries: Vec<Query>,
}

/// What a panel looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelKind {
    /// One value, as it is now.
    Figure,
    /// Lines over time.
    Plot,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In Prometheus's language, with Grafana's variables.
    pub expression: String,
    /// What a line is called: text with `{{label}}` in it.
    pub legend: String,
}

/// What Grafana's variables stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// `$job`
    pub job: String,
    /// `$__rate_interval`: four times the interval between scrapes, as Grafana has it.
    pub rate_interval: String,
}

/// What is wrong with a dashboard.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no JSON, or not a dashboard's.
    #[error("this is no dashboard of Grafana's: {0}")]
    Json(#[from] serde_json::Error),
    /// A panel that cannot be drawn here.
    #[error("the panel {title:?} is of the type {kind:?}: known here are row, stat and timeseries")]
    Type {
        /// Which panel.
        title: String,
        /// Its type.
        kind: String,
    },
}

#[derive(Deserialize)]
struct Written {
    title: String,
    panels: Vec<WrittenPanel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenPanel {
    title: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    field_config: FieldConfig,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Deserialize, Default)]
struct FieldConfig {
    #[serde(default)]
    defaults: Defaults,
}

#[derive(Deserialize, Default)]
struct Defaults {
    #[serde(default)]
    unit: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    expr: String,
    #[serde(default)]
    legend_format: String,
}

impl Dashboard {
    /// Reads the JSON that Grafana exports.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn parse(json: &str) -> Result<Self, FileError> {
        let Written { title, panels } = serde_json::from_str(json)?;
        let mut rows: Vec<Row> = Vec::new();
        for WrittenPanel { title, kind, description, field_config, targets } in panels {
            let kind = match kind.as_str() {
                "row" => {
                    rows.push(Row { title, panels: Vec::new() });
                    continue;
                }
                "stat" => PanelKind::Figure,
                "timeseries" => PanelKind::Plot,
                _ => return Err(FileError::Type { title, kind }),
            };
            let query = |target: Target| Query { expression: target.expr, legend: target.legend_format };
            let queries = targets.into_iter().map(query).collect();
            let panel = Panel { title, description, unit: field_config.defaults.unit, kind, queries };
            match rows.last_mut() {
                Some(row) => row.panels.push(panel),
                None => rows.push(Row { title: String::new(), panels: vec![panel] }),
            }
        }
        Ok(Self { title, rows })
    }

    /// All panels.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

impl Query {
    /// The question with nothing of Grafana's in it; every instance is asked about.
    #[must_use]
    pub fn filled_in(&self, variables: &Variables) -> String {
        self.expression
            .replace("$__rate_interval", &variables.rate_interval)
            .replace("$job", &variables.job)
            .replace("$instance", ".+")
    }

    /// What a line with these labels is called.
    #[must_use]
    pub fn name(&self, labels: &std::collections::BTreeMap<String, String>) -> String {
        labels.iter().fold(self.legend.clone(), |name, (label, value)| {
            name.replace(&format!("{{{{{label}}}}}"), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_below_their_rows() {
        let json = r#"{"title": "t", "panels": [
            {"type": "row", "title": "Now"},
            {"type": "stat", "title": "Up", "fieldConfig": {"defaults": {"unit": "none"}},
             "targets": [{"expr": "sum(up{job=\"$job\",instance=~\"$instance\"})"}]},
            {"type": "row", "title": "Then"},
            {"type": "timeseries", "title": "Rate", "targets": [
             {"expr": "rate(a{job=\"$job\"}[$__rate_interval])", "legendFormat": "{{a}} of {{b}}"}]}]}"#;
        let dashboard = Dashboard::parse(json).unwrap();
        let titles: Vec<_> =
            dashboard.rows.iter().map(|row| (row.title.as_str(), row.panels.len())).collect();
        assert_eq!(titles, [("Now", 1), ("Then", 1)]);
        let variables = Variables { job: "arngate".to_owned(), rate_interval: "1m".to_owned() };
        let queries: Vec<_> =
            dashboard.panels().map(|panel| panel.queries[0].filled_in(&variables)).collect();
        assert_eq!(queries, [r#"sum(up{job="arngate",instance=~".+"})"#, r#"rate(a{job="arngate"}[1m])"#]);
        let labels = [("a", "x"), ("b", "y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(dashboard.rows[1].panels[0].queries[0].name(&labels.into()), "x of y");
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let error = Dashboard::parse(r#"{"title": "t", "panels": [{"type": "heatmap", "title": "H"}]}"#);
        assert!(error.unwrap_err().to_string().contains(r#"the panel "H" is of the type "heatmap""#));
    }
}
