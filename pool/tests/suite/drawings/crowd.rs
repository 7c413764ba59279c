//! Does the page of a timeline work with many workers and calls?

use std::fmt::Write as _;
use std::fs;

use ostler_pool::Timeline;

use super::chart::{file, open};

/// A trace of 100 workers with 1,000 calls each.
fn crowd() -> String {
    let mut trace = String::from("{\"ostler_trace\":1,\"policy\":{\"size\":100}}\n");
    let mut step = |at: u64, input: &str, effects: &str| {
        writeln!(
            trace,
            r#"{{"at_us":{at},"input":{input},"effects":[{effects}]}}"#
        )
        .unwrap();
    };
    let id = |slot: u64| format!(r#"{{"slot":{slot},"generation":1}}"#);
    let moved = |slot: u64, from: &str, input: &str, to: &str| {
        let step = format!(r#""from":"{from}","input":"{input}","to":"{to}","reason":null"#);
        format!(
            r#"{{"Event":{{"Moved":{{"worker":{},{step}}}}}}}"#,
            id(slot)
        )
    };
    for slot in 0..100 {
        let opened = format!(r#"{{"Event":{{"Opened":{{"worker":{}}}}}}}"#, id(slot));
        step(slot, "null", &opened);
        let started = format!(r#"{{"Port":{{"worker":{},"fact":"Started"}}}}"#, id(slot));
        step(
            100 + slot,
            &started,
            &moved(slot, "Initializing", "Started", "Ready"),
        );
    }
    for call in 0..1000 {
        let lease = |slot| format!(r#""lease":{{"worker":{},"serial":{}}}"#, id(slot), call + 1);
        for slot in 0..100 {
            let waiter = format!(r#""waiter":{}"#, 100 * call + slot + 1);
            let checkout = format!(r#"{{"Checkout":{{{waiter},"session":null}}}}"#);
            let grant = format!(r#"{{"Grant":{{{waiter},{}}}}}"#, lease(slot));
            let effects = format!("{},{grant}", moved(slot, "Ready", "Checkout", "Busy"));
            step(1000 + 10_000 * call + 40 * slot, &checkout, &effects);
        }
        for slot in 0..100 {
            let end = r#""calls":1,"errors":0,"unbroken":false,"end":"Clean""#;
            let ended = format!(r#"{{"LeaseEnded":{{{},{end}}}}}"#, lease(slot));
            let at = 6000 + 10_000 * call + 40 * slot;
            step(at, &ended, &moved(slot, "Busy", "Checkin", "Ready"));
        }
    }
    trace
}

/// With 100 workers and 100,000 calls, the page stays small and shows every lane. It draws less
/// than one rectangle for three pixels of a lane, where each lane has a call for each pixel.
#[test]
fn a_crowd_is_drawn() {
    let timeline = Timeline::from_trace(crowd().as_bytes()).unwrap();
    let Some(mut page) = open("timeline-crowd", &timeline) else {
        return;
    };
    let bytes = fs::metadata(file("timeline-crowd")).unwrap().len();
    assert!(bytes < 4_000_000, "{bytes}");
    assert!(page.text("facts").contains("100,000 calls answered"));
    assert_eq!(page.value("lanes.length"), 100);
    page.value(
        "void (drawn = 0, context.fillRect = function (...all) {\
             drawn++; CanvasRenderingContext2D.prototype.fillRect.apply(this, all) }, changed())",
    );
    let mut number = |text| page.value(text).as_f64().unwrap();
    let lanes = number("(view.height - LANES_TOP) / view.lane");
    let limit = lanes * number("plotWidth()") / 3.0;
    let drawn = number("drawn");
    assert!(drawn >= lanes && drawn < limit, "{drawn} in {lanes} lanes");
    // Lanes that do not fit are reached by scrolling.
    page.turn_wheel("[10, LANES_TOP + 50]", 5000);
    let below = page.value("Math.round(laneTop(100) - view.height)");
    assert_eq!(below, 0, "the last lane is shown");
    let told = page.told_there("[xOf(5_003_000), laneTop(99) + 5]");
    assert_eq!(told.lines().nth(1), Some("worker: 99.1"), "{told}");
    page.assert_quiet();
}
