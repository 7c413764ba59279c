//! The charts, as SVG. They are readable on light and dark pages and use the reader's fonts.

use std::fmt::Write;

use crate::memory::SIMULATED;
use crate::results::{Role, Row};
use crate::rounds::shown;

const WIDTH: f64 = 860.0;
const STYLE: &str = "<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.quiet { fill: #57606a }
.goal { stroke: #0969da; stroke-width: 2 }
.line { stroke: #d0d7de; stroke-width: 1 }
.one { stroke: #57606a; stroke-width: 1.5 }
.faster { fill: #1a7f37 }
.slower { fill: #bc4c00 }
.curve { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #9198a1 }
  .goal { stroke: #4493f8 }
  .line { stroke: #3d444d }
  .one { stroke: #9198a1 }
  .faster { fill: #3fb950 }
  .slower { fill: #f0883e }
}
</style>
";

/// A point for each ratio, on a logarithmic axis.
pub(crate) fn ratios(rows: &[&Row]) -> String {
    const LEFT: f64 = 500.0;
    const STEP: f64 = 18.0;
    let all: Vec<f64> = rows
        .iter()
        .flat_map(|row| row.ratios().map(|(_, ratio)| ratio))
        .collect();
    let decades = |ratio: f64| ratio.log10();
    let low = all
        .iter()
        .copied()
        .map(decades)
        .fold(-1.0, f64::min)
        .floor();
    let high = all.iter().copied().map(decades).fold(1.0, f64::max).ceil();
    let x = |ratio: f64| LEFT + (WIDTH - LEFT - 20.0) * (ratio.log10() - low) / (high - low);
    let mut body = String::new();
    let mut y = 40.0;
    for row in rows {
        for (index, (other, ratio)) in row.ratios().enumerate() {
            if index == 0 {
                y += 6.0;
                let Row { id, operation, .. } = row;
                text(
                    &mut body,
                    0.0,
                    y,
                    "start",
                    "",
                    &format!("{id}  {operation}"),
                );
                y += STEP;
            }
            let role = match other.role {
                Role::Floor => ", a floor",
                Role::Itself | Role::Smaller => ", ostler itself",
                Role::Ostler | Role::Peer | Role::Larger => "",
            };
            let label = format!("beside {}{role}: {ratio:.2}x", other.name);
            text(&mut body, LEFT - 12.0, y, "end", "quiet", &label);
            let class = if ratio <= 1.0 { "faster" } else { "slower" };
            let (from, to) = (x(ratio.min(1.0)), x(ratio.max(1.0)));
            let (top, width) = (y - 9.0, (to - from).max(1.0));
            _ = writeln!(
                body,
                r#"<rect class="{class}" x="{from:.1}" y="{top:.1}" width="{width:.1}" height="10"/>"#
            );
            if let Some(goal) = other.goal {
                line(&mut body, "goal", x(goal), y - 11.0, x(goal), y + 3.0);
            }
            y += STEP;
        }
    }
    let mut axis = String::new();
    for decade in low as i32..=high as i32 {
        let ratio = 10_f64.powi(decade);
        let class = if decade == 0 { "one" } else { "line" };
        line(&mut axis, class, x(ratio), 34.0, x(ratio), y);
        text(
            &mut axis,
            x(ratio),
            28.0,
            "middle",
            "quiet",
            &format!("{ratio}x"),
        );
    }
    let title = "ostler's time divided by the other's: green is faster, orange is slower, \
                 a blue line is the goal";
    text(&mut axis, 0.0, 12.0, "start", "", title);
    document(y, &(axis + &body))
}

/// A line for each operation. Both axes are logarithmic.
pub(crate) fn growth(rows: &[&Row]) -> String {
    const COLOURS: [&str; 9] = [
        "#0969da", "#bf3989", "#1a7f37", "#bc4c00", "#8250df", "#9a6700", "#cf222e", "#8250df",
        "#9a6700",
    ];
    const BOTTOM: f64 = 360.0;
    const RIGHT: f64 = WIDTH - 270.0;
    let times = rows.iter().flat_map(|row| &row.measured);
    let decades: Vec<f64> = times.map(|measured| measured.median.log10()).collect();
    let low = decades
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min)
        .floor();
    let high = decades
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max)
        .ceil();
    let y = |time: f64| BOTTOM - (BOTTOM - 40.0) * (time.log10() - low) / (high - low);
    let x = |index: usize| 70.0 + (RIGHT - 90.0) * index as f64 / 4.0;
    let mut body = String::new();
    text(
        &mut body,
        0.0,
        12.0,
        "start",
        "",
        "time of one operation: on simulated workers, and dashed, on processes",
    );
    for decade in low as i32..=high as i32 {
        let time = 10_f64.powi(decade);
        line(&mut body, "line", 70.0, y(time), RIGHT, y(time));
        text(&mut body, 62.0, y(time) + 4.0, "end", "quiet", &shown(time));
    }
    // Names of lines that end together are moved apart.
    let mut ends: Vec<(f64, usize)> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let last = row.measured.last().expect("a row has times");
        ends.push((y(last.median), number));
    }
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = 0.0_f64;
    for (end, number) in ends {
        let (row, colour) = (rows[number], COLOURS[number % COLOURS.len()]);
        let dashes = match row.worker == SIMULATED {
            true => "",
            false => r#" stroke-dasharray="6 4""#,
        };
        let mut points = String::new();
        for (index, measured) in row.measured.iter().enumerate() {
            _ = write!(points, "{:.1},{:.1} ", x(index), y(measured.median));
        }
        _ = writeln!(
            body,
            r#"<polyline class="curve" stroke="{colour}"{dashes} points="{points}"/>"#
        );
        let name = end.max(free);
        free = name + 16.0;
        _ = writeln!(
            body,
            r#"<rect x="{:.1}" y="{:.1}" width="10" height="10" fill="{colour}"/>"#,
            RIGHT + 8.0,
            name - 5.0
        );
        text(
            &mut body,
            RIGHT + 24.0,
            name + 4.0,
            "start",
            "",
            &row.operation,
        );
    }
    for (index, measured) in rows
        .first()
        .map_or(&[][..], |row| &row.measured)
        .iter()
        .enumerate()
    {
        text(
            &mut body,
            x(index),
            BOTTOM + 20.0,
            "middle",
            "quiet",
            &measured.name,
        );
    }
    let axis = "workers, waiting clients or sessions";
    text(&mut body, x(2), BOTTOM + 40.0, "middle", "quiet", axis);
    document(BOTTOM + 50.0, &body)
}

fn text(to: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    _ = writeln!(
        to,
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
    );
}

fn line(to: &mut String, class: &str, x: f64, y: f64, to_x: f64, to_y: f64) {
    _ = writeln!(
        to,
        r#"<line class="{class}" x1="{x:.1}" y1="{y:.1}" x2="{to_x:.1}" y2="{to_y:.1}"/>"#
    );
}

fn document(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\">\n{STYLE}{body}</svg>\n"
    )
}
