//! A worker that costs as little as possible: it echoes each request, or each batch of requests, in
//! one write. It answers a stream with as many parts of 16 bytes as the request says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

const HEAD: usize = 9;
pub(crate) const PART: usize = 16;

/// Serves until the host closes the input or asks the worker to exit. Answers each call after
/// `delay`.
pub(crate) fn serve(delay: Duration) -> io::Result<()> {
    // Not `Stdout`, which copies what it writes.
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut input = io::stdin().lock();
    // Never shrinks, because growing fills it with zeros.
    let mut buffer = vec![0; HEAD];
    loop {
        if input.read_exact(&mut buffer[..HEAD]).is_err() {
            return Ok(());
        }
        let end = 4 + word(&buffer, 0);
        buffer.resize(end.max(buffer.len()), 0);
        input.read_exact(&mut buffer[HEAD..end])?;
        match buffer[4] {
            // HELLO: the body of READY is the version, and that it takes batches if they can come.
            1 if buffer[HEAD + 11] & 2 != 0 => {
                buffer[HEAD + 4..HEAD + 8].copy_from_slice(&2_u32.to_be_bytes());
                answer(&mut output, 128, &mut buffer[..HEAD + 8])?;
            }
            1 => answer(&mut output, 128, &mut buffer[..HEAD + 4])?,
            2 => {
                thread::sleep(delay);
                answer(&mut output, 129, &mut buffer[..end])?;
            }
            3 => return Ok(()),
            4 => answer(&mut output, 131, &mut buffer[..end])?,
            5 => stream(&mut output, &mut buffer)?,
            7 => output.write_all(&answers(&buffer[..end]))?,
            _ => {}
        }
    }
}

fn answer(output: &mut File, kind: u8, frame: &mut [u8]) -> io::Result<()> {
    let length = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame[4] = kind;
    output.write_all(frame)
}

/// The answers to the requests of a batch.
fn answers(batch: &[u8]) -> Vec<u8> {
    let count = word(batch, HEAD);
    let lengths = HEAD + 4;
    let mut next = lengths + 4 * count;
    let mut answers = Vec::with_capacity(batch.len() + HEAD * count);
    for place in 0..count {
        let length = word(batch, lengths + 4 * place);
        answers.extend((5 + length as u32).to_be_bytes());
        answers.push(129);
        answers.extend(&batch[5..HEAD]);
        answers.extend(&batch[next..next + length]);
        next += length;
    }
    answers
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

fn stream(output: &mut File, request: &mut [u8]) -> io::Result<()> {
    const AT_ONCE: usize = 2000;
    let count = word(request, HEAD);
    let mut part = [0; HEAD + PART];
    part[3] = 5 + PART as u8;
    part[4] = 132;
    part[5..HEAD].copy_from_slice(&request[5..HEAD]);
    let parts = part.repeat(AT_ONCE);
    for sent in (0..count).step_by(AT_ONCE) {
        let size = (count - sent).min(AT_ONCE) * part.len();
        output.write_all(&parts[..size])?;
    }
    answer(output, 129, &mut request[..HEAD])
}
