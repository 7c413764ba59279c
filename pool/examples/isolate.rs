//! Runs code that may crash in processes of its own. This program is its own worker.
//!
//! ```text
//! echo '(1 + 2) * 3' | cargo run --example isolate
//! python3 -c 'print("(" * 1000000 + "1")' | cargo run --example isolate
//! ```
//!
//! The second line overflows the stack of the recursive parser. That ends a worker, which is
//! replaced; the host says so and goes on. The same holds for any library that may crash, hang or
//! take all memory.

use std::error::Error;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::time::Duration;
use std::{env, panic};

use ostler_pool::{Pool, Program};

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1).as_deref() {
        Some("--worker") => Ok(worker()?),
        _ => host(),
    }
}

#[tokio::main]
async fn host() -> Result<(), Box<dyn Error>> {
    let worker = Program::new(env::current_exe()?).arg("--worker");
    let pool = Pool::builder(worker)
        .size(2)
        .call_timeout(Duration::from_secs(5))
        .build()?;
    for line in io::stdin().lock().lines() {
        match pool.call(line?).await {
            Ok(value) => println!("{}", String::from_utf8_lossy(&value)),
            Err(error) => match error.source() {
                Some(cause) => println!("{cause}"),
                None => println!("{error}"),
            },
        }
    }
    pool.shutdown().await;
    Ok(())
}

/// Serves the frame protocol of `PROTOCOL.md` until the host closes the input. Nothing else may
/// read stdin or write to stdout here.
fn worker() -> io::Result<()> {
    const HELLO: u8 = 1;
    const CALL: u8 = 2;
    const SHUTDOWN: u8 = 3;
    const PING: u8 = 4;
    const READY: u8 = 128;
    const REPLY: u8 = 129;
    const ERROR: u8 = 130;
    const PONG: u8 = 131;
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut head = [0; 9];
        match from.read_exact(&mut head) {
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let [l0, l1, l2, l3, kind, id @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes([l0, l1, l2, l3]) as usize - 5];
        from.read_exact(&mut body)?;
        let (kind, body) = match kind {
            HELLO => (READY, 1_u32.to_be_bytes().to_vec()),
            PING => (PONG, Vec::new()),
            SHUTDOWN => return Ok(()),
            CALL => match panic::catch_unwind(|| evaluate(&body)) {
                Ok(Ok(value)) => (REPLY, value.to_string().into_bytes()),
                Ok(Err(problem)) => (ERROR, texts(["SyntaxError", &problem, ""])),
                Err(_) => (ERROR, texts(["Panic", "see the log", ""])),
            },
            _ => (
                ERROR,
                texts(["Unsupported", "this worker takes calls only", ""]),
            ),
        };
        to.write_all(&(body.len() as u32 + 5).to_be_bytes())?;
        to.write_all(&[&[kind], &id[..], &body].concat())?;
        to.flush()?;
    }
}

/// Three texts: the type of an error, its message and its traceback.
fn texts(texts: [&str; 3]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    texts.map(text).concat()
}

/// The value of an arithmetic expression.
fn evaluate(text: &[u8]) -> Result<f64, String> {
    let mut rest: Vec<u8> = text.iter().rev().copied().filter(|c| *c != b' ').collect();
    let value = sum(&mut rest)?;
    match rest.last() {
        None => Ok(value),
        Some(c) => Err(format!("`{}` is not expected here", char::from(*c))),
    }
}

fn sum(rest: &mut Vec<u8>) -> Result<f64, String> {
    let mut value = product(rest)?;
    while let Some(operator @ (b'+' | b'-')) = rest.last().copied() {
        rest.pop();
        let other = product(rest)?;
        value += if operator == b'+' { other } else { -other };
    }
    Ok(value)
}

fn product(rest: &mut Vec<u8>) -> Result<f64, String> {
    let mut value = factor(rest)?;
    while let Some(operator @ (b'*' | b'/')) = rest.last().copied() {
        rest.pop();
        let other = factor(rest)?;
        value *= if operator == b'*' { other } else { 1.0 / other };
    }
    Ok(value)
}

fn factor(rest: &mut Vec<u8>) -> Result<f64, String> {
    match rest.pop() {
        // The depth of the recursion is the input's choice: this is what may overflow the stack.
        Some(b'(') => {
            let value = sum(rest)?;
            match rest.pop() {
                Some(b')') => Ok(value),
                _ => Err("a `)` is missing".to_owned()),
            }
        }
        Some(b'-') => Ok(-factor(rest)?),
        Some(digit) if digit.is_ascii_digit() => {
            let mut number = String::from(char::from(digit));
            while let Some(more) = rest.pop_if(|c| c.is_ascii_digit() || *c == b'.') {
                number.push(char::from(more));
            }
            number
                .parse()
                .map_err(|_| format!("`{number}` is not a number"))
        }
        Some(c) => Err(format!("`{}` is not expected here", char::from(c))),
        None => Err("the expression ends too early".to_owned()),
    }
}
