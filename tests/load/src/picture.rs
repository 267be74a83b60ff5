//! Lines over time, as SVG that reads well on a light page and on a dark one.

use std::fmt::Write;

/// One picture: panels below each other, on one axis of time.
pub struct Picture {
    pub title: String,
    pub panels: Vec<Panel>,
}

/// One set of axes.
pub struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
    pub bands: Vec<Band>,
}

/// A value over time: seconds, and whatever the panel's title says.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A height that means something.
pub struct Mark {
    pub name: String,
    pub height: f64,
}

/// A time during which something was the case: seconds.
pub struct Band {
    pub name: String,
    pub from: f64,
    pub to: f64,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 110.0;
/// Of the picture's title, and of each panel with its title and axis.
const HEAD: f64 = 34.0;
const PANEL: f64 = 230.0;
const ABOVE: f64 = 28.0;
const BELOW: f64 = 34.0;

/// Mid tones, told apart on white and on black, by people who see no red or green too.
const COLOURS: [&str; 8] = [
    "#3b82c4", "#e08a1e", "#d1495b", "#8a63d2", "#2a9d8f", "#b5651d", "#c154a0", "#7a8290",
];

const STYLE: &str = "\
svg{font:12px system-ui,sans-serif}\
.ground{fill:#ffffff}.ink{fill:#24292f}.faint{fill:#57606a}\
.grid{stroke:#d8dee4}.mark{stroke:#57606a;stroke-dasharray:5 4}.band{fill:#afb8c1;fill-opacity:.3}\
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}\
@media(prefers-color-scheme:dark){\
.ground{fill:#0d1117}.ink{fill:#e6edf3}.faint{fill:#9198a1}\
.grid{stroke:#2a313c}.mark{stroke:#9198a1}.band{fill:#6e7681;fill-opacity:.3}}";

impl Picture {
    pub fn svg(&self) -> String {
        let height = HEAD + PANEL * self.panels.len() as f64;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>{STYLE}</style>\n<rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
            title = escaped(&self.title)
        );
        text(&mut out, "ink", (LEFT, 22.0), "start", 15, &self.title);
        let until = self.panels.iter().flat_map(Panel::ends).fold(1.0, f64::max);
        let names = self.names();
        for (place, panel) in self.panels.iter().enumerate() {
            let top = HEAD + PANEL * place as f64;
            panel.draw(&mut out, top, until, &names);
        }
        out.push_str("</svg>\n");
        out
    }

    /// Of all lines, in order of appearance: a name has one colour throughout.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for line in self.panels.iter().flat_map(|panel| &panel.lines) {
            if !names.contains(&line.name.as_str()) {
                names.push(&line.name);
            }
        }
        names
    }
}

impl Panel {
    /// The last moment of each line.
    fn ends(&self) -> impl Iterator<Item = f64> {
        let last = |line: &Line| line.points.last().map(|it| it.0);
        self.lines.iter().filter_map(last)
    }

    fn draw(&self, out: &mut String, top: f64, until: f64, names: &[&str]) {
        let heights = self.lines.iter().flat_map(|it| &it.points).map(|it| it.1);
        let marks = self.marks.iter().map(|it| it.height);
        let most = heights.chain(marks).fold(0.0, f64::max).max(1.0);
        let scale = Scale {
            top: top + ABOVE,
            until,
            most: most * 1.04,
        };
        text(out, "ink", (LEFT, top + 18.0), "start", 12, &self.title);
        for band in &self.bands {
            let (from, to) = (scale.x(band.from), scale.x(band.to.min(until)));
            let _ = writeln!(
                out,
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                scale.top,
                (to - from).max(0.0),
                scale.height()
            );
            let at = ((from + to) / 2.0, scale.top + 12.0);
            text(out, "faint", at, "middle", 11, &band.name);
        }
        self.axes(out, &scale);
        for mark in &self.marks {
            let y = scale.y(mark.height);
            rule(out, "mark", (LEFT, y), (WIDTH - RIGHT, y));
            let at = (LEFT + 4.0, y - 4.0);
            text(out, "faint", at, "start", 11, &mark.name);
        }
        for (row, line) in self.lines.iter().enumerate() {
            let place = names.iter().position(|it| *it == line.name);
            let colour = COLOURS[place.unwrap_or_default() % COLOURS.len()];
            let points: Vec<String> = line
                .points
                .iter()
                .map(|(at, value)| format!("{:.1},{:.1}", scale.x(*at), scale.y(*value)))
                .collect();
            let _ = writeln!(
                out,
                "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>",
                points.join(" ")
            );
            let y = scale.top + 10.0 + 17.0 * row as f64;
            let x = WIDTH - RIGHT + 14.0;
            let _ = writeln!(
                out,
                "<rect fill=\"{colour}\" x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"3\"/>",
                y - 5.0
            );
            text(out, "ink", (x + 20.0, y), "start", 12, &line.name);
        }
    }

