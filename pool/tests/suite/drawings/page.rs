//! Does the page of a timeline work in a browser?

use std::fmt::Write as _;

use serde_json::json;

use super::browser::Page;
use super::chart::open;
use super::recorded;

/// The shift key, among the modifiers of an event.
const SHIFT: u32 = 8;

/// The page of the scene. `None` without a browser.
async fn scene(name: &str) -> Option<Page> {
    let (timeline, _) = recorded().await;
    open(name, &timeline)
}

/// The page says in words what the pool did: in its heading, its legend, and beside the pointer.
#[tokio::test(start_paused = true)]
async fn the_page_tells_everything() {
    let Some(mut page) = scene("timeline-told").await else {
        return;
    };
    assert_eq!(
        page.text("facts"),
        "5.31 s the pool's whole life · 6 workers in a pool of 1 · 7 calls answered · 1 exited by \
         itself · 1 sent SIGKILL · 1 replaced · 1 caller refused"
    );
    let legend = page.text("legend").replace('\n', ", ");
    assert_eq!(
        legend,
        "starting, ready, call, failed call, health check, draining, stopping, exited by itself, \
         killed, start failed, to be replaced"
    );
    let mut told = String::new();
    for (ms, slot, what) in [
        (30, 1, "a start"),
        (800, 1, "a call that timed out"),
        (3000, 1, "an idle worker"),
        (5237, 0, "a kill"),
        (236, 0, "an exit"),
        (1237, 0, "a worker to be replaced"),
        (4000, 0, "a worker that is stopping"),
        (700, 0, "an empty slot"),
    ] {
        writeln!(told, "- {what}\n{}", page.told_at(ms, slot, 0.7)).unwrap();
    }
    let queue = page.told_there("[xOf(61000), QUEUE_TOP + 5]");
    let pool = page.told_there("[xOf(5238000), QUEUE_TOP - 15]");
    writeln!(told, "- the queue\n{queue}\n- the pool\n{pool}").unwrap();
    assert_eq!(told, include_str!("tooltips.txt"));
    page.assert_quiet();
}

/// Light and dark: the colours of the chart and of the page follow what the user prefers, also when
/// that changes.
#[tokio::test(start_paused = true)]
async fn the_page_is_light_or_dark() {
    let Some(mut page) = scene("timeline-colors").await else {
        return;
    };
    for (preferred, background, colors) in [
        (
            "light",
            "rgb(255, 255, 255)",
            [[183, 157, 242], [216, 58, 58], [221, 229, 237]],
        ),
        (
            "dark",
            "rgb(18, 22, 27)",
            [[125, 102, 194], [242, 100, 100], [44, 55, 66]],
        ),
        (
            "light",
            "rgb(255, 255, 255)",
            [[183, 157, 242], [216, 58, 58], [221, 229, 237]],
        ),
    ] {
        let feature = json!({ "name": "prefers-color-scheme", "value": preferred });
        page.command(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
        let shown = page.value("getComputedStyle(document.body).backgroundColor");
        assert_eq!(shown, background);
        // A start, a call that timed out, and an idle worker.
        let shown = [(30, 1), (800, 1), (3000, 1)].map(|(ms, slot)| page.color_at(ms, slot, 0.7));
        assert_eq!(json!(shown), json!(colors), "{preferred}");
    }
    page.assert_quiet();
}

/// Keys and buttons zoom, move, show everything, and visit each failure in turn.
#[tokio::test(start_paused = true)]
async fn keys_and_buttons_move_the_view() {
    let Some(mut page) = scene("timeline-keys").await else {
        return;
    };
    let shown = "[view.from, view.to].map(Math.round)";
    assert_eq!(page.value(shown), json!([0, 5_309_000]));
    page.press("+");
    page.press("=");
    assert_eq!(
        page.value(shown),
        json!([1_474_722, 3_834_278]),
        "a range 2.25 times shorter"
    );
    page.press("ArrowRight");
    assert_eq!(
        page.value(shown),
        json!([1_828_656, 4_188_211]),
        "15 % further"
    );
    page.press("ArrowLeft");
    page.press("-");
    page.value("document.getElementById('zoom-out').click()");
    assert_eq!(
        page.value(shown),
        json!([0, 5_309_000]),
        "it ends at the record's ends"
    );
    let mut visited = Vec::new();
    for key in ["n", "n", "n", "n", "n", "n", "p", "p"] {
        page.press(key);
        visited.push(page.tooltip().lines().next().unwrap().to_owned());
    }
    let exited = "Worker 0.1: its process exited by itself";
    let abandoned = "Worker 2.1: SIGTERM: a call on it was abandoned";
    let expected = [
        exited,
        "Worker 1.1: SIGTERM: a call on it timed out",
        "Worker 0.2: SIGTERM: it was recycled",
        "Worker 0.2: SIGKILL: it was recycled",
        abandoned,
        exited,
        abandoned,
        "Worker 0.2: SIGKILL: it was recycled",
    ];
    assert_eq!(visited, expected);
    assert_eq!(
        page.value(shown),
        json!([3_981_750, 5_309_000]),
        "a quarter of the record"
    );
    page.value("document.getElementById('fit').click()");
    assert_eq!(page.value(shown), json!([0, 5_309_000]));
    page.assert_quiet();
}

/// The wheel zooms around the pointer, dragging moves the view, and dragging with the shift key
/// zooms to a range.
#[tokio::test(start_paused = true)]
async fn the_pointer_moves_the_view() {
    let Some(mut page) = scene("timeline-pointer").await else {
        return;
    };
    let shown = "[view.from, view.to].map((time) => Math.round(time / 10000))";
    page.turn_wheel("[xOf(1000000), LANES_TOP + 5]", -120);
    assert_eq!(
        page.value(shown),
        json!([33, 389]),
        "1.49 times nearer to 1000 ms"
    );
    page.drag(1000, 800, 0);
    assert_eq!(page.value(shown), json!([53, 409]), "200 ms later");
    page.drag(1000, 2000, SHIFT);
    assert_eq!(page.value(shown), json!([100, 200]));
    page.assert_quiet();
}
