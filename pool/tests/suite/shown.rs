//! What do statuses and reports say, word for word?

use std::time::Duration;

use ostler_pool::port::Release;
use ostler_pool::{
    ExitStatus, Fault, Limit, Phase, Pool, PoolStatus, Reason, Rung, ShutdownReport,
    SurvivalReason, Survivor,
};

use crate::puppets::Puppets;
use crate::rig::until;

/// A pool of two that serves.
async fn pool() -> (Puppets, Pool) {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    (puppets, pool)
}

/// A status of two workers, one of them leased, each in its phase for 7.9 s.
async fn status() -> PoolStatus {
    let (_puppets, pool) = pool().await;
    let lease = pool.checkout().await.unwrap();
    let mut status = pool.status();
    drop(lease);
    pool.shutdown().await;
    for worker in &mut status.workers {
        worker.in_phase = Duration::from_millis(7900);
    }
    status
}

/// The report of a pool whose two workers did what they were asked.
async fn report() -> ShutdownReport {
    let (_puppets, pool) = pool().await;
    let mut report = pool.shutdown().await;
    report.workers.sort_by_key(|end| end.worker.slot);
    for end in &mut report.workers {
        end.age = Duration::from_millis(7900);
    }
    report
}

/// A status counts its workers by phase, and has a line for each, with what is known and no more.
#[tokio::test(start_paused = true)]
async fn a_status_is_a_line_for_each_worker() {
    let mut status = status().await;
    assert_eq!(status.serving(), 2);
    let occupancy = status.occupancy();
    assert_eq!(
        (occupancy.ready, occupancy.busy, occupancy.waiting),
        (1, 1, 0)
    );
    assert_eq!(
        status.to_string(),
        "pool of 2: workers: 0 initializing, 1 ready, 1 busy, 0 draining; 0 clients waiting, 0 sessions\n\
         \x20 worker 0.1      pid 1000     busy          for    7 s,      0 calls\n\
         \x20 worker 1.1      pid 1001     ready         for    7 s,      0 calls\n"
    );
    status.draining = true;
    (status.waiting, status.sessions) = (4, 3);
    let [first, second] = &mut status.workers[..] else {
        panic!("there are two");
    };
    (first.phase, first.pid, first.calls) = (Phase::Initializing, None, 12);
    (first.memory, first.sessions, first.misses) = (Some((5 << 20) + 1), 3, 1);
    first.replacing = Some(Reason::Recycled);
    second.phase = Phase::Stopping;
    second.reason = Some(Reason::Fault(Fault::TimedOut));
    second.replacing = Some(Reason::Recycled);
    assert_eq!((status.serving(), status.occupancy().waiting), (0, 4));
    assert_eq!(
        status.to_string(),
        "pool of 2, draining: workers: 1 initializing, 0 ready, 0 busy, 1 draining; 4 clients waiting, 3 sessions\n\
         \x20 worker 0.1      pid -        initializing  for    7 s,     12 calls,     5 MiB, 3 sessions, 1 missed health check  (to be replaced: it was recycled)\n\
         \x20 worker 1.1      pid 1001     draining      for    7 s,      0 calls  (a call on it timed out)\n"
    );
}

/// A report says when the pool had drained and stopped, what was counted, and how each worker
/// ended.
#[tokio::test(start_paused = true)]
async fn a_report_is_a_line_for_each_end() {
    let mut report = report().await;
    (report.took, report.drained_in) = (Duration::from_millis(3500), Duration::from_millis(1250));
    let counted = "  workers: 2 opened, 2 started, 2 released, 0 abandoned; 0 exited by themselves, 0 stopped during a call, 0 recycled\n\
                   \x20 leases:  0 granted, 0 refused, 0 given up; 0 calls answered; 0 health checks, 0 missed\n";
    let head = format!("pool shut down in 3.500 s: 1.250 s to drain, 2.250 s to stop\n{counted}");
    assert_eq!(
        report.to_string(),
        format!(
            "{head}  worker 0.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 7.9 s\n  \
             worker 1.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 7.9 s\n"
        )
    );
    report.workers[1].confirmed = Some(true);
    assert!(!report.to_string().contains("kernel"));
    report.workers[0].confirmed = Some(false);
    report.workers.pop();
    report.unreleased = vec![report.workers[0].worker];
    assert_eq!(
        report.to_string(),
        format!(
            "{head}  worker 0.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 7.9 s\n  \
             1 worker had processes outside their control groups: the kernel could not confirm their end\n  \
             worker 0.1 was NOT released within `shutdown_timeout`\n"
        )
    );
}

