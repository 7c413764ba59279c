//! Does the example `top` show a pool, and do its keys act on it?

#[path = "../../examples/top/app.rs"]
mod app;
#[path = "../../examples/top/draw.rs"]
mod draw;
#[path = "../../examples/top/keys.rs"]
mod keys;
#[path = "../../examples/top/load.rs"]
mod load;

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use ostler_pool::{CallError, Event, PhaseSummary, Pool, Python, Reason, WorkerId};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use self::app::{App, Row, Totals};
use self::keys::Acted;
use self::load::Load;
use crate::rig::{interpreter, until};

/// A pool in the middle of much.
fn app() -> App {
    let row = |slot, phase, reason: &str| Row {
        worker: WorkerId {
            slot,
            generation: 12,
        },
        pid: Some(4000 + slot as u32),
        phase,
        in_phase: Duration::from_millis(300 << (4 * slot)),
        age: Duration::from_secs(1 << (4 * slot)),
        calls: 1000 * slot as u64,
        errors: slot as u64,
        memory: Some(40 << 20),
        reason: reason.to_owned(),
    };
    let mut app = App {
        size: 3,
        serving: 2,
        waiting: 7,
        totals: Totals {
            calls: 12_345,
            started: 14,
            exited: 2,
            recycled: 8,
        },
        rows: vec![
            row(0, PhaseSummary::Ready, ""),
            row(1, PhaseSummary::Busy, "to be replaced: it was recycled"),
            row(2, PhaseSummary::Draining, "a call on it timed out"),
            Row {
                pid: None,
                memory: None,
                ..row(3, PhaseSummary::Initializing, "")
            },
        ],
        selected: 1,
        ..App::new()
    };
    for ms in 1..40 {
        let calls = (0..ms).map(|call| Duration::from_millis(ms + call));
        app.tick(calls.collect(), Duration::from_millis(250));
        if ms % 13 == 0 {
            app.note(format!("event {ms}"));
        }
    }
    app
}

/// The screen as text.
fn screen(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(app, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width));
    let line = |cells: &[ratatui::buffer::Cell]| -> String {
        let text: String = cells.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", text.trim_end())
    };
    lines.map(line).collect()
}

/// Compares a screen with the picture in this folder. `UPDATE=1` rewrites it.
fn assert_pictured(name: &str, screen: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite")
        .join(name);
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, screen).unwrap();
    }
    assert_eq!(screen, fs::read_to_string(&file).unwrap(), "{name}");
}

/// The screen shows workers, waiting callers, latency, events and keys, and the help on top of
/// them. A terminal that is too small shows a part. No size makes the drawing panic.
#[test]
fn the_screen_shows_the_pool() {
    let mut app = app();
    assert_pictured("top.txt", &screen(&app, 110, 24));
    assert_pictured("top_small.txt", &screen(&app, 40, 10));
    app.is_draining = true;
    app.shows_help = true;
    assert_pictured("top_help.txt", &screen(&app, 110, 24));
    for size in 1..12 {
        screen(&app, 3 * size, size);
    }
    // Before the first worker.
    assert_pictured("top_new.txt", &screen(&App::new(), 80, 20));
}

/// A pool under the example's own worker.
fn pool(size: usize) -> Pool {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/top");
    let python = Python::function("top_worker:work").interpreter(interpreter());
    Pool::builder(python.path(examples).json())
        .size(size)
        .call_timeout(Duration::from_secs(60))
        .min_worker_life(Duration::ZERO)
        .build()
        .unwrap()
}

