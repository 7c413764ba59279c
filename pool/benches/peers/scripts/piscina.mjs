// Runs rounds of calls through piscina. Input and output are those of pools.py.

import { createInterface } from 'node:readline';
import { Piscina } from 'piscina';

const filename = new URL('echo.mjs', import.meta.url).href;
const pool = new Piscina({ filename, minThreads: 2, maxThreads: 2 });

async function measure(request, callers, calls) {
  const caller = async () => {
    for (let call = 0; call < calls / callers; call += 1) await pool.run(request);
  };
  const start = process.hrtime.bigint();
  await Promise.all(Array.from({ length: callers }, caller));
  return Number(process.hrtime.bigint() - start) / calls;
}

let request;
for await (const line of createInterface({ input: process.stdin })) {
  if (request === undefined) {
    request = JSON.parse(line) ?? Buffer.alloc(64, 'x');
  } else {
    const [callers, calls] = line.split(' ').map(Number);
    console.log(await measure(request, callers, calls));
  }
}
await pool.destroy();