    fn axes(&self, out: &mut String, scale: &Scale) {
        for value in ticks(scale.most, 5) {
            let y = scale.y(value);
            rule(out, "grid", (LEFT, y), (WIDTH - RIGHT, y));
            let at = (LEFT - 6.0, y + 4.0);
            text(out, "faint", at, "end", 11, &number(value));
        }
        let bottom = scale.y(0.0);
        for value in ticks(scale.until, 10) {
            let label = format!("{} s", number(value));
            let at = (scale.x(value), bottom + 16.0);
            text(out, "faint", at, "middle", 11, &label);
        }
    }
}

/// Where a moment and a value lie.
struct Scale {
    top: f64,
    until: f64,
    most: f64,
}

impl Scale {
    fn height(&self) -> f64 {
        PANEL - ABOVE - BELOW
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at / self.until
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height() * (1.0 - value / self.most)
    }
}

/// Round values from 0 to `most`: at most `count` beside 0.
fn ticks(most: f64, count: usize) -> Vec<f64> {
    let rough = most / count as f64;
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * decade);
    let step = steps.into_iter().find(|it| *it >= rough);
    let step = step.unwrap_or(10.0 * decade);
    let fitting = (most / step).floor() as usize;
    (0..=fitting).map(|times| times as f64 * step).collect()
}

/// Thousands apart, and no decimals where there are none.
fn number(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn text(out: &mut String, class: &str, at: (f64, f64), anchor: &str, size: u8, said: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{}</text>",
        at.0,
        at.1,
        escaped(said)
    );
}

fn rule(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(430.0, 5), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(ticks(60.0, 10), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(
            [0.0, 0.25, 999.0, 1_000.0, 1_234_567.0].map(number),
            ["0", "0.2", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let line = |name: &str| Line {
            name: name.to_owned(),
            points: vec![(0.0, 0.0), (10.0, 100.0)],
        };
        let panel = |lines| Panel {
            title: "lag <records>".to_owned(),
            lines,
            marks: vec![Mark {
                name: "high".to_owned(),
                height: 50.0,
            }],
            bands: vec![Band {
                name: "slow".to_owned(),
                from: 2.0,
                to: 99.0,
            }],
        };
        let picture = Picture {
            title: "a & b".to_owned(),
            panels: vec![panel(vec![line("x"), line("y")]), panel(vec![line("y")])],
        };
        let svg = picture.svg();
        let top = HEAD + ABOVE;
        let bottom = HEAD + PANEL - BELOW;
        let peak = bottom - (bottom - top) / 1.04;
        let points = format!("{LEFT:.1},{bottom:.1} {:.1},{peak:.1}", WIDTH - RIGHT);
        assert!(svg.contains(&points), "{points} in {svg}");
        assert!(svg.contains("lag &lt;records&gt;") && svg.contains("a &amp; b"));
        // One colour to a name, in whatever panel.
        assert_eq!(
            svg.matches(&format!("stroke=\"{}\"", COLOURS[0])).count(),
            1
        );
        assert_eq!(
            svg.matches(&format!("stroke=\"{}\"", COLOURS[1])).count(),
            2
        );
        // A band ends with the picture.
        let width = format!("width=\"{:.1}\"", (WIDTH - LEFT - RIGHT) * 0.8);
        assert!(svg.contains(&width), "{svg}");
    }
}