/// The end of a worker says what was done to it and how it exited. The exit code of a worker that
/// was stopped before it was ready is left out.
#[tokio::test(start_paused = true)]
async fn an_end_says_what_was_done() {
    let mut end = report().await.workers.remove(0);
    let code = Some(ExitStatus::Code(1));
    let [term, kill] = [15, 9].map(|signal| Some(ExitStatus::Signal(signal)));
    for (phase, rung, status, said) in [
        (Phase::Ready, None, code, "exit code 1"),
        (
            Phase::Ready,
            None,
            kill,
            "signal 9 (SIGKILL), possibly out of memory",
        ),
        (
            Phase::Ready,
            Some(Rung::Ask),
            code,
            "asked to exit, exit code 1",
        ),
        (Phase::Busy, Some(Rung::Term), code, "SIGTERM, exit code 1"),
        (Phase::Busy, Some(Rung::Term), term, "SIGTERM"),
        (Phase::Busy, Some(Rung::Kill), kill, "SIGKILL"),
        (
            Phase::Busy,
            Some(Rung::Kill),
            term,
            "SIGKILL, signal 15 (SIGTERM)",
        ),
        (
            Phase::Busy,
            Some(Rung::Reap),
            kill,
            "reaped, signal 9 (SIGKILL)",
        ),
        (Phase::Busy, Some(Rung::Kill), None, "no exit status"),
        (Phase::Initializing, None, code, "exit code 1"),
        (
            Phase::Initializing,
            Some(Rung::Kill),
            code,
            "was starting, SIGKILL",
        ),
    ] {
        (end.phase, end.rung, end.status) = (phase, rung, status);
        assert_eq!(
            end.to_string(),
            format!("worker 0.1 ended: pool shut down; {said}; 0 calls; 7.9 s")
        );
    }
    (end.pid, end.status, end.calls) = (None, None, 1);
    (end.escaped, end.unchecked) = (2, 3);
    assert_eq!(
        end.to_string(),
        "worker 0.1 ended: pool shut down; no process; 1 call; 7.9 s; \
         2 escaped processes killed; 3 processes could not be checked"
    );
}

/// The end of a worker says why it left with what is known about it, and the last line of its
/// stderr unless the pool chose the moment.
#[tokio::test(start_paused = true)]
async fn an_end_says_why() {
    let mut end = report().await.workers.remove(0);
    (end.rung, end.stderr) = (None, "  File\nKeyError: 'absent'\n\n".to_owned());
    let last = "; last stderr: KeyError: 'absent'";
    for (reason, detail, said, last) in [
        (Reason::StartFailed, Some("no"), "start failed: no", last),
        (
            Reason::StartTimedOut,
            Some("after 30 s"),
            "start timed out after 30 s",
            last,
        ),
        (Reason::Exited, None, "exited by itself", last),
        (
            Reason::Fault(Fault::Abandoned),
            None,
            "call abandoned",
            last,
        ),
        (
            Reason::Fault(Fault::TimedOut),
            Some("after 200 ms"),
            "call timed out after 200 ms",
            last,
        ),
        (
            Reason::Fault(Fault::ProtocolBroken),
            Some("how"),
            "broke the protocol: how",
            last,
        ),
        (
            Reason::Unhealthy,
            Some("no disk"),
            "failed its health checks: no disk",
            last,
        ),
        (
            Reason::Limit(Limit::Errors),
            None,
            "reached `error_threshold`",
            last,
        ),
        (
            Reason::Limit(Limit::Age),
            None,
            "reached `max_worker_age`",
            "",
        ),
        (
            Reason::Limit(Limit::Requests),
            None,
            "reached `max_worker_requests`",
            "",
        ),
        (
            Reason::Limit(Limit::Memory),
            None,
            "reached `max_worker_memory`",
            "",
        ),
        (Reason::Recycled, None, "recycled", ""),
        (Reason::Surplus, None, "more workers than `size`", ""),
        (Reason::Shutdown, None, "pool shut down", ""),
    ] {
        (end.reason, end.detail) = (reason, detail.map(str::to_owned));
        assert_eq!(
            end.to_string(),
            format!("worker 0.1 ended: {said}; exit code 0; 0 calls; 7.9 s{last}")
        );
    }
}

