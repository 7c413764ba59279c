// The pointer, the keys, and the start of the page.

/** The failure that the keys n and p have chosen. */
let selected = null;
/** What is being dragged: the chart, its overview, or a range to zoom to. */
let drag = null;

function place(event) {
  const box = chart.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

chart.addEventListener("pointerdown", (event) => {
  const [x, y] = place(event);
  if (x < GUTTER || event.button !== 0) return;
  chart.setPointerCapture(event.pointerId);
  const kind = y < OVERVIEW ? "overview" : event.shiftKey ? "range" : "chart";
  drag = { kind, x, y, at: x, from: view.from, to: view.to, scroll: view.scroll };
  if (kind === "overview") moveTo(x);
});

/** Moves the shown range to where the pointer is in the overview. */
function moveTo(x) {
  const half = (view.to - view.from) / 2;
  pan(overviewTime(x) - half - view.from);
}

chart.addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  if (drag === null) {
    showTooltip(describe(x, y), x, y);
    return;
  }
  showTooltip(null);
  drag.at = x;
  if (drag.kind === "overview") moveTo(x);
  if (drag.kind === "chart") {
    const moved = (drag.x - x) * ((drag.to - drag.from) / plotWidth());
    pan(drag.from + moved - view.from);
    scrollTo(drag.scroll + drag.y - y);
  }
  changed();
});

chart.addEventListener("pointerup", () => {
  if (drag?.kind === "range" && Math.abs(drag.at - drag.x) > 4) {
    const [from, to] = [drag.x, drag.at].sort((a, b) => a - b).map(timeOf);
    show(from, to);
  }
  drag = null;
  changed();
});
chart.addEventListener("pointercancel", () => (drag = null));
chart.addEventListener("pointerleave", () => showTooltip(null));

chart.addEventListener("dblclick", (event) => zoom(2, timeOf(place(event)[0])));

chart.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [x] = place(event);
  const turned = event.deltaY || event.deltaX;
  showTooltip(null);
  if (x < GUTTER) scrollTo(view.scroll + event.deltaY);
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    pan(Math.sign(event.deltaX || turned) * (view.to - view.from) * 0.1);
  } else zoom(Math.exp(-Math.max(-200, Math.min(200, turned)) / 300), timeOf(x));
}, { passive: false });

/** Goes to the next failure, or to the one before, and describes it. */
function visit(step) {
  if (failures.length === 0) return;
  const current = failures.indexOf(selected);
  const next = current < 0 && step < 0 ? failures.length - 1 : current + step;
  selected = failures[(next + failures.length) % failures.length];
  const range = Math.min(view.to - view.from, (data.to - data.from) / 4);
  show(selected.at - range / 2, selected.at + range / 2);
  const top = LANES_TOP + selected.slot * view.lane;
  if (laneTop(selected.slot) < LANES_TOP || laneTop(selected.slot) + view.lane > view.height) {
    scrollTo(top - (LANES_TOP + view.height) / 2);
  }
  showTooltip(describeMark(selected), xOf(selected.at), laneTop(selected.slot) + view.lane / 2);
}

const keys = {
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  ArrowLeft: () => pan(-(view.to - view.from) * 0.15),
  ArrowRight: () => pan((view.to - view.from) * 0.15),
  ArrowUp: () => scrollTo(view.scroll - view.lane * 2),
  ArrowDown: () => scrollTo(view.scroll + view.lane * 2),
  0: fit,
  Home: fit,
  n: () => visit(1),
  p: () => visit(-1),
  Escape: () => (selected = null),
};

document.addEventListener("keydown", (event) => {
  const act = keys[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  showTooltip(null);
  act();
  changed();
});

const buttons = { "zoom-in": "+", "zoom-out": "-", fit: "0", previous: "p", next: "n" };
for (const [id, key] of Object.entries(buttons)) {
  document.getElementById(id).addEventListener("click", () => {
    showTooltip(null);
    keys[key]();
    changed();
  });
}
document.getElementById("previous").disabled = failures.length === 0;
document.getElementById("next").disabled = failures.length === 0;

function restyle() {
  readColors();
  writeLegend();
  changed();
}

chart.setAttribute("aria-label", `A timeline of ${count(data.workers.length, "worker")} in ${count(lanes.length, "slot")}`);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
window.addEventListener("resize", resize);
writeFacts();
restyle();
resize();
fit();
draw();
