//! A live view of a pool in the terminal, with keys that kill, recycle, resize and drain. A demo
//! load keeps the pool busy.
//!
//! ```text
//! cargo run --release --example top
//! ```

mod app;
mod draw;
mod keys;
mod load;

use std::error::Error;
use std::io::IsTerminal as _;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{io, thread};

use clap::Parser;
use ostler_pool::{Pool, Python, RecvError, ShutdownReport};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as TerminalEvent};
use tokio::sync::mpsc;

use crate::app::App;
use crate::keys::Acted;
use crate::load::Load;

/// Watch a pool of Python workers under a demo load.
#[derive(Debug, Parser)]
struct Args {
    /// The number of worker processes.
    #[arg(long, default_value = "4")]
    workers: NonZero<usize>,
    /// The number of clients, each of which makes one call after another.
    #[arg(long, default_value = "6")]
    clients: usize,
    /// The Python interpreter.
    #[arg(long, default_value = "python3")]
    python: String,
}

fn main() -> ExitCode {
    match top(&Args::parse()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("top: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn top(args: &Args) -> Result<ShutdownReport, Box<dyn Error>> {
    if !io::stdout().is_terminal() {
        return Err("the view needs a terminal; run it without redirecting its output".into());
    }
    let python = Python::function("top_worker:work")
        .interpreter(&args.python)
        .path(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/top"))
        .json()
        .zygote();
    let pool = Pool::builder(python)
        .size(args.workers.get())
        .max_waiting(1000)
        .call_timeout(Duration::from_secs(2))
        .max_worker_requests(500)
        .min_worker_life(Duration::from_secs(5))
        // The memory of a worker is measured with its health checks.
        .health_check_interval(Duration::from_secs(1))
        .build()?;
    let mut terminal = ratatui::try_init()?;
    let watched = watch(&mut terminal, &pool, args.clients).await;
    ratatui::restore();
    let report = pool.shutdown().await;
    watched?;
    Ok(report)
}

/// How often the view is drawn, and how much time a point of the latency curve stands for.
const TICK: Duration = Duration::from_millis(250);

async fn watch(terminal: &mut DefaultTerminal, pool: &Pool, clients: usize) -> io::Result<()> {
    let load = Load::start(pool, clients);
    let mut app = App::new();
    let mut events = pool.events();
    let mut keys = read_keys();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            // Not after each event: a busy pool has thousands per second.
            _ = tick.tick() => app.tick(load.take_latencies(), TICK),
            event = keys.recv() => match event {
                Some(TerminalEvent::Key(key)) if key.is_press() => {
                    if keys::act(key.code, &mut app, pool, &load) == Acted::Quit {
                        return Ok(());
                    }
                }
                // The terminal was resized: draw again.
                Some(_) => {}
                None => return Ok(()),
            },
            event = events.recv() => {
                match event {
                    Ok(event) => app.saw(&event),
                    Err(RecvError::Lagged(missed)) => app.note(format!("{missed} events missed")),
                    Err(_) => return Ok(()),
                }
                continue;
            }
        }
        app.update(&pool.status());
        terminal.draw(|frame| draw::draw(&app, frame))?;
    }
}

/// Reads the terminal on a thread of its own, which ends with the process.
fn read_keys() -> mpsc::Receiver<TerminalEvent> {
    let (sender, keys) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}
