// Draws the chart.

const context = chart.getContext("2d");
const FONT = '11px system-ui, "DejaVu Sans", sans-serif';
let colors = {};
let profile = busyProfile(600);

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = ["page", "text", "muted", "line", "band", "accent", "starting", "ready", "busy",
    "check", "draining", "stopping", "failed", "queue", "window"];
  colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const leaseColor = (outcome) =>
  isFailure(outcome) ? colors.failed : isCheck(outcome) ? colors.check : colors.busy;

function text(string, x, y, { color = colors.muted, align = "left", size = 11 } = {}) {
  context.font = FONT.replace("11", size);
  context.fillStyle = color;
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillText(string, x, y);
}

function line(x1, y1, x2, y2, color, width = 1) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function rectangle(x, y, width, height, color) {
  context.fillStyle = color;
  context.fillRect(x, y, width, height);
}

/** Draws only inside the plot, between these heights. */
function clipped(top, bottom, drawing) {
  context.save();
  context.beginPath();
  context.rect(GUTTER, top, plotWidth(), bottom - top);
  context.clip();
  drawing();
  context.restore();
}

/** A sign for something that happened at one moment, around its middle. */
function sign(to, kind, x, y, size) {
  to.lineWidth = Math.max(1.5, size / 3.2);
  to.lineCap = "round";
  to.beginPath();
  if (kind === "kill") {
    to.strokeStyle = colors.failed;
    to.moveTo(x - size, y - size);
    to.lineTo(x + size, y + size);
    to.moveTo(x + size, y - size);
    to.lineTo(x - size, y + size);
    to.stroke();
  } else if (kind === "exit") {
    to.fillStyle = colors.failed;
    to.moveTo(x - size * 1.15, y - size * 0.9);
    to.lineTo(x + size * 1.15, y - size * 0.9);
    to.lineTo(x, y + size * 1.1);
    to.fill();
  } else if (kind === "start") {
    to.strokeStyle = colors.failed;
    to.arc(x, y, size, 0, 2 * Math.PI);
    to.stroke();
  } else {
    to.fillStyle = colors.draining;
    to.strokeStyle = colors.page;
    to.lineWidth = 1;
    to.moveTo(x, y - size * 1.2);
    to.lineTo(x + size * 1.2, y);
    to.lineTo(x, y + size * 1.2);
    to.lineTo(x - size * 1.2, y);
    to.closePath();
    to.fill();
    to.stroke();
  }
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  rectangle(0, 0, view.width, view.height, colors.page);
  drawOverview();
  drawAxis();
  drawQueue();
  drawLanes();
  drawPoolMarks();
  drawRange();
}

/** The whole record: how many workers were busy, every failure, and which part is shown. */
function drawOverview() {
  text("busy", GUTTER - 8, OVERVIEW / 2, { align: "right" });
  rectangle(GUTTER, 0, plotWidth(), OVERVIEW, colors.band);
  const most = profile.reduce((a, b) => Math.max(a, b), Math.max(1, data.size));
  const part = plotWidth() / profile.length;
  context.fillStyle = colors.busy;
  context.globalAlpha = 0.55;
  context.beginPath();
  context.moveTo(GUTTER, OVERVIEW);
  profile.forEach((busy, i) => {
    const y = OVERVIEW - (busy / most) * (OVERVIEW - 6);
    context.lineTo(GUTTER + i * part, y);
    context.lineTo(GUTTER + (i + 1) * part, y);
  });
  context.lineTo(GUTTER + plotWidth(), OVERVIEW);
  context.fill();
  context.globalAlpha = 1;
  for (const mark of failures) rectangle(overviewX(mark.at) - 0.75, 0, 1.5, 6, colors.failed);
  const [from, to] = [overviewX(view.from), overviewX(view.to)];
  if (view.to - view.from < data.to - data.from) {
    rectangle(from, 0, Math.max(3, to - from), OVERVIEW, colors.window);
    context.strokeStyle = colors.accent;
    context.lineWidth = 1;
    context.strokeRect(from + 0.5, 0.5, Math.max(3, to - from) - 1, OVERVIEW - 1);
  }
}

/** The distance of the labels on the axis: 1, 2 or 5 times a power of ten, or whole minutes. */
function axisStep() {
  const least = perPixel() * 90;
  const round = [15e6, 30e6, 60e6, 300e6, 600e6, 1800e6, 3600e6, 21600e6, 86400e6];
  if (least > 10e6) return round.find((step) => step >= least) ?? 10 * 86400e6;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least);
}

function drawAxis() {
  const step = axisStep(), y = OVERVIEW + GAP + AXIS / 2;
  for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
    const x = Math.round(xOf(time)) + 0.5;
    line(x, OVERVIEW + GAP + AXIS - 3, x, view.height, colors.line);
    const label = moment(time, step);
    // A label at the right edge would be cut off.
    if (x < view.width - 26 || time + step <= view.to) text(label, Math.max(x, GUTTER + 12), y, { align: "center" });
  }
}

