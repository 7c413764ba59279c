//! Compares the time of a call with the time of the bare pipes under it.
//!
//! The worker is a few lines of Python that echo every request. Blocking writes and reads on its
//! pipes alternate with calls through the pool. Compare the ratios of the medians: absolute times
//! depend on the machine.
//!
//! ```text
//! cargo bench --bench round_trip
//! taskset -c 0 cargo bench --bench round_trip     # host and worker on one CPU: least noise
//! ```

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ostler_pool::{Lease, Pool, Program, Python};
use tokio::runtime::Runtime;

const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
const ROUNDS: usize = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "time per call, median of {ROUNDS} rounds; ratios to blocking bare pipes in the same run\n"
    );
    println!(
        "{:>9}  {:>10}  {:>19}  {:>19}  {:>19}",
        "bytes", "bare pipes", "lease.call", "pool.call", "Python lease.call"
    );
    for (size, calls) in [(64, 1000), (4096, 1000), (65_536, 200), (1_048_576, 20)] {
        let request = vec![b'x'; size];
        let mut bare = BarePipes::open();
        let program = || Pool::builder(Program::new("python3").arg(ECHO)).size(1);
        let [mut lease, mut python_lease] = runtime.block_on(async {
            let echo = program()
                .build()
                .expect("a pool")
                .checkout()
                .await
                .expect("a lease");
            let target = Python::function("builtins:bytes");
            let python = Pool::builder(target).size(1).build().expect("a pool");
            [echo, python.checkout().await.expect("a lease")]
        });
        let pool = runtime.block_on(async { program().build().expect("a pool") });
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..=ROUNDS {
            let round_times = [
                time(calls, || bare.call(&request)),
                time(calls, || call(&runtime, &mut lease, &request)),
                time(calls, || {
                    runtime.block_on(pool.call(&request)).expect("a reply");
                }),
                time(calls, || call(&runtime, &mut python_lease, &request)),
            ];
            // The first round warms up.
            if round > 0 {
                times
                    .iter_mut()
                    .zip(round_times)
                    .for_each(|(times, time)| times.push(time));
            }
        }
        let [bare, lease, pool, python] = times.map(median);
        let with_ratio = |time: Duration| {
            format!(
                "{:7.1} us {:6.2}x",
                micros(time),
                time.as_secs_f64() / bare.as_secs_f64()
            )
        };
        println!(
            "{size:>9}  {:7.1} us  {:>19}  {:>19}  {:>19}",
            micros(bare),
            with_ratio(lease),
            with_ratio(pool),
            with_ratio(python)
        );
    }
}

fn call(runtime: &Runtime, lease: &mut Lease, request: &[u8]) {
    runtime.block_on(lease.call(request)).expect("a reply");
}

/// The mean time of one call, over `calls` calls.
fn time(calls: u32, mut call: impl FnMut()) -> Duration {
    let since = Instant::now();
    for _ in 0..calls {
        call();
    }
    since.elapsed() / calls
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    1e6 * time.as_secs_f64()
}

/// The same worker without the pool: blocking writes and reads on its pipes.
struct BarePipes {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    frame: Vec<u8>,
}

impl BarePipes {
    fn open() -> Self {
        let mut child = Command::new("python3")
            .arg(ECHO)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker can be started");
        let (stdin, stdout) = (
            child.stdin.take().expect("piped"),
            child.stdout.take().expect("piped"),
        );
        Self {
            child,
            stdin,
            stdout,
            frame: Vec::new(),
        }
    }

    fn call(&mut self, request: &[u8]) {
        let length = 5 + request.len() as u32;
        self.frame.clear();
        self.frame.extend_from_slice(&length.to_be_bytes());
        self.frame.extend_from_slice(&[2, 0, 0, 0, 1]);
        self.frame.extend_from_slice(request);
        self.stdin.write_all(&self.frame).expect("the worker reads");
        self.stdout
            .read_exact(&mut self.frame)
            .expect("the worker replies");
        assert_eq!(&self.frame[9..], request);
    }
}

impl Drop for BarePipes {
    fn drop(&mut self) {
        self.child.kill().expect("the worker can be killed");
        self.child.wait().expect("the worker can be reaped");
    }
}
