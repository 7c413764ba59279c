//! Does the service serve, shed load, survive a closed tab and a rolling restart, and stop?

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A running service.
struct Service {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    /// Starts it on a free port, with environment variables, and waits until it is ready.
    fn start(options: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_service"))
            .env("SERVICE_ADDRESS", "127.0.0.1:0")
            .envs(options.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        let service = Self {
            process,
            stdout,
            address,
        };
        service.until("it is ready", || service.get("/ready").0 == 200);
        service
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let since = Instant::now();
        while !holds() {
            assert!(since.elapsed() < Duration::from_secs(60), "never: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a request. The response is still to be read.
    fn send(&self, method: &str, path: &str, body: &str) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(stream)
    }

    /// The status and the whole response.
    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut response = String::new();
        self.send(method, path, body)?
            .read_to_string(&mut response)?;
        let status = response
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(response.clone()))?;
        Ok((status, response))
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "").unwrap()
    }

    /// The body of a response to JSON, which is JSON.
    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, response) = self.ask("POST", path, &body.to_string()).unwrap();
        let body = response.split("\r\n\r\n").nth(1).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn status(&self) -> Value {
        let (_, response) = self.get("/status");
        serde_json::from_str(response.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// Stops it with `SIGTERM`. It must exit with 0. Returns what it printed, and how long it took.
    fn stop(mut self) -> (String, Duration) {
        let since = Instant::now();
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let mut says = String::new();
        self.stdout.read_to_string(&mut says).unwrap();
        assert!(self.process.wait().unwrap().success(), "{says}");
        (says, since.elapsed())
    }
}

/// The page of the guide shows this service: each of its blocks is a part of it.
#[test]
fn the_page_shows_this_service() {
    let page = include_str!("../../../../docs/guide/web-service.md");
    let (code, options) = (
        include_str!("../src/main.rs"),
        include_str!("../service.toml"),
    );
    let mut blocks = 0;
    for (tag, whole) in [("```rust,ignore\n", code), ("```toml\n", options)] {
        for block in page.split(tag).skip(1) {
            let block = block.split("```").next().unwrap();
            assert!(
                whole.contains(block),
                "this is not in the service:\n{block}"
            );
            blocks += 1;
        }
    }
    assert_eq!(blocks, 9);
}

impl Drop for Service {
    /// A test that fails leaves no service behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Calls, sessions and streams reach the model, and errors say what they are.
#[test]
fn it_answers() {
    let service = Service::start(&[("SERVICE_POOL_SIZE", "2")]);
    let (status, scores) = service.post("/score", &json!([1, 3]));
    assert_eq!((status, scores), (200, json!([-1.0, 1.0])));

    for (name, values, expected) in [
        (
            "ada",
            json!([1, 3]),
            json!({ "count": 2, "mean": 2.0, "deviation": 1.0 }),
        ),
        (
            "bob",
            json!([5]),
            json!({ "count": 1, "mean": 5.0, "deviation": 0.0 }),
        ),
        (
            "ada",
            json!([2]),
            json!({ "count": 3, "mean": 2.0, "deviation": (2.0_f64 / 3.0).sqrt() }),
        ),
    ] {
        let (status, seen) = service.post(&format!("/sessions/{name}"), &values);
        assert_eq!((status, seen), (200, expected), "{name}");
    }
    assert_eq!(service.ask("DELETE", "/sessions/ada", "").unwrap().0, 204);
    // A new session of the same name finds nothing of the old one.
    let (_, seen) = service.post("/sessions/ada", &json!([7]));
    assert_eq!(seen["count"], 1, "{seen}");

    let (status, events) = service.get("/forecast?values=8,4&steps=3");
    let data: Vec<&str> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let expected = [(1, 5.0), (2, 5.5), (3, 5.75)]
        .map(|(step, value)| format!("{{\"step\":{step},\"value\":{value:?}}}"));
    assert_eq!(
        (status, data),
        (200, expected.each_ref().map(|line| &**line).to_vec())
    );

    let (status, body) = service.post("/score", &json!([]));
    let text = "the call on worker ";
    assert!(
        status == 422 && body["error"].as_str().unwrap().starts_with(text),
        "{body}"
    );
    let (status, _) = service.post("/score", &json!("no list"));
    assert_eq!(status, 422);
    let ready = r#"ostler_workers{pool="default",phase="ready"} 2"#;
    service.until("both workers are ready", || {
        let (status, metrics) = service.get("/metrics");
        status == 200 && metrics.contains(ready)
    });
    let (says, took) = service.stop();
    assert!(says.contains("pool shut down in"), "{says}");
    println!("stopped within {took:?}");
}

/// When every worker is busy, requests are refused with when to try again. A client that leaves in
/// the middle of a stream gives its worker back, the same process.
#[test]
fn a_closed_tab_costs_no_worker() {
    let service = Service::start(&[
        ("SERVICE_POOL_SIZE", "1"),
        ("SERVICE_POOL_CHECKOUT_TIMEOUT", "100ms"),
    ]);
    let pid = service.status()["workers"][0]["pid"].clone();
    let mut tab = service
        .send("GET", "/forecast?values=1,2&steps=100000000", "")
        .unwrap();
    tab.read_exact(&mut [0; 1000]).unwrap();
    let (status, response) = service.ask("POST", "/score", "[1]").unwrap();
    assert_eq!(status, 503, "{response}");
    assert!(response.contains("retry-after: 1\r\n"), "{response}");
    drop(tab);
    service.until("the worker is free", || {
        service.post("/score", &json!([1])).0 == 200
    });
    assert_eq!(service.status()["workers"][0]["pid"], pid);
    service.stop();
}

/// Under load, a rolling restart replaces every worker and fails no request, and `SIGTERM` ends the
/// service, whose session without a call does not hold it.
#[test]
fn it_restarts_and_stops_under_load() {
    let service = Service::start(&[("SERVICE_POOL_SIZE", "2")]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let replaced = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (status, scores) = service.post("/score", &json!([1, 3]));
                    assert_eq!((status, scores), (200, json!([-1.0, 1.0])));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let serves = |worker: &Value| worker["phase"] == "Ready" || worker["phase"] == "Busy";
        let serving = || {
            service.status()["workers"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|worker| serves(worker)).count())
        };
        service.until("both workers serve", || serving() == 2);
        let since = |count| served.load(Ordering::Relaxed) >= count;
        service.until("there is load", || since(50));
        let replaced = service.post("/restart", &Value::Null);
        let now = served.load(Ordering::Relaxed);
        service.until("the load goes on", || since(now + 50));
        stop.store(true, Ordering::Relaxed);
        replaced
    });
    assert_eq!(replaced, (200, json!({ "replaced": 2 })));
    assert_eq!(service.post("/sessions/idle", &json!([1])).0, 200);
    let (says, took) = service.stop();
    println!("stopped within {took:?}: {says}");
    // Far below the drain deadline: the idle session was not waited for.
    assert!(took < Duration::from_secs(8), "{took:?}");
}