/** How many callers wait. Of the lengths within one pixel, the longest is drawn. */
function drawQueue() {
  const bottom = QUEUE_TOP + QUEUE;
  const yOf = (length) => bottom - (length / Math.max(1, queue.max)) * (QUEUE - 4);
  text("waiting", GUTTER - 8, bottom - QUEUE / 2, { align: "right" });
  if (queue.max > 0) text(`${queue.max}`, GUTTER - 8, QUEUE_TOP + 5, { align: "right", size: 10 });
  line(GUTTER, bottom + 0.5, view.width, bottom + 0.5, colors.line);
  clipped(QUEUE_TOP, bottom + 5, () => {
    let i = Math.max(0, firstWhere(queue.times.length, (n) => queue.times[n] > view.from) - 1);
    let length = queue.lengths[i];
    context.beginPath();
    context.moveTo(GUTTER, bottom);
    for (let x = GUTTER; x <= view.width; x++) {
      const until = timeOf(x + 1);
      let most = length;
      while (i + 1 < queue.times.length && queue.times[i + 1] < until) {
        i++;
        length = queue.lengths[i];
        most = Math.max(most, length);
      }
      context.lineTo(x, yOf(most));
      context.lineTo(x + 1, yOf(most));
    }
    context.lineTo(view.width + 1, bottom);
    context.globalAlpha = 0.3;
    context.fillStyle = colors.queue;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colors.queue;
    context.lineWidth = 1.2;
    context.stroke();
    for (const mark of refusals) rectangle(xOf(mark.at) - 1, bottom - 6, 2, 10, colors.failed);
  });
}

function drawLanes() {
  context.save();
  context.beginPath();
  context.rect(0, LANES_TOP, view.width, view.height - LANES_TOP);
  context.clip();
  lanes.forEach((lane, i) => {
    const top = laneTop(i);
    if (top > view.height || top + view.lane < LANES_TOP) return;
    const size = view.lane >= 18 ? 11 : 9;
    text(`slot ${lane.slot}`, GUTTER - 8, top + view.lane / 2, { align: "right", size });
    context.save();
    context.beginPath();
    context.rect(GUTTER, top, plotWidth(), view.lane);
    context.clip();
    for (const worker of lane.workers) {
      if (worker.to >= view.from && worker.from <= view.to) drawWorker(worker, top);
    }
    drawSigns(lane, top);
    context.restore();
  });
  context.restore();
  const shown = view.height - LANES_TOP, all = lanes.length * view.lane;
  if (all > shown) {
    const bar = (shown / all) * shown;
    context.globalAlpha = 0.7;
    rectangle(2, LANES_TOP + (view.scroll / all) * shown, 4, bar, colors.stopping);
    context.globalAlpha = 1;
  }
}

/** Bars for its phases, its name where there is room, and its leases. */
function drawWorker(worker, top) {
  const gap = view.lane >= 24 ? 3 : 1, height = view.lane - gap;
  const band = view.lane >= 30 ? 12 : 0;
  for (const { from, to, phase } of worker.bars) {
    const left = Math.max(GUTTER, xOf(from));
    const right = Math.min(view.width, xOf(to));
    if (right >= left) rectangle(left, top, Math.max(0.75, right - left), height, colors[phase.color]);
  }
  const left = xOf(worker.from), right = xOf(worker.to);
  const at = Math.max(left, GUTTER) + 4;
  if (band > 0 && right - at > 34) text(worker.id, at, top + 6.5, { color: colors.text, size: 9.5 });
  const inset = band > 0 ? band : Math.max(1, Math.floor(height / 6));
  drawLeases(worker.leases, top + inset, height - inset - Math.max(1, band > 0 ? 3 : inset));
  // Two workers of a slot may follow at once.
  if (left >= GUTTER) rectangle(left - 0.5, top, 1, height, colors.page);
}

/**
 * Leases narrower than a pixel are added up: the colour says how much of the pixel is busy, in steps
 * of an eighth. Pixels of the same colour are one rectangle, because there are many.
 */
