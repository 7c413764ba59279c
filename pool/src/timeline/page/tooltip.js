// What is under the pointer, in words.

const tooltip = document.getElementById("tooltip");

/** What is at this place of the chart: a title and facts, or nothing. */
function describe(x, y) {
  if (x < GUTTER || x > view.width) return null;
  if (y < OVERVIEW + GAP) return null;
  const time = timeOf(x);
  if (y < QUEUE_TOP) {
    const mark = nearest(poolMarks, x);
    return mark && { title: capital(mark.text), facts: [at(mark.at)] };
  }
  if (y < LANES_TOP) return describeQueue(x, time);
  const lane = lanes[Math.floor((y - laneTop(0)) / view.lane)];
  return lane ? describeLane(lane, x, time) : null;
}

const capital = (string) => string[0].toUpperCase() + string.slice(1);

function at(time) {
  const since = `${duration(time - data.from)} from the start`;
  const day = clock(time);
  return ["at", day ? `${day}, ${since}` : since];
}

/** The mark nearest to `x`, if it is close enough to be meant. */
function nearest(marks, x) {
  let best = null, distance = 7;
  for (const mark of marks) {
    const away = Math.abs(Math.min(xOf(mark.at), view.width - 5) - x);
    if (away < distance) [best, distance] = [mark, away];
  }
  return best;
}

function describeQueue(x, time) {
  const refusal = nearest(refusals, x);
  const length = queueAt(time);
  const facts = [at(time), ["longest", count(queue.max, "caller")]];
  if (refusal) facts.push(["refused", refusal.text.replace("a caller was refused: ", "")]);
  return { title: `${count(length, "caller")} waiting`, facts };
}

function describeLane(lane, x, time) {
  const mark = nearest(lane.marks, x);
  if (mark) return describeMark(mark);
  const slack = perPixel();
  const worker = lane.workers.findLast((w) => w.from - slack <= time && w.to + slack >= time);
  if (!worker) return { title: `Slot ${lane.slot}: no worker`, facts: [at(time)] };
  const { leases } = worker;
  const first = firstWhere(leases.count, (i) => leases.to[i] >= time - slack);
  const last = firstWhere(leases.count, (i) => leases.from[i] > time + slack);
  if (last - first > 1) return describeLeases(worker, first, last);
  if (last > first) return describeLease(worker, first);
  const bar = worker.bars.findLast((b) => b.from <= time) ?? worker.bars[0];
  return describeWorker(worker, bar);
}

function describeMark(mark) {
  const worker = data.workers.find((w) => w.id === mark.worker);
  const facts = [at(mark.at)];
  if (worker) {
    const lease = leaseAt(worker.leases, mark.at);
    if (lease !== null && !isCheck(worker.leases.outcome[lease])) {
      const { from, to } = worker.leases;
      facts.push(["call", `${duration(to[lease] - from[lease])}: ${data.outcomes[worker.leases.outcome[lease]]}`]);
    }
    facts.push(...about(worker));
  }
  return { title: `Worker ${mark.worker}: ${mark.text}`, facts };
}

/** The lease that contains this moment or ends at it. */
function leaseAt(leases, time) {
  const i = firstWhere(leases.count, (n) => leases.to[n] >= time);
  return i < leases.count && leases.from[i] <= time ? i : null;
}

function describeLease(worker, i) {
  const { from, to, waited, outcome, calls, errors } = worker.leases;
  const took = duration(to[i] - from[i]);
  const what = isCheck(outcome[i]) || calls[i] < 2 ? data.outcomes[outcome[i]]
    : `${count(calls[i], "call")}, ${data.outcomes[outcome[i]]}`;
  const facts = [["worker", worker.id]];
  if (!isCheck(outcome[i])) facts.push(["waited", duration(waited[i])]);
  if (errors[i] > 0) facts.push(["errors", `${errors[i]} at the end`]);
  facts.push(at(from[i]));
  const name = isCheck(outcome[i]) ? capital(what) : `Call of ${took}: ${what}`;
  return { title: name, facts };
}

/** Leases that are too short to be told apart here. */
function describeLeases(worker, first, last) {
  const { from, to, waited, calls, outcome } = worker.leases;
  let [total, longest, wait, answered, failed] = [0, 0, 0, 0, 0];
  for (let i = first; i < last; i++) {
    const took = to[i] - from[i];
    total += took;
    longest = Math.max(longest, took);
    wait = Math.max(wait, waited[i]);
    answered += calls[i];
    failed += isFailure(outcome[i]);
  }
  const facts = [
    ["worker", worker.id],
    ["mean", duration(total / (last - first))],
    ["longest", duration(longest)],
    ["longest wait", duration(wait)],
    at(from[first]),
  ];
  if (failed > 0) facts.splice(1, 0, ["failed", `${failed}`]);
  return { title: `${count(answered, "call")} in ${duration(to[last - 1] - from[first])}`, facts };
}

function describeWorker(worker, bar) {
  const facts = [["for", duration(bar.to - bar.from)], at(bar.from), ...about(worker)];
  return { title: `Worker ${worker.id}: ${bar.phase.name}`, facts };
}

/** What is true of the whole life of a worker. */
function about(worker) {
  const lived = duration(worker.to - worker.from);
  const errors = worker.errors > 0 ? `, ${count(worker.errors, "error")}` : "";
  const facts = [
    [worker.end === null ? "age" : "lived", lived],
    ["calls", `${worker.calls.toLocaleString("en")}${errors}`],
  ];
  if (worker.memory !== null) facts.push(["memory", memory(worker.memory)]);
  if (worker.replacing) facts.push(["to be replaced", worker.replacing[1]]);
  if (worker.reason) facts.push(["left because", worker.reason]);
  const rungs = { Ask: "asked to exit", Term: "SIGTERM", Kill: "SIGKILL" };
  if (worker.rung) facts.push(["stopped by", rungs[worker.rung]]);
  return facts;
}

/** Shows a description beside this place, inside the window. */
function showTooltip(description, x, y) {
  tooltip.hidden = description === null;
  if (description === null) return;
  const title = document.createElement("strong"), facts = document.createElement("dl");
  title.textContent = description.title;
  for (const [name, value] of description.facts) {
    const term = document.createElement("dt"), detail = document.createElement("dd");
    [term.textContent, detail.textContent] = [name, value];
    facts.append(term, detail);
  }
  tooltip.replaceChildren(title, facts);
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const left = x + 16 + width > view.width ? x - 16 - width : x + 16;
  const below = chart.getBoundingClientRect().top + y + 14 + height > window.innerHeight;
  tooltip.style.left = `${Math.max(0, left)}px`;
  tooltip.style.top = `${below ? y - 14 - height : y + 14}px`;
}
