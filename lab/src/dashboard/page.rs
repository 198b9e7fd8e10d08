use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{Dashboard, Panel, PanelKind, Series};
use crate::load::report::{
    STYLE,
    chart::{self, Chart, Scale},
};

/// The colours of lines, by the names that the style sheet has for them.
const CLASSES: [&str; 8] = ["c1", "c2", "c3", "c6", "c7", "c8", "c5", "c4"];

/// What a panel's queries found, each line with its name.
pub(super) type Lines = Vec<(String, Series)>;

/// A page without anything from elsewhere. `found` says what a panel's queries have found.
#[must_use]
pub fn render(dashboard: &Dashboard, about: &str, found: impl Fn(&Panel) -> Vec<(String, Series)>) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0}</title>\
         <style>{STYLE}</style></head><body><main><h1>{0}</h1><p class=\"about\">{1}</p>",
        escape(dashboard.title.as_str()),
        escape(about)
    );
    for row in &dashboard.rows {
        let _ = write!(page, "<h2>{}</h2>", escape(row.title.as_str()));
        let of = |kind| row.panels.iter().filter(move |panel| panel.kind == kind);
        page.push_str("<div class=\"tiles\">");
        for panel in of(PanelKind::Figure) {
            page.push_str(&figure(panel, &found(panel)));
        }
        page.push_str("</div><div class=\"grid\">");
        for panel in of(PanelKind::Plot) {
            page.push_str(&plot(panel, &found(panel)));
        }
        page.push_str("</div>");
    }
    page.push_str("</main></body></html>\n");
    page
}

fn figure(panel: &Panel, lines: &Lines) -> String {
    let last = lines.iter().find_map(|(_, series)| series.points.last());
    let value = last.map_or_else(|| "no data".to_owned(), |(_, value)| in_words(*value, &panel.unit));
    let title = escape(panel.title.as_str());
    format!("<div class=\"tile\"><b>{}</b><span>{title}</span></div>", escape(value.as_str()))
}

fn plot(panel: &Panel, lines: &Lines) -> String {
    let (factor, y_label) = match panel.unit.as_str() {
        "reqps" | "cps" => (1.0, "a second"),
        "s" => (1.0, "seconds"),
        "bytes" => (1e-6, "MB"),
        "percentunit" => (100.0, "percent"),
        _ => (1.0, ""),
    };
    let start = lines.iter().filter_map(|(_, series)| series.points.first()).map(|(at, _)| *at);
    let start = start.fold(f64::INFINITY, f64::min);
    let series = lines.iter().zip(CLASSES.iter().cycle()).map(|((name, series), class)| chart::Series {
        label: name,
        class,
        points: series.points.iter().map(|(at, value)| (at - start, value * factor)).collect(),
    });
    Chart {
        title: &panel.title,
        x_label: "seconds",
        y_label,
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: series.collect(),
    }
    .render()
}

fn in_words(value: f64, unit: &str) -> String {
    match unit {
        "s" if value >= 86400.0 => format!("{:.0} d", value / 86400.0),
        "s" => format!("{value:.0} s"),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHBOARD: &str = r#"{"title": "arngate <1>", "panels": [
        {"type": "row", "title": "Now"},
        {"type": "stat", "title": "Ends in", "fieldConfig": {"defaults": {"unit": "s"}}},
        {"type": "timeseries", "title": "Memory", "fieldConfig": {"defaults": {"unit": "bytes"}}}]}"#;

    #[test]
    fn a_panel_shows_what_was_found_and_says_where_nothing_was() {
        let dashboard = Dashboard::parse(DASHBOARD).unwrap();
        let lines = |values: &[(f64, f64)]| {
            vec![("a <b>".to_owned(), Series { labels: [].into(), points: values.to_vec() })]
        };
        let page = render(&dashboard, "an hour", |panel| match panel.kind {
            PanelKind::Figure => lines(&[(1.0, 864_000.0)]),
            PanelKind::Plot => lines(&[(100.0, 14e6), (160.0, 15e6)]),
        });
        for text in
            ["<h1>arngate &lt;1&gt;</h1>", "<b>10 d</b>", "a &lt;b&gt;", ">MB</text>", "class=\"line c1\""]
        {
            assert!(page.contains(text), "{text}: {page}");
        }
        let empty = render(&dashboard, "an hour", |_| Vec::new());
        assert!(empty.contains("<b>no data</b>") && !empty.contains("class=\"line"), "{empty}");
    }
}
