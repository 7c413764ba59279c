// A worker in JavaScript, for Node 18 or later. See ../../PROTOCOL.md for what it speaks.
//
// It sends every request back; `fail <why>` is answered with an error, and `sleep <ms>` after a while, unless it is cancelled.
// A stream is answered with one part for each line.

import { writeSync } from 'node:fs';

const HELLO = 1, CALL = 2, SHUTDOWN = 3, PING = 4, STREAM = 5, CANCEL = 6;
const READY = 128, REPLY = 129, ERROR = 130, PONG = 131, PART = 132;
const VERSION = 1;
const HEAD = 9;

// What is printed goes to the log, and cannot corrupt the frames.
Object.defineProperty(process, 'stdout', { get: () => process.stderr });

class Failure extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

// --- Frames ---------------------------------------------------------------------------------------------------------

let maxFrame = 1024;
let pieces = [];
let size = 0;

/** Adds what has arrived, and gives out the frames that are whole by now. */
function* frames(piece) {
  pieces.push(piece);
  size += piece.length;
  let needed = 4;
  while (size >= needed) {
    if (pieces.length > 1) pieces = [Buffer.concat(pieces)];
    const [bytes] = pieces;
    const length = bytes.readUInt32BE(0);
    if (length < 5 || length > maxFrame) giveUp(`a frame of ${length} bytes`);
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
  // A host that does not read makes this wait: all the flow control that there is.
  for (let sent = 0; sent < frame.length; ) sent += writeSync(1, frame, sent);
}

function answerError(id, error) {
  const texts = [error.name, error.message, error.stack ?? ''].map((text) => Buffer.from(text));
  // What there is room for.
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

function giveUp(why) {
  console.error(`worker: ${why}`);
  process.exit(2);
}

// --- What it does ---------------------------------------------------------------------------------------------------

async function perform(body, cancelled) {
  const [verb, ...rest] = body.toString().split(' ');
  if (verb === 'fail') throw new Failure('Refused', rest.join(' '));
  if (verb === 'sleep') await sleep(Number(rest[0]), cancelled);
  return body;
}

function sleep(ms, cancelled) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    cancelled.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new Failure('Cancelled', 'the host does not want it any more'));
    });
  });
}

// --- The conversation -----------------------------------------------------------------------------------------------

let underWay = null;

async function serve({ kind, id, body }) {
  const request = { id, abort: new AbortController() };
  underWay = request;
  try {
    const result = await perform(body, request.abort.signal);
    if (kind === STREAM) {
      for (const line of result.toString('latin1').match(/[^\n]*\n|[^\n]+/g) ?? []) answer(PART, id, Buffer.from(line, 'latin1'));
    }
    underWay = null;
    answer(REPLY, id, kind === STREAM ? undefined : result);
  } catch (error) {
    underWay = null;
    answerError(id, error);
  }
}

function shakeHands({ kind, body }) {
  if (kind !== HELLO || body.length < 8) giveUp('the first frame is not a hello');
  if (body.readUInt32BE(0) !== VERSION) giveUp('the host speaks another version of the protocol');
  maxFrame = body.readUInt32BE(4);
  const version = Buffer.alloc(4);
  version.writeUInt32BE(VERSION);
  answer(READY, 0, version);
}

function handle(frame) {
  switch (frame.kind) {
    case CALL:
    case STREAM:
      // Its bytes are the input's, which may be overwritten while it is served.
      serve({ ...frame, body: Buffer.from(frame.body) });
      break;
    case PING:
      answer(PONG, frame.id);
      break;
    case CANCEL:
      // One that comes too late is about nothing.
      if (underWay?.id === frame.id) underWay.abort.abort();
      break;
    case SHUTDOWN:
      process.exit(0);
    default:
      giveUp(`a frame of kind ${frame.kind}`);
  }
}

let greeted = false;
process.stdin.on('data', (piece) => {
  for (const frame of frames(piece)) {
    if (greeted) handle(frame);
    else shakeHands(frame);
    greeted = true;
  }
});
// The host is over, or gone: in either case, so is this.
process.stdin.on('end', () => process.exit(0));
