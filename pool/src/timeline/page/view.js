// Which part of the record is shown, and where.

const chart = document.getElementById("chart");

/** Heights of the sections, and the width of the labels on the left, in CSS pixels. */
const GUTTER = 64, OVERVIEW = 40, AXIS = 22, POOL = 20, QUEUE = 46, GAP = 8;
const QUEUE_TOP = OVERVIEW + GAP + AXIS + POOL + 6;
const LANES_TOP = QUEUE_TOP + QUEUE + 10;
const MIN_LANE = 13, MAX_LANE = 40;
/** The shortest range that can be shown. */
const MIN_RANGE = 20;

const view = { from: data.from, to: data.to, scroll: 0, width: 0, height: 0, lane: MAX_LANE };

const plotWidth = () => Math.max(50, view.width - GUTTER);
const perPixel = () => (view.to - view.from) / plotWidth();
const xOf = (time) => GUTTER + (time - view.from) / perPixel();
const timeOf = (x) => view.from + (x - GUTTER) * perPixel();
const laneTop = (index) => LANES_TOP + index * view.lane - view.scroll;
const overviewX = (time) =>
  GUTTER + ((time - data.from) / Math.max(1, data.to - data.from)) * plotWidth();
const overviewTime = (x) => data.from + ((x - GUTTER) / plotWidth()) * (data.to - data.from);

/** Shows this range, or the nearest one that the record has. */
function show(from, to) {
  const all = Math.max(MIN_RANGE, data.to - data.from);
  const range = Math.min(all, Math.max(MIN_RANGE, to - from));
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(data.from, middle - range / 2), data.from + all - range);
  view.to = view.from + range;
  changed();
}

/** Zooms by a factor, so that the time `at` stays where it is. */
function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) / factor, at + (view.to - at) / factor);
}

function pan(time) {
  const range = view.to - view.from;
  const from = Math.min(Math.max(data.from, view.from + time), Math.max(data.from, data.to - range));
  show(from, from + range);
}

function fit() {
  view.scroll = 0;
  show(data.from, data.to);
}

function scrollTo(scroll) {
  const below = LANES_TOP + lanes.length * view.lane - view.height;
  view.scroll = Math.min(Math.max(0, scroll), Math.max(0, below));
  changed();
}

/** Fits the chart into the window. Lanes shrink to a limit; then they scroll. */
function resize() {
  const top = chart.getBoundingClientRect().top + window.scrollY;
  const room = Math.max(LANES_TOP + 6 * MIN_LANE, window.innerHeight - top - 44);
  const lane = Math.floor((room - LANES_TOP) / Math.max(1, lanes.length));
  view.lane = Math.min(MAX_LANE, Math.max(MIN_LANE, lane));
  view.height = Math.min(room, LANES_TOP + Math.max(1, lanes.length) * view.lane);
  view.width = chart.clientWidth;
  const scale = window.devicePixelRatio || 1;
  chart.style.height = `${view.height}px`;
  chart.width = Math.round(view.width * scale);
  chart.height = Math.round(view.height * scale);
  scrollTo(view.scroll);
}

let isPlanned = false;

/** Draws the chart before the next frame. */
function changed() {
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(() => {
    isPlanned = false;
    draw();
  });
}
