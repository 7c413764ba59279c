//! What does a rolling restart look like?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{PhaseSummary, WorkerId};
use tokio::time::sleep;

use crate::rig::{end, pool, until};

/// The time for which one character stands.
const TICK: Duration = Duration::from_millis(5);

/// The picture in `docs/recycling.md` shows what the driver does: four clients keep three workers
/// busy while all three are replaced. `UPDATE=1` rewrites it.
#[tokio::test(start_paused = true)]
async fn the_picture_of_a_rolling_restart_is_current() {
    let sim = Sim::new([Script::SlowStart; 9]);
    let pool = pool(&sim, 3).build().unwrap();
    until(&pool, |status| status.serving() == 3).await;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    pool.call(b"think").await.expect("no call fails");
                    sleep(Duration::from_millis(4)).await;
                }
            })
        })
        .collect();
    let mut rows: BTreeMap<(u64, usize), (WorkerId, String)> = BTreeMap::new();
    let mut rolling = None;
    for tick in 0..72 {
        if tick == 8 {
            rolling = Some(tokio::spawn(pool.recycle_all().into_future()));
        }
        for worker in pool.status().workers {
            let id = worker.worker;
            let (_, row) = rows
                .entry((id.generation, id.slot))
                .or_insert_with(|| (id, String::new()));
            let phase = match worker.phase.summary() {
                PhaseSummary::Initializing => '.',
                PhaseSummary::Ready => '-',
                PhaseSummary::Busy => '#',
                PhaseSummary::Draining => '~',
                _ => ' ',
            };
            write!(row, "{:>1$}", phase, tick + 1 - row.chars().count()).expect("a string");
        }
        sleep(TICK).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    let replaced = rolling.expect("it was begun").await.unwrap();
    assert_eq!(replaced.expect("every start succeeds"), 3);
    end(&pool, &sim).await;

    let mut picture = String::from("worker  time, 5 ms a character; recycle_all() at |\n");
    writeln!(picture, "{:8}{:>9}", "", "|").expect("a string");
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by_key(|(_, row)| row.len() - row.trim_start().len());
    for (id, row) in rows {
        writeln!(picture, "{:8}{}", id.to_string(), row.trim_end()).expect("a string");
    }
    picture.push_str(".  starting   -  ready   #  busy   ~  draining\n");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recycling.md");
    let text = fs::read_to_string(&page).expect("the page can be read");
    let (before, rest) = text
        .split_once("<!-- timeline -->")
        .expect("the page has the begin marker");
    let (_, after) = rest
        .split_once("<!-- end of timeline -->")
        .expect("the page has the end marker");
    let drawn = format!(
        "{before}<!-- timeline -->\n```text\n{picture}```\n<!-- end of timeline -->{after}"
    );
    if env::var_os("UPDATE").is_some() {
        fs::write(&page, drawn).expect("the page can be written");
    } else {
        assert_eq!(
            text, drawn,
            "docs/recycling.md shows another picture: UPDATE=1 rewrites it"
        );
    }
}
