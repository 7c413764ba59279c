//! Does a signal to the host shut its pool down, and a second one cut that short?

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, time::Duration};

use ostler_pool::{CallError, CheckoutError, Pool, Reason, Rung};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use tracing::subscriber::set_global_default;

use crate::rig::hostile;
use crate::tracing::Log;

/// Set in the process that gets the signals.
const HOST: &str = "OSTLER_TEST_GETS_SIGNALS";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A test of this module that runs once more, as a host that is signalled.
struct Host {
    process: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn start(test: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([&format!("stop_signals::{test}"), "--exact", "--nocapture"])
            .env(HOST, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, says }
    }

    /// Waits until the host says this.
    fn says(&mut self, what: &str) {
        let mut lines = self.says.by_ref().map(Result::unwrap);
        assert!(lines.any(|line| line == what), "the host never said {what}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for the end of its test, which must pass.
    fn ends(mut self) {
        self.says.by_ref().for_each(drop);
        assert!(self.process.wait().unwrap().success());
    }
}

fn in_the_host(run: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(run);
}

/// O7: `SIGTERM` begins the shutdown of a pool; a session without a call holds it only for its
/// grace.
#[test]
fn sigterm_begins_a_shutdown() {
    if env::var_os(HOST).is_none() {
        let mut host = Host::start("sigterm_begins_a_shutdown");
        host.says("serves");
        host.signal(Signal::TERM);
        return host.ends();
    }
    in_the_host(async {
        let pool = hostile().size(2).shutdown_timeout(HOUR);
        let pool = pool.build().unwrap();
        let signals = pool.shutdown_on_signals().unwrap();
        let session = pool.session("idle").unwrap();
        session.call("pid").await.unwrap();
        println!("\nserves");
        signals.begun().await;
        assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
        let report = timeout(MINUTE, signals).await.expect("the grace is over");
        assert!(report.is_clean(), "{report}");
        assert!(
            report
                .workers
                .iter()
                .all(|end| end.reason == Reason::Shutdown),
            "{report}"
        );
    });
}

/// O7: a second signal kills the workers, whose grace would have been an hour. Each signal is a
/// line of the log that names the pool.
#[test]
fn a_second_signal_kills_the_workers() {
    if env::var_os(HOST).is_none() {
        let mut host = Host::start("a_second_signal_kills_the_workers");
        host.says("serves");
        host.signal(Signal::INT);
        host.says("shuts down");
        host.signal(Signal::TERM);
        return host.ends();
    }
    in_the_host(async {
        let log = Log::default();
        set_global_default(log.clone()).unwrap();
        let pool = hostile()
            .name("jobs")
            .size(1)
            .call_timeout(HOUR)
            .shutdown_timeout(HOUR)
            .build()
            .unwrap();
        let signals = pool.shutdown_on_signals().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        lease.call("immortal").await.unwrap();
        let call = tokio::spawn(async move { lease.call("sleep 3600").await });
        println!("\nserves");
        signals.begun().await;
        println!("shuts down");
        let report = signals.await;
        assert_eq!(report.workers[0].rung, Some(Rung::Kill), "{report}");
        match call.await.unwrap() {
            Err(CallError::Stopped {
                reason: Reason::Shutdown,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
        let mut lines = log.lines();
        lines.retain(|(line, _)| line.starts_with("ostler::pool SIG"));
        let [(first, of_first), (second, of_second)] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!(
            first,
            "ostler::pool SIGINT: the pool shuts down; another signal kills its workers"
        );
        assert_eq!(second, "ostler::pool SIGTERM: the pool kills its workers");
        assert_eq!(
            [of_first, of_second].map(|of| &of["pool"][..]),
            ["\"jobs\""; 2]
        );
    });
}

/// O7: both waits resolve when the pool ends without a signal, by a shutdown or by a drop.
#[tokio::test]
async fn a_pool_may_end_without_a_signal() {
    let ended = |end: fn(Pool)| async move {
        let pool = hostile().size(1).build().unwrap();
        let signals = pool.shutdown_on_signals().unwrap();
        let begun = signals.begun();
        pool.call("pid").await.unwrap();
        end(pool);
        begun.await;
        let report = signals.await;
        assert_eq!((report.counters.calls, report.workers.len()), (1, 1));
    };
    ended(|pool| drop(pool.shutdown())).await;
    ended(drop).await;
}
