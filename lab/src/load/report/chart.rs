use std::fmt::Write as _;

use quick_xml::escape::escape;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// How values stand along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Logarithmic,
    /// Of quantiles: each step to the right has a tenth of the requests beyond it.
    Quantile,
}

/// A line; `class` names its colour in the page's style sheet. A gap is where a point is not finite.
#[derive(Debug, Clone)]
pub(crate) struct Series<'t> {
    pub(crate) label: &'t str,
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone)]
pub(crate) struct Chart<'t> {
    pub(crate) title: &'t str,
    pub(crate) x_label: &'t str,
    pub(crate) y_label: &'t str,
    pub(crate) x_scale: Scale,
    pub(crate) y_scale: Scale,
    pub(crate) series: Vec<Series<'t>>,
}

/// An axis: values to places between 0 and 1, and what stands beside it.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let sound = values.filter(|value| value.is_finite());
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in sound.filter(|value| scale != Scale::Logarithmic || *value > 0.0) {
            least = least.min(value);
            most = most.max(value);
        }
        if least > most {
            (least, most) = (1.0, 1.0);
        }
        match scale {
            Scale::Linear => {
                let step = step(most.max(1e-9) / 5.0);
                let to = (most / step).ceil().max(1.0) * step;
                let ticks =
                    (0..=12).map(|tick| f64::from(tick) * step).take_while(|value| *value <= to * 1.0001);
                Self { scale, from: 0.0, to, ticks: ticks.map(|value| (value, short(value))).collect() }
            }
            Scale::Logarithmic => {
                let (low, high) =
                    (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
                // Powers of ten, and between them 2 and 5 where there are few.
                let parts: &[f64] = if high - low <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let powers = (0..20).map(|power| low + f64::from(power)).take_while(|power| *power <= high);
                let ticks: Vec<_> = powers
                    .flat_map(|power| parts.iter().map(move |part| part * 10_f64.powf(power)))
                    .filter(|value| value.log10() <= high + 1e-9)
                    .map(|value| (value, short(value)))
                    .collect();
                Self { scale, from: 10_f64.powf(low), to: 10_f64.powf(high), ticks }
            }
            Scale::Quantile => {
                let known = [
                    (0.0, "0 %"),
                    (0.5, "50 %"),
                    (0.9, "90 %"),
                    (0.99, "99 %"),
                    (0.999, "99.9 %"),
                    (0.9999, "99.99 %"),
                    (0.99999, "99.999 %"),
                ];
                let to =
                    known.iter().map(|(value, _)| *value).find(|value| *value >= most).unwrap_or(0.99999);
                let ticks = known.iter().filter(|(value, _)| *value <= to);
                Self {
                    scale,
                    from: 0.0,
                    to: to.max(0.9),
                    ticks: ticks.map(|(v, t)| (*v, (*t).to_owned())).collect(),
                }
            }
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Logarithmic => {
                (value.max(self.from).log10() - self.from.log10()) / (self.to.log10() - self.from.log10())
            }
            Scale::Quantile => (1.0 - value.min(self.to)).log10() / (1.0 - self.to).log10(),
        };
        place.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least as much as `wanted`.
fn step(wanted: f64) -> f64 {
    let power = 10_f64.powf(wanted.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|part| part * power)
        .find(|step| *step >= wanted * 0.999)
        .unwrap_or(wanted)
}

fn short(value: f64) -> String {
    let text = match value {
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    };
    if text.contains('.') && !text.ends_with('M') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

impl Chart<'_> {
    /// A figure with caption, legend and an inline SVG.
    pub(crate) fn render(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::new(self.x_scale, points().map(|(x, _)| *x));
        let y = Axis::new(self.y_scale, points().map(|(_, y)| *y));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let at_x = |value: f64| LEFT + x.place(value) * (right - LEFT);
        let at_y = |value: f64| bottom - y.place(value) * (bottom - TOP);

        let mut svg = String::new();
        // Writing to a string does not fail.
        let _ = write!(svg, "<figure><figcaption>{}</figcaption><div class=\"legend\">", escape(self.title));
        for Series { label, class, .. } in &self.series {
            let _ = write!(svg, "<span><i class=\"{class}\"></i>{}</span>", escape(*label));
        }
        let _ = write!(
            svg,
            "</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(self.title)
        );
        for (value, text) in &y.ticks {
            let y = at_y(*value);
            let _ = write!(
                svg,
                "<line class=\"gridline\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                escape(text.as_str())
            );
        }
        for (value, text) in &x.ticks {
            let x = at_x(*value);
            let _ = write!(
                svg,
                "<line class=\"gridline\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                escape(text.as_str())
            );
        }
        for Series { class, points, .. } in &self.series {
            let mut path = String::new();
            let mut gap = true;
            for (x, y) in points {
                if !x.is_finite() || !y.is_finite() {
                    gap = true;
                    continue;
                }
                // A line of no length, with round ends, is a dot: what stands alone is seen, too.
                let (begin, end) = if gap { ("M", "h0") } else { ("L", "") };
                let _ = write!(path, "{begin}{:.1} {:.1}{end}", at_x(*x), at_y(*y));
                gap = false;
            }
            let _ = write!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
        }
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"translate(13 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\
             </svg></figure>",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0,
            escape(self.x_label),
            f64::midpoint(TOP, bottom),
            escape(self.y_label)
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        let texts = |scale, values: &[f64]| -> Vec<String> {
            Axis::new(scale, values.iter().copied()).ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts(Scale::Linear, &[0.0, 480.0]), ["0", "100", "200", "300", "400", "500"]);
        assert_eq!(texts(Scale::Linear, &[30.0]), ["0", "10", "20", "30"]);
        assert_eq!(texts(Scale::Logarithmic, &[0.3, 40.0, 2000.0]), ["0.1", "1", "10", "100", "1000", "10k"]);
        assert_eq!(texts(Scale::Logarithmic, &[0.0, 2.0, 30.0]), ["1", "2", "5", "10", "20", "50", "100"]);
        assert_eq!(texts(Scale::Quantile, &[0.0, 0.995]), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
        assert_eq!(texts(Scale::Linear, &[]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }

    #[test]
    fn places_are_within_the_plot() {
        let axis = Axis::new(Scale::Logarithmic, [1.0, 100.0].into_iter());
        let percent = |axis: &Axis, value| format!("{:.0}", (axis.place(value) * 100.0).abs());
        let places = [0.0, 1.0, 10.0, 100.0, 1e9].map(|value| percent(&axis, value));
        assert_eq!(places, ["0", "0", "50", "100", "100"]);
        let axis = Axis::new(Scale::Quantile, [0.0, 0.99].into_iter());
        let places = [0.0, 0.9, 0.99, 1.0].map(|value| percent(&axis, value));
        assert_eq!(places, ["0", "50", "100", "100"]);
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let series = Series { label: "a", class: "a", points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0)] };
        let (x_scale, y_scale) = (Scale::Linear, Scale::Linear);
        let chart = Chart { title: "t", x_label: "x", y_label: "y", x_scale, y_scale, series: vec![series] };
        let svg = chart.render();
        let path = svg.split_once(" d=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(path.ends_with("h0"), "a point alone is a dot: {path}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