/// Each key does what the help says, to a pool of real processes, and says so in the log.
#[tokio::test]
async fn the_keys_act_on_the_pool() {
    let pool = pool(2);
    let load = Load::start(&pool, 0);
    let mut events = pool.events();
    let mut app = App::new();
    let both_serve = |pool: Pool| async move {
        until(&pool, |status| {
            status.serving() == 2 && status.workers.len() == 2
        })
        .await;
    };
    both_serve(pool.clone()).await;
    app.update(&pool.status());
    let press = |app: &mut App, key| {
        let acted = keys::act(key, app, &pool, &load);
        assert_eq!(acted, Acted::Stay);
        app.log.front().cloned().unwrap_or_default()[11..].to_owned()
    };

    app.note("nothing".to_owned());
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    let chosen = app.chosen().unwrap().worker;
    assert_eq!((app.selected, chosen.slot), (1, 1), "the last of two");
    assert_eq!(press(&mut app, KeyCode::Char('k')), "you kill worker 1.1");
    until(&pool, |status| status.counters.exited == 1).await;
    both_serve(pool.clone()).await;
    app.update(&pool.status());
    loop {
        let event = events.recv().await.unwrap();
        app.saw(&event);
        if matches!(event, Event::Moved(step) if step.reason == Some(Reason::Exited)) {
            break;
        }
    }
    assert_eq!(&app.log[0][11..], "worker 1.1 stops: its process exited");

    press(&mut app, KeyCode::Up);
    press(&mut app, KeyCode::Up);
    let chosen = app.chosen().unwrap().worker;
    let said = press(&mut app, KeyCode::Char('r'));
    assert_eq!(said, format!("you recycle worker {chosen}"));
    until(&pool, |status| {
        status.workers.iter().all(|worker| worker.worker != chosen)
    })
    .await;
    both_serve(pool.clone()).await;
    assert_eq!(pool.status().counters.recycled, 1);
    assert_eq!(
        press(&mut app, KeyCode::Char('R')),
        "you recycle all workers"
    );
    until(&pool, |status| status.counters.recycled == 3).await;
    both_serve(pool.clone()).await;

    assert_eq!(
        press(&mut app, KeyCode::Char('+')),
        "you resize the pool to 3"
    );
    assert_eq!((app.size, pool.status().size), (3, 3));
    assert_eq!(
        press(&mut app, KeyCode::Char('-')),
        "you resize the pool to 2"
    );
    assert_eq!(
        press(&mut app, KeyCode::Char('-')),
        "you resize the pool to 1"
    );
    let refused = press(&mut app, KeyCode::Char('-'));
    assert!(refused.starts_with("cannot resize: "), "{refused}");
    assert_eq!(pool.status().size, 1);

    assert_eq!(press(&mut app, KeyCode::Char('d')), "you drain the pool");
    assert!(app.is_draining && pool.status().draining);
    assert_eq!(press(&mut app, KeyCode::Char('d')), "you resume the pool");
    assert!(!app.is_draining && !pool.status().draining);

    let answered = pool.status().counters.calls;
    assert_eq!(
        press(&mut app, KeyCode::Char('C')),
        "you set the load to 1 clients"
    );
    until(&pool, |status| status.counters.calls > answered).await;
    assert!(!load.take_latencies().is_empty());
    assert_eq!(
        press(&mut app, KeyCode::Char('c')),
        "you set the load to 0 clients"
    );
    assert_eq!(load.clients(), 0);

    press(&mut app, KeyCode::Char('?'));
    assert!(app.shows_help);
    press(&mut app, KeyCode::Esc);
    assert!(!app.shows_help);
    assert_eq!(
        keys::act(KeyCode::Char('q'), &mut app, &pool, &load),
        Acted::Quit
    );
    pool.shutdown().await;
}

/// A worker that the key `z` stops is replaced once its call times out.
#[tokio::test]
async fn a_stopped_worker_costs_its_call() {
    let pool = pool(1);
    let load = Load::start(&pool, 0);
    until(&pool, |status| status.serving() == 1).await;
    let mut app = App::new();
    app.update(&pool.status());
    keys::act(KeyCode::Char('z'), &mut app, &pool, &load);
    assert_eq!(&app.log[0][11..], "you stop worker 0.1");
    let request = serde_json::json!({ "ms": 1, "act": "reply" });
    let call = pool.request_json(&request).unwrap();
    let reply = call.call_timeout(Duration::from_millis(300));
    let reply = reply.send_json::<u64>().await;
    assert!(
        matches!(reply, Err(CallError::TimedOut { .. })),
        "{reply:?}"
    );
    until(&pool, |status| {
        status.serving() == 1 && status.counters.started == 2
    })
    .await;
    assert_eq!(pool.call_json::<_, u64>(&request).await.unwrap(), 1);
    pool.shutdown().await;
}
