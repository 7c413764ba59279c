// A worker in JavaScript, for Node 18 or later. ../../PROTOCOL.md describes the protocol.
//
// The worker echoes every request. It answers `fail <why>` with an error, `sleep <ms>` after that
// time unless the host cancels it, and a stream with one part for each line of the request. It takes
// batches.

import { writeSync } from 'node:fs';

const HELLO = 1, CALL = 2, SHUTDOWN = 3, PING = 4, STREAM = 5, CANCEL = 6, BATCH = 7;
const READY = 128, REPLY = 129, ERROR = 130, PONG = 131, PART = 132;
const VERSION = 1;
const BATCHES = 2;
const HEAD = 9;

// Redirect prints to stderr, which the host logs, so that they cannot corrupt the frames.
Object.defineProperty(process, 'stdout', { get: () => process.stderr });

class Failure extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

// --- Frames --------------------------------------------------------------------------------------

let maxFrame = 1024;
let pieces = [];
let size = 0;

/** Adds received bytes and yields the frames that are complete. */
function* frames(piece) {
  pieces.push(piece);
  size += piece.length;
  let needed = 4;
  while (size >= needed) {
    if (pieces.length > 1) pieces = [Buffer.concat(pieces)];
    const [bytes] = pieces;
    const length = bytes.readUInt32BE(0);
    if (length < 5 || length > maxFrame) fail(`received a frame with the invalid length ${length}`);
    needed = 4 + length;
    if (size < needed) break;
    yield { kind: bytes[4], id: bytes.readUInt32BE(5), body: bytes.subarray(HEAD, needed) };
    pieces = [bytes.subarray(needed)];
    size -= needed;
    needed = 4;
  }
}

function answer(kind, id, body = Buffer.alloc(0)) {
  const frame = Buffer.alloc(HEAD + body.length);
  frame.writeUInt32BE(5 + body.length, 0);
  frame[4] = kind;
  frame.writeUInt32BE(id, 5);
  body.copy(frame, HEAD);
  // A full pipe blocks here until the host reads: the pipe is the only flow control.
  for (let sent = 0; sent < frame.length; ) sent += writeSync(1, frame, sent);
}

function answerError(id, error) {
  const texts = [error.name, error.message, error.stack ?? ''].map((text) => Buffer.from(text));
  // Truncate, so that the frame fits into the limit.
  let room = maxFrame - 5 - 12;
  const body = texts.flatMap((text) => {
    const cut = text.subarray(0, Math.max(0, room));
    room -= cut.length;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(cut.length);
    return [length, cut];
  });
  answer(ERROR, id, Buffer.concat(body));
}

function fail(why) {
  console.error(`worker: ${why}`);
  process.exit(2);
}

// --- Requests ------------------------------------------------------------------------------------

async function perform(body, cancelled) {
  const [verb, ...rest] = body.toString().split(' ');
  if (verb === 'fail') throw new Failure('Refused', rest.join(' '));
  if (verb === 'sleep') await sleep(Number(rest[0]), cancelled);
  return body;
}

function sleep(ms, cancelled) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const cancel = () => {
      clearTimeout(timer);
      reject(new Failure('Cancelled', 'the host cancelled the request'));
    };
    if (cancelled.aborted) cancel();
    else cancelled.addEventListener('abort', cancel);
  });
}

// --- Protocol ------------------------------------------------------------------------------------

let current = null;

async function serve({ kind, id, body }, abort = new AbortController()) {
  const request = { id, abort };
  current = request;
  try {
    const result = await perform(body, request.abort.signal);
    if (kind === STREAM) {
      const lines = result.toString('latin1').match(/[^\n]*\n|[^\n]+/g) ?? [];
      for (const line of lines) answer(PART, id, Buffer.from(line, 'latin1'));
    }
    current = null;
    answer(REPLY, id, kind === STREAM ? undefined : result);
  } catch (error) {
    current = null;
    answerError(id, error);
  }
}

/** Serves the requests of a batch one after another. */
async function serveBatch({ id, body }) {
  const abort = new AbortController();
  const count = body.readUInt32BE(0);
  let start = 4 + 4 * count;
  for (let place = 0; place < count; place++) {
    const end = start + body.readUInt32BE(4 + 4 * place);
    await serve({ kind: CALL, id, body: body.subarray(start, end) }, abort);
    start = end;
  }
}

function handshake({ kind, body }) {
  if (kind !== HELLO || body.length < 8) fail('the first frame is not HELLO');
  if (body.readUInt32BE(0) !== VERSION) fail('the host uses another version of the protocol');
  maxFrame = body.readUInt32BE(4);
  const ready = Buffer.alloc(8);
  ready.writeUInt32BE(VERSION, 0);
  ready.writeUInt32BE(BATCHES, 4);
  const canBatch = body.length >= 12 && (body.readUInt32BE(8) & BATCHES) !== 0;
  answer(READY, 0, canBatch ? ready : ready.subarray(0, 4));
}

function handle(frame) {
  switch (frame.kind) {
    case CALL:
    case STREAM:
      // Copy the body: it is a view of the input buffer, and the worker keeps it across awaits.
      serve({ ...frame, body: Buffer.from(frame.body) });
      break;
    case BATCH:
      serveBatch({ ...frame, body: Buffer.from(frame.body) });
      break;
    case PING:
      answer(PONG, frame.id);
      break;
    case CANCEL:
      // A cancel may arrive after the reply; ignore it then.
      if (current?.id === frame.id) current.abort.abort();
      break;
    case SHUTDOWN:
      process.exit(0);
    default:
      fail(`received a frame of the unknown kind ${frame.kind}`);
  }
}

let isReady = false;
process.stdin.on('data', (piece) => {
  for (const frame of frames(piece)) {
    if (isReady) handle(frame);
    else handshake(frame);
    isReady = true;
  }
});
// The host has stopped this worker, or has died.
process.stdin.on('end', () => process.exit(0));
