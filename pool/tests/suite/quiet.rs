//! Does a call cost no more system calls than its request and its reply, and an idle worker no
//! memory?

use std::fs;
use std::time::Duration;

use ostler_pool::{Pool, Program};
use tokio::runtime;

use crate::resources::isolated;
use crate::rig::interpreter;

const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");

/// The `read` and `write` calls of this thread so far, also those that found nothing.
fn reads_and_writes() -> (u64, u64) {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    let count = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    (count("syscr:"), count("syscw:"))
}

/// C6: watching the pipe between calls costs no system call, on one lease or with a checkout for
/// each call.
#[test]
fn a_call_reads_once_and_writes_once() {
    if !isolated("quiet::a_call_reads_once_and_writes_once") {
        return;
    }
    const CALLS: u64 = 1000;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = Pool::builder(Program::new(interpreter()).arg(ECHO))
            .size(1)
            .health_check_interval(Duration::from_secs(3600))
            .build()
            .unwrap();
        let mut lease = pool.checkout().await.unwrap();
        lease.call([b'x'; 64]).await.unwrap();
        let before = reads_and_writes();
        for _ in 0..CALLS {
            lease.call([b'x'; 64]).await.unwrap();
        }
        drop(lease);
        for _ in 0..CALLS {
            pool.call([b'x'; 64]).await.unwrap();
        }
        let after = reads_and_writes();
        pool.shutdown().await;
        // The file with the counts is read, too.
        let reads = after.0 - before.0;
        assert!(
            (2 * CALLS..2 * CALLS + 10).contains(&reads),
            "{reads} reads"
        );
        let writes = after.1 - before.1;
        assert!(
            (2 * CALLS..2 * CALLS + 10).contains(&writes),
            "{writes} writes"
        );
    });
}

/// The resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    kib / 1024
}

/// M1: after large calls, the idle host is as small as before.
#[test]
fn large_calls_leave_no_memory_behind() {
    if !isolated("quiet::large_calls_leave_no_memory_behind") {
        return;
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = Pool::builder(Program::new(interpreter()).arg(ECHO))
            .size(4)
            .call_timeout(Duration::from_secs(600))
            .build()
            .unwrap();
        let call = async |size: usize| {
            let mut leases = Vec::new();
            for _ in 0..4 {
                leases.push(pool.checkout().await.unwrap());
            }
            for mut lease in leases {
                assert_eq!(lease.call(vec![7; size]).await.unwrap().len(), size);
            }
        };
        call(64).await;
        let before = resident();
        call(40 << 20).await;
        let grown = resident().saturating_sub(before);
        assert!(grown < 20, "{grown} MiB");
        pool.shutdown().await;
    });
}