/// A status shows how the last five workers ended, each in the line of the log.
#[tokio::test(start_paused = true)]
async fn a_status_shows_recent_ends() {
    let mut status = status().await;
    let mut end = report().await.workers.remove(0);
    for slot in 0..7 {
        (end.worker.slot, end.ago) = (slot, Duration::from_secs(60 - slot as u64));
        status.recent_ends.push(end.clone());
    }
    let text = status.to_string();
    let lines: Vec<&str> = text.lines().skip(3).collect();
    let expected = (2..7).map(|slot| {
        let ago = 60 - slot;
        format!(
            "  {ago} s ago: worker {slot}.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 7.9 s"
        )
    });
    assert_eq!(lines, expected.collect::<Vec<_>>());
}

/// What a release found is in the report, worker by worker.
#[tokio::test(start_paused = true)]
async fn a_report_has_what_a_release_found() {
    let (puppets, pool) = pool().await;
    puppets.will_find(0, Release::new(2, Some(false)).with_unchecked(3));
    puppets.will_find(1, Release::new(0, Some(true)));
    let mut report = pool.shutdown().await;
    report.workers.sort_by_key(|end| end.worker.slot);
    let found: Vec<_> = (report.workers.iter())
        .map(|end| (end.escaped, end.confirmed, end.unchecked))
        .collect();
    assert_eq!(found, [(2, Some(false), 3), (0, Some(true), 0)]);
}

/// An abandoned port has its process id, its age and each of its survivors, and a report with one
/// is not clean.
#[tokio::test(start_paused = true)]
async fn an_abandoned_port_names_its_survivors() {
    let (puppets, pool) = pool().await;
    puppets.keep_ports();
    pool.recycle(pool.status().workers[0].worker);
    until(&pool, |status| {
        status.counters.released == 1 && status.serving() == 2
    })
    .await;
    puppets.exit(2, 1);
    until(&pool, |status| status.abandoned.len() == 1).await;
    let mut report = pool.shutdown().await;
    assert!(report.unreleased.is_empty() && !report.is_clean());
    let port = &mut report.abandoned[0];
    (port.ago, port.pid) = (Duration::from_millis(7900), None);
    let name = port.worker.to_string();
    let said = format!("worker {name:8} pid -        abandoned 7 s ago");
    assert_eq!(port.to_string(), said);
    port.pid = Some(1002);
    let said = format!("worker {name:8} pid 1002     abandoned 7 s ago");
    port.survivors = vec![Survivor::new(7, SurvivalReason::Traced)];
    assert_eq!(
        port.to_string(),
        format!("{said}: process 7: held by a tracer")
    );
    port.survivors
        .push(Survivor::new(8, SurvivalReason::NotPermitted));
    let said = format!("{said}: process 7: held by a tracer; process 8: may not be signalled");
    assert_eq!(port.to_string(), said);
    assert!(report.to_string().contains(&format!("\n  {said}\n")));
    report.unreleased = vec![report.abandoned[0].worker];
    report.abandoned.clear();
    assert!(!report.is_clean());
    report.unreleased.clear();
    assert!(report.is_clean());
    puppets.release(2);
    puppets.release(3);
}
