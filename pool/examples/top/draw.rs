//! Draws the view. It reads the state and nothing else.

use std::time::Duration;

use ostler_pool::PhaseSummary;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, List, Paragraph, Row, Sparkline, Table, TableState};

use super::app::App;
use super::keys::HELP;

/// Draws everything.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    let table = u16::try_from(app.rows.len().max(app.size)).unwrap_or(u16::MAX);
    let [title, workers, curves, log, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(table.saturating_add(3)),
        Constraint::Length(6),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_title(app, frame, title);
    draw_workers(app, frame, workers);
    let [latency, rate] = Layout::horizontal([Constraint::Fill(1); 2]).areas(curves);
    draw_latency(app, frame, latency);
    draw_rate(app, frame, rate);
    let lines = app.log.iter().map(String::as_str);
    frame.render_widget(
        List::new(lines).block(Block::bordered().title(" events ")),
        log,
    );
    let hints = [
        ("k", "kill"),
        ("z", "stop"),
        ("r", "recycle"),
        ("R", "all"),
        ("+-", "resize"),
        ("d", "drain"),
        ("cC", "load"),
        ("?", "help"),
        ("q", "quit"),
    ];
    let hints = hints.iter().flat_map(|(key, does)| {
        [
            Span::from(format!(" {key}")).bold().cyan(),
            Span::from(format!(" {does} ")),
        ]
    });
    frame.render_widget(Line::from_iter(hints), keys);
    if app.shows_help {
        draw_help(frame);
    }
}

fn draw_title(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = vec![
        " ostler top ".bold().reversed(),
        format!("  {} of {} workers serve", app.serving, app.size).into(),
    ];
    let waiting = format!("  {} callers wait", app.waiting);
    spans.push(if app.waiting > app.size {
        waiting.yellow()
    } else {
        waiting.into()
    });
    let totals = app.totals;
    spans.push(
        format!(
            "  {} calls  {} started  {} exited  {} recycled",
            totals.calls, totals.started, totals.exited, totals.recycled
        )
        .into(),
    );
    if app.is_draining {
        spans.push("  DRAINING".bold().yellow());
    }
    frame.render_widget(Line::from(spans), area);
}

const fn color(phase: PhaseSummary) -> Color {
    match phase {
        PhaseSummary::Initializing => Color::Magenta,
        PhaseSummary::Ready => Color::Green,
        PhaseSummary::Busy => Color::Blue,
        PhaseSummary::Draining => Color::Yellow,
        _ => Color::DarkGray,
    }
}

fn draw_workers(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let rows = app.rows.iter().map(|row| {
        let memory = row
            .memory
            .map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let pid = row.pid.map_or("-".to_owned(), |pid| pid.to_string());
        let numbers = [
            shown(row.in_phase),
            row.calls.to_string(),
            row.errors.to_string(),
            shown(row.age),
            memory,
        ];
        let mut cells = vec![
            Cell::from(row.worker.to_string()),
            Cell::from(pid),
            Cell::from(row.phase.to_string()).style(color(row.phase)),
        ];
        cells.extend(numbers.map(|number| Cell::from(Line::from(number).right_aligned())));
        cells.push(Cell::from(row.reason.as_str()));
        Row::new(cells)
    });
    let heads = ["worker", "pid", "phase"].map(Line::from);
    let numbers =
        ["for", "calls", "errors", "age", "memory"].map(|n| Line::from(n).right_aligned());
    let heads = heads
        .into_iter()
        .chain(numbers)
        .chain([Line::from("reason")]);
    let widths = [8, 8, 12, 7, 7, 6, 7, 8].map(Constraint::Length);
    let table = Table::new(rows, widths.into_iter().chain([Constraint::Fill(1)]))
        .header(Row::new(heads.map(Cell::from)).style(Modifier::BOLD))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(" workers "));
    let selected = (!app.rows.is_empty()).then_some(app.selected);
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

/// A duration in at most six characters.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn draw_latency(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1e3);
    let now = app.latency.back().copied().unwrap_or(0);
    let most = app.latency.iter().copied().max().unwrap_or(0);
    let title = format!(" latency p95: {}, max {} ", ms(now), ms(most));
    draw_curve(&app.latency, title, Color::Blue, frame, area);
}

fn draw_rate(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let now = app.rate.back().copied().unwrap_or(0);
    let title = format!(" calls per second: {now} ");
    draw_curve(&app.rate, title, Color::Green, frame, area);
}

/// The newest point is at the right edge.
fn draw_curve<'a>(
    points: impl IntoIterator<Item = &'a u64, IntoIter: ExactSizeIterator>,
    title: String,
    color: Color,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let points = points.into_iter();
    let width = usize::from(area.width.saturating_sub(2));
    let skipped = points.len().saturating_sub(width);
    let missing = width.saturating_sub(points.len());
    let points = std::iter::repeat_n(0, missing).chain(points.skip(skipped).copied());
    let curve = Sparkline::default()
        .data(points.collect::<Vec<u64>>())
        .style(color)
        .block(Block::bordered().title(title));
    frame.render_widget(curve, area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines =
        HELP.map(|(key, does)| Line::from(vec![format!(" {key:9}").bold().cyan(), does.into()]));
    let area = frame
        .area()
        .centered(Constraint::Length(66), Constraint::Length(12));
    frame.render_widget(Clear, area);
    let help = Paragraph::new(lines.to_vec()).block(Block::bordered().title(" keys "));
    frame.render_widget(help, area);
}
