//! What the keys do.

use ostler_pool::Pool;
use ratatui::crossterm::event::KeyCode;
use rustix::process::{Pid, Signal, kill_process};

use super::app::App;
use super::load::Load;

/// Whether a key ends the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acted {
    Stay,
    Quit,
}

/// The keys, as the help shows them.
pub(crate) const HELP: [(&str, &str); 10] = [
    ("up, down", "choose a worker"),
    ("k", "kill it with SIGKILL"),
    ("r", "recycle it: it serves until its replacement is ready"),
    ("R", "recycle all workers: a rolling restart"),
    ("+, -", "resize the pool"),
    ("d", "drain the pool: reject new callers; again: resume"),
    ("c, C", "one client less, one more"),
    (
        "z",
        "stop the chosen worker with SIGSTOP: its call times out",
    ),
    ("h, ?", "show or hide this help"),
    ("q", "shut the pool down and quit"),
];

/// Does what a key says, and logs it.
pub(crate) fn act(key: KeyCode, app: &mut App, pool: &Pool, load: &Load) -> Acted {
    match key {
        KeyCode::Up => app.select(-1),
        KeyCode::Down => app.select(1),
        KeyCode::Char('k') => signal(app, Signal::KILL, "kill"),
        KeyCode::Char('z') => signal(app, Signal::STOP, "stop"),
        KeyCode::Char('r') => {
            if let Some(worker) = app.chosen().map(|row| row.worker) {
                pool.recycle(worker);
                app.note(format!("you recycle worker {worker}"));
            }
        }
        KeyCode::Char('R') => {
            drop(pool.recycle_all());
            app.note("you recycle all workers".to_owned());
        }
        KeyCode::Char('+' | '=') => resize(app, pool, app.size + 1),
        KeyCode::Char('-') => resize(app, pool, app.size.saturating_sub(1)),
        KeyCode::Char('d') if app.is_draining => {
            pool.resume();
            app.note("you resume the pool".to_owned());
        }
        KeyCode::Char('d') => {
            drop(pool.drain());
            app.note("you drain the pool".to_owned());
        }
        KeyCode::Char('c') => clients(app, load, load.clients().saturating_sub(1)),
        KeyCode::Char('C') => clients(app, load, load.clients() + 1),
        KeyCode::Char('h' | '?') => app.shows_help = !app.shows_help,
        KeyCode::Esc => app.shows_help = false,
        KeyCode::Char('q') => return Acted::Quit,
        _ => {}
    }
    app.update(&pool.status());
    Acted::Stay
}

fn signal(app: &mut App, signal: Signal, verb: &str) {
    let Some(row) = app.chosen() else {
        return;
    };
    let worker = row.worker;
    let pid = row.pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let line = match pid.map(|pid| kill_process(pid, signal)) {
        Some(Ok(())) => format!("you {verb} worker {worker}"),
        Some(Err(error)) => format!("cannot {verb} worker {worker}: {error}"),
        None => format!("cannot {verb} worker {worker}: it has no process yet"),
    };
    app.note(line);
}

fn resize(app: &mut App, pool: &Pool, size: usize) {
    app.note(match pool.resize(size) {
        Ok(()) => format!("you resize the pool to {size}"),
        Err(error) => format!("cannot resize: {error}"),
    });
}

fn clients(app: &mut App, load: &Load, count: usize) {
    load.set_clients(count);
    app.note(format!("you set the load to {count} clients"));
}
