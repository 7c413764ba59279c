// Decodes the data of the page. All times are microseconds since the record began.

const data = JSON.parse(document.getElementById("data").textContent);

/** Codes of `outcomes`: see `Outcome` in `history.rs`. */
const RUNNING = 0, CHECKED = 2, ERROR = 3, CANCELLED = 4, MISSED = 10;

/** Whether a lease went wrong in a way that cost the caller its call, or the worker its life. */
const isFailure = (outcome) => outcome > CANCELLED;
const isCheck = (outcome) => outcome === CHECKED || outcome === MISSED;

const PHASES = {
  Initializing: { name: "starting", color: "starting" },
  Ready: { name: "ready", color: "ready" },
  Lingering: { name: "draining", color: "draining" },
  Stopping: { name: "stopping", color: "stopping" },
};

/** The index of the first of `count` items for which `isAfter` holds. They are sorted by it. */
function firstWhere(count, isAfter) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isAfter(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Turns the list of numbers into columns, which take a quarter of the memory of objects. */
function decodeLeases(numbers) {
  const count = numbers.length / 6;
  const leases = {
    count,
    from: new Float64Array(count),
    to: new Float64Array(count),
    waited: new Float64Array(count),
    outcome: new Uint8Array(count),
    calls: new Uint32Array(count),
    errors: new Uint32Array(count),
  };
  let from = 0;
  for (let i = 0, n = 0; i < count; i++, n += 6) {
    from += numbers[n];
    leases.from[i] = from;
    leases.to[i] = from + numbers[n + 1];
    leases.waited[i] = numbers[n + 2];
    leases.outcome[i] = numbers[n + 3];
    leases.calls[i] = numbers[n + 4];
    leases.errors[i] = numbers[n + 5];
  }
  return leases;
}

/** The lanes: one for each slot, with its workers in the order of their starts. */
const lanes = Array.from({ length: data.slots }, (_, slot) => ({ slot, workers: [], marks: [] }));
for (const worker of data.workers) {
  worker.leases = decodeLeases(worker.leases);
  worker.from = worker.phases[0][0];
  worker.to = worker.end ?? data.to;
  worker.bars = [];
  worker.phases.forEach(([from, phase], i) => {
    const to = worker.phases[i + 1]?.[0] ?? worker.to;
    if (phase in PHASES) worker.bars.push({ from, to, phase: PHASES[phase] });
  });
  lanes[worker.slot].workers.push(worker);
}
for (const mark of data.marks) {
  if (mark.slot !== undefined) lanes[mark.slot]?.marks.push(mark);
}
const poolMarks = data.marks.filter((mark) => mark.kind === "pool");
const refusals = data.marks.filter((mark) => mark.kind === "refused");
/** What the keys n and p visit. */
const failures = data.marks.filter((mark) => ["kill", "exit", "start"].includes(mark.kind));

/** The queue's length from a time on. */
const queue = { times: [], lengths: [], max: 0 };
for (let i = 0; i < data.queue.length; i += 2) {
  queue.times.push(data.queue[i]);
  queue.lengths.push(data.queue[i + 1]);
}
queue.max = queue.lengths.reduce((a, b) => Math.max(a, b), 0);

function queueAt(time) {
  const next = firstWhere(queue.times.length, (i) => queue.times[i] > time);
  return queue.lengths[Math.max(0, next - 1)];
}

/** The mean number of busy workers in each of `count` equal parts of the record. */
function busyProfile(count) {
  const width = Math.max(1, data.to - data.from) / count;
  const busy = new Float64Array(count);
  for (const { leases } of data.workers) {
    for (let i = 0; i < leases.count; i++) {
      if (isCheck(leases.outcome[i])) continue;
      const from = Math.max(0, (leases.from[i] - data.from) / width);
      const to = Math.min(count, (leases.to[i] - data.from) / width);
      for (let n = Math.floor(from); n < to; n++) {
        busy[n] += Math.min(to, n + 1) - Math.max(from, n);
      }
    }
  }
  return busy;
}
