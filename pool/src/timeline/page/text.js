// How the page says things.

const decimals = (value) => (value < 10 ? 2 : value < 100 ? 1 : 0);

/** A duration, with three digits. */
function duration(us) {
  if (us < 1000) return `${us.toFixed(0)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(decimals(us / 1e3))} ms`;
  if (us < 120e6) return `${(us / 1e6).toFixed(decimals(us / 1e6))} s`;
  if (us < 7200e6) return `${Math.floor(us / 60e6)} min ${Math.floor((us / 1e6) % 60)} s`;
  return `${Math.floor(us / 3600e6)} h ${Math.floor((us / 60e6) % 60)} min`;
}

/** A moment on the axis, whose labels are `step` apart: all labels have the same unit. */
function moment(us, step) {
  const [unit, name] = step < 1000 ? [1, "µs"] : step < 1e5 ? [1000, "ms"] : [1e6, "s"];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  if (data.to >= 600e6 && unit === 1e6) {
    const seconds = Math.round(us / 1e6);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return parts.map((part) => String(part).padStart(2, "0")).join(":");
  }
  return `${(us / unit).toFixed(digits)} ${name}`;
}

/** The time of day, if the record says when it began. */
function clock(us) {
  if (data.started_ms === null) return null;
  const at = new Date(data.started_ms + us / 1000);
  const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };
  return at.toLocaleTimeString("en-GB", digits);
}

const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const memory = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

function writeFacts() {
  const { workers, calls, exits, kills, recycled, refused } = data.totals;
  const facts = [
    [duration(data.to - data.from), data.has_closed ? "the pool's whole life" : "up to now"],
    [count(workers, "worker"), `in a pool of ${data.size}`],
    [count(calls, "call"), "answered"],
    [exits.toLocaleString("en"), exits === 1 ? "exited by itself" : "exited by themselves"],
    [kills.toLocaleString("en"), "sent SIGKILL"],
    [recycled.toLocaleString("en"), "replaced"],
    [count(refused, "caller"), "refused"],
  ];
  // A count of zero says nothing, except of calls.
  const told = facts.filter(([figure], i) => i < 3 || !/^0\b/.test(figure));
  if (data.from > 0) told.unshift(["earlier", "parts are no longer kept"]);
  const line = document.getElementById("facts");
  told.forEach(([figure, what], i) => {
    if (i > 0) line.append(" · ");
    const bold = document.createElement("b");
    bold.textContent = figure;
    line.append(bold, ` ${what}`);
  });
  if (data.started_ms !== null) {
    const began = new Date(data.started_ms);
    document.title = `ostler timeline, ${began.toLocaleString("en-GB")}`;
    line.title = `Recorded from ${began.toISOString()}`;
  }
}
