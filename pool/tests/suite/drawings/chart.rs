//! The page of a timeline in a browser.

use std::fs;
use std::path::PathBuf;

use ostler_pool::Timeline;
use serde_json::{Value, json};

use super::browser::Page;

/// The file of a test's page.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"))
}

/// Opens the page of a timeline. `None` without a browser.
pub(crate) fn open(name: &str, timeline: &Timeline) -> Option<Page> {
    let file = file(name);
    timeline
        .write_html(fs::File::create(&file).unwrap())
        .unwrap();
    Page::open(&file)
}

impl Page {
    /// What the tooltip says where this moment of a slot is drawn. `part` is the fraction of the
    /// lane above the pointer.
    pub(crate) fn told_at(&mut self, ms: u32, slot: u32, part: f64) -> String {
        let place = format!("[xOf({ms}000), laneTop({slot}) + view.lane * {part}]");
        self.told_there(&place)
    }

    /// What the tooltip says at a place, given as JavaScript.
    pub(crate) fn told_there(&mut self, place: &str) -> String {
        let (x, y) = self.place(place);
        self.command(
            "Input.dispatchMouseEvent",
            json!({ "type": "mouseMoved", "x": x, "y": y }),
        );
        self.tooltip()
    }

    /// Where a place of the chart, given as JavaScript, is in the window.
    fn place(&mut self, place: &str) -> (f64, f64) {
        let place = self.value(&format!(
            "(([x, y]) => {{ const box = chart.getBoundingClientRect(); return [box.left + x, box.top + y] }})({place})"
        ));
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    /// Turns the wheel at a place of the chart.
    pub(crate) fn turn_wheel(&mut self, place: &str, by: i32) {
        let (x, y) = self.place(place);
        let params = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by });
        self.command("Input.dispatchMouseEvent", params);
    }

    /// Drags the chart from where one moment is drawn to where another one is.
    pub(crate) fn drag(&mut self, from_ms: u32, to_ms: u32, modifiers: u32) {
        let [from, to] =
            [from_ms, to_ms].map(|ms| self.place(&format!("[xOf({ms}000), LANES_TOP + 5]")));
        for (kind, (x, y)) in [
            ("mousePressed", from),
            ("mouseMoved", to),
            ("mouseReleased", to),
        ] {
            let params = json!({
                "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1,
                "modifiers": modifiers,
            });
            self.command("Input.dispatchMouseEvent", params);
        }
    }

    /// The text of the tooltip. Its first line is the title; a time of day is cut out of the rest.
    pub(crate) fn tooltip(&mut self) -> String {
        let tooltip = self.value(
            "document.getElementById('tooltip').hidden ? 'hidden' : [\
                document.querySelector('#tooltip strong').innerText,\
                ...[...document.querySelectorAll('#tooltip dt')].map((dt) =>\
                    `${dt.innerText}: ${dt.nextSibling.innerText.replace(/^\\d\\d:\\d\\d:[\\d.]+, /, '')}`),\
            ].join('\\n')",
        );
        tooltip.as_str().unwrap().to_owned()
    }

    /// The colour of the chart where this moment of a slot is drawn.
    pub(crate) fn color_at(&mut self, ms: u32, slot: u32, part: f64) -> Value {
        self.value(&format!(
            "[...context.getImageData(xOf({ms}000), laneTop({slot}) + view.lane * {part}, 1, 1).data].slice(0, 3)"
        ))
    }

    /// Checks that the page reported no error, and asked for nothing but itself.
    pub(crate) fn assert_quiet(&self) {
        for event in &self.events {
            match event["method"].as_str().unwrap() {
                "Network.requestWillBeSent" => {
                    let url = event["params"]["request"]["url"].as_str().unwrap();
                    assert!(url.starts_with("file:") || url == "data:,", "{url}");
                }
                "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                    panic!("the page reports {event}")
                }
                // A warning is about the test: it reads the canvas.
                "Log.entryAdded" => {
                    assert_ne!(event["params"]["entry"]["level"], "error", "{event}")
                }
                _ => {}
            }
        }
    }
}
