//! `docs/performance.svg`: the ratio to bare signing over connections, a panel for each type of key.

use crate::{
    figures::Results,
    plan::{CONNECTIONS, DIGESTS},
    workload::{Algorithm, Workload},
};
use std::fmt::Write as _;

/// Draws it. Text and axes take the colour of the page, light or dark.
pub(crate) fn draw(results: &Results) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>Signatures a second, product to bare C_Sign\
         </title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"24\" font-size=\"16\" font-weight=\"600\">Signatures a second: keyward / bare C_Sign \
         </text>\n<text x=\"{LEFT}\" y=\"44\" class=\"soft\">a ratio of 1.0 is what the token can do; whole path, median and range of {} rounds, {}</text>",
        results.rounds, results.taken_at
    );
    for (number, algorithm) in (0_u8..).zip(Algorithm::ALL) {
        let left = f64::from(number).mul_add(PANEL + GAP, LEFT);
        panel(&mut svg, results, algorithm, left);
    }
    legend(&mut svg);
    svg + "</svg>\n"
}

fn panel(svg: &mut String, results: &Results, algorithm: Algorithm, left: f64) {
    let (right, middle) = (left + PANEL, left + PANEL / 2.0);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-weight=\"600\">{}</text>", TOP - 10.0, algorithm.name());
    for step in 0..=6_u8 {
        let ratio = f64::from(step) * 0.2;
        let y = height(ratio);
        let class = if step == 5 { "bare" } else { "grid" };
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" class=\"soft\">{ratio:.1}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" class=\"soft\">bare</text>", left + 4.0, height(1.0) - 5.0);
    for (place, connections) in (0_u8..).zip(CONNECTIONS) {
        let (x, y) = (across(left, place), BOTTOM + 18.0);
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\" class=\"soft\">{connections}</text>");
    }
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">connections</text>", BOTTOM + 38.0);
    for (number, digests) in DIGESTS.into_iter().enumerate() {
        series(svg, results, (algorithm, digests), (left, number));
    }
}

/// A line through the medians, a bar for each range, and a mark whose shape tells series apart without colour.
fn series(svg: &mut String, results: &Results, (algorithm, digests): (Algorithm, u32), (left, number): (f64, usize)) {
    // A little apart, since what coincides cannot be read.
    let beside = [-6.0, 0.0, 6.0][number];
    let mut points = Vec::new();
    for (place, connections) in (0_u8..).zip(CONNECTIONS) {
        let Some(cell) = results.main_cell(Workload { algorithm, digests, connections }) else { continue };
        let x = across(left, place) + beside;
        let _ = writeln!(
            svg,
            "<line class=\"s{number}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke-width=\"1\"/>",
            height(cell.ratio.low),
            height(cell.ratio.high)
        );
        points.push((x, height(cell.ratio.median)));
    }
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, "<polyline class=\"s{number}\" points=\"{}\"/>", path.join(" "));
    for (x, y) in points {
        mark(svg, number, x, y);
    }
}

fn mark(svg: &mut String, number: usize, x: f64, y: f64) {
    let _ = match number {
        0 => writeln!(svg, "<circle class=\"m0\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => writeln!(svg, "<rect class=\"m1\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>", x - 4.0, y - 4.0),
        _ => writeln!(svg, "<path class=\"m2\" d=\"M{x:.1} {:.1}l5 9h-10z\"/>", y - 6.0),
    };
}

fn legend(svg: &mut String) {
    for (number, digests) in DIGESTS.into_iter().enumerate() {
        let x = f64::from(u8::try_from(number).unwrap_or_default()).mul_add(210.0, LEFT);
        let y = HEIGHT - 18.0;
        let _ = writeln!(svg, "<line class=\"s{number}\" x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>", x + 28.0);
        mark(svg, number, x + 14.0, y);
        let noun = if digests == 1 { "digest" } else { "digests" };
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{digests} {noun} a request</text>", x + 36.0, y + 4.0);
    }
}

/// Where the number of connections stands that has this place in the list.
fn across(left: f64, place: u8) -> f64 {
    (f64::from(place) + 0.5).mul_add(PANEL / 4.0, left)
}

fn height(ratio: f64) -> f64 {
    (ratio.clamp(0.0, MOST) / MOST).mul_add(TOP - BOTTOM, BOTTOM)
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 88.0;
const BOTTOM: f64 = 310.0;
const PANEL: f64 = 264.0;
const GAP: f64 = 42.0;
/// Ratio at the top of a panel.
const MOST: f64 = 1.2;
const STYLE: &str = "svg{color:#1f2328}text{fill:currentColor}.page{fill:none}.soft{opacity:.75}\
.grid{stroke:currentColor;opacity:.15}.bare{stroke:currentColor;opacity:.7;stroke-dasharray:5 4}\
polyline{fill:none}.s0,.s1,.s2{stroke-width:2}\
.s0{stroke:#0969da}.m0{fill:#0969da}.s1{stroke:#bc4c00}.m1{fill:#bc4c00}.s2{stroke:#1a7f37}.m2{fill:#1a7f37}\
@media(prefers-color-scheme:dark){svg{color:#e6edf3}.s0{stroke:#58a6ff}.m0{fill:#58a6ff}.s1{stroke:#f0883e}\
.m1{fill:#f0883e}.s2{stroke:#3fb950}.m2{fill:#3fb950}}";