function drawLeases(leases, top, height) {
  let pixel = -1, covered = 0, worst = 0;
  let run = { from: 0, to: 0, color: "", alpha: 1 };
  const endRun = () => {
    if (run.to === run.from) return;
    context.globalAlpha = run.alpha;
    rectangle(run.from, top, run.to - run.from, height, run.color);
    context.globalAlpha = 1;
    run.from = run.to = 0;
  };
  const endPixel = () => {
    if (covered <= 0) return;
    const color = leaseColor(worst);
    const alpha = isFailure(worst) ? 1 : 0.25 + 0.75 * Math.min(1, Math.ceil(covered * 8) / 8);
    if (run.to !== pixel || run.color !== color || run.alpha !== alpha) {
      endRun();
      run = { from: pixel, to: pixel, color, alpha };
    }
    run.to = pixel + 1;
    covered = 0;
  };
  const first = firstWhere(leases.count, (i) => leases.to[i] >= view.from);
  for (let i = first; i < leases.count && leases.from[i] <= view.to; i++) {
    const left = xOf(leases.from[i]), right = xOf(leases.to[i]), outcome = leases.outcome[i];
    if (right - left >= 1.5) {
      endPixel();
      const from = Math.max(GUTTER, left), to = Math.min(view.width, right);
      // A gap sets it apart from the next one.
      rectangle(from, top, Math.max(1, to - from - 0.5), height, leaseColor(outcome));
      continue;
    }
    for (let at = Math.floor(left); at <= right; at++) {
      if (at !== pixel) {
        endPixel();
        pixel = at;
        worst = outcome;
      }
      covered += Math.max(Math.min(right, at + 1) - Math.max(left, at), 1e-6);
      if (isFailure(outcome) || isCheck(worst)) worst = outcome;
    }
  }
  endPixel();
  endRun();
}

/** Signs of one kind that would cover one another are drawn once. */
function drawSigns(lane, top) {
  const size = Math.min(5, view.lane / 3.4), last = {};
  for (const kind of ["replace", "start", "exit", "kill"]) {
    for (const mark of lane.marks) {
      if (mark.kind !== kind || mark.at < view.from || mark.at > view.to) continue;
      const x = xOf(mark.at);
      if (x - (last[kind] ?? -100) < size) continue;
      last[kind] = x;
      sign(context, kind, Math.min(x, view.width - size), top + view.lane / 2, size);
    }
  }
}

/** What happened to the pool: a line through all lanes, and a text where there is room. */
function drawPoolMarks() {
  const y = OVERVIEW + GAP + AXIS + POOL / 2;
  text("pool", GUTTER - 8, y, { align: "right" });
  clipped(OVERVIEW + GAP + AXIS, view.height, () => {
    const shown = poolMarks.filter((mark) => mark.at >= view.from && mark.at <= view.to);
    let free = GUTTER, previous = -100;
    // For `measureText`.
    context.font = FONT;
    shown.forEach((mark, i) => {
      const x = Math.min(xOf(mark.at), view.width - 1);
      // What happens at once is one sign, and its text that of the first.
      if (x - previous < 3) return;
      previous = x;
      context.setLineDash([3, 3]);
      line(x, y, x, view.height, colors.muted);
      context.setLineDash([]);
      context.fillStyle = colors.muted;
      context.beginPath();
      context.arc(x, y, 3, 0, 2 * Math.PI);
      context.fill();
      const next = shown.slice(i).find((other) => xOf(other.at) - x >= 3);
      const width = context.measureText(mark.text).width + 10;
      if (x + width < Math.min(view.width, next ? xOf(next.at) : Infinity)) {
        text(mark.text, x + 7, y);
        free = x + width;
      } else {
        if (x - width > free) text(mark.text, x - 7, y, { align: "right" });
        free = x + 6;
      }
    });
  });
}

/** The moment that the keys have chosen, and the range that is being dragged. */
function drawRange() {
  if (selected) {
    const x = xOf(selected.at), i = selected.slot;
    line(x, OVERVIEW + GAP + AXIS, x, view.height, colors.accent);
    if (i !== undefined) {
      context.strokeStyle = colors.accent;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, laneTop(i) + view.lane / 2, 10, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  if (drag?.kind === "range") {
    const [a, b] = [drag.x, drag.at].sort((m, n) => m - n);
    rectangle(a, OVERVIEW + GAP, b - a, view.height, colors.window);
  }
}

function writeLegend() {
  const entries = [
    ["bar", "starting", "starting"], ["bar", "ready", "ready"], ["bar", "busy", "call"],
    ["bar", "failed", "failed call"], ["bar", "check", "health check"],
    ["bar", "draining", "draining"], ["bar", "stopping", "stopping"],
    ["sign", "exit", "exited by itself"], ["sign", "kill", "killed"],
    ["sign", "start", "start failed"], ["sign", "replace", "to be replaced"],
  ];
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  for (const [form, name, label] of entries) {
    const item = document.createElement("li"), picture = document.createElement("canvas");
    picture.width = picture.height = 28;
    const to = picture.getContext("2d");
    to.scale(2, 2);
    if (form === "bar") {
      to.fillStyle = colors[name];
      to.beginPath();
      to.roundRect(1, 1, 12, 12, 3);
      to.fill();
    } else {
      sign(to, name, 7, 7, 4.2);
    }
    item.append(picture, label);
    legend.append(item);
  }
}
