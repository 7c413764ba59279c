//! Are large requests and replies shared with the worker, and does no caller see another's bytes?

use std::fs;
use std::time::Duration;

use ostler_pool::{BuildError, Builder, CallError, ExitStatus, Pool, Program, Python, Resource};
use rustix::process::{Resource as Limited, Rlimit, setrlimit};

use crate::resources::{is_alive, isolated, leaks_nothing, modules, until};

const AREA: usize = 1 << 20;

fn python(target: &str) -> Python {
    Python::function(target)
        .path(modules())
        .shared_memory(AREA as u64)
}

fn pool(python: Python) -> Builder {
    Pool::builder(python).size(1).max_worker_requests(None)
}

/// A request that begins with this line.
fn request(verb: &str, size: usize) -> Vec<u8> {
    let mut request = format!("{verb}\n").into_bytes();
    let start = request.len();
    request.resize(size, 0);
    for (at, byte) in request[start..].iter_mut().enumerate() {
        *byte = (at ^ at >> 8).to_le_bytes()[0];
    }
    request
}

/// Runs the function `verb` on a large request.
async fn run(pool: &Pool, verb: &str) -> String {
    String::from_utf8(pool.call(request(verb, AREA)).await.unwrap()).unwrap()
}

/// R28: requests and replies of any size come back unchanged, in any form that a function may
/// return. Those of 64 KiB up to the limit are shared.
#[tokio::test]
async fn bodies_of_every_size_come_back() {
    for python in [python("shared:run"), python("shared:run").zygote()] {
        let pool = pool(python).build().unwrap();
        const LEAST: usize = 64 << 10;
        for (size, place) in [
            (20, "bytes"),
            (LEAST - 1, "bytes"),
            (LEAST, "mmap"),
            (AREA, "mmap"),
            (AREA + 1, "bytes"),
            (3 * AREA, "bytes"),
        ] {
            assert_eq!(
                pool.call(request("where", size)).await.unwrap(),
                place.as_bytes(),
                "{size}"
            );
            let sent = request("copy", size);
            assert!(pool.call(&sent).await.unwrap() == sent, "{size}");
            let sent = request("whole", size);
            assert!(pool.call(&sent).await.unwrap() == sent, "{size}");
            let sent = request("part", size);
            assert!(pool.call(&sent).await.unwrap() == sent[1..], "{size}");
            let sent = request("every_second", size);
            let every_second: Vec<u8> = sent.iter().copied().step_by(2).collect();
            assert!(pool.call(&sent).await.unwrap() == every_second, "{size}");
            let sent = request("numbers", size);
            assert!(
                pool.call(&sent).await.unwrap() == sent[..size / 4 * 4],
                "{size}"
            );
        }
        pool.shutdown().await;
    }
}

/// R29: what a function keeps of a request does not change, and later requests are shared again
/// once it keeps nothing.
#[tokio::test]
async fn what_a_function_keeps_does_not_change() {
    let pool = pool(python("shared:run")).build().unwrap();
    let kept = request("keep", AREA);
    assert_eq!(pool.call(&kept).await.unwrap(), b"mmap");
    assert_eq!(run(&pool, "where").await, "bytes");
    assert_eq!(run(&pool, "keep").await, "bytes");
    assert!(pool.call(request("show", AREA)).await.unwrap() == kept[1..]);
    assert_eq!(run(&pool, "forget").await, "bytes");
    assert_eq!(run(&pool, "where").await, "mmap");
    pool.shutdown().await;
}

/// R29: an exception lets go of its request. One that is part of a cycle does so when it is
/// collected.
#[tokio::test]
async fn an_exception_lets_go_of_its_request() {
    let pool = pool(python("shared:run")).build().unwrap();
    for (verb, place) in [("refuse", "mmap"), ("refuse_in_a_cycle", "bytes")] {
        match pool.call(request(verb, AREA)).await {
            Err(CallError::Raised { source, .. }) => assert_eq!(source.message, "114", "{source}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(run(&pool, "where").await, place, "{verb}");
    }
    assert_eq!(run(&pool, "collect").await, "bytes");
    assert_eq!(run(&pool, "where").await, "mmap");
    pool.shutdown().await;
}

/// R28: streams, batches and JSON work the same with shared memory.
#[tokio::test]
async fn streams_batches_and_json_work_with_shared_memory() {
    let large = request("parts", AREA);
    let bytes = pool(python("shared:run")).build().unwrap();
    let mut lease = bytes.checkout().await.unwrap();
    let mut stream = lease.stream(&large).unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), b"bytes");
    assert!(stream.next().await.unwrap().unwrap() == large);
    assert!(stream.next().await.is_none());
    drop(stream);
    let (small, large) = (request("whole", 100), request("whole", AREA));
    let replies = lease.call_many(&[&small, &small, &large, &small]).await;
    let replies: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
    assert!(replies == [&small[..], &small, &large, &small]);
    drop(lease);
    bytes.shutdown().await;
    let json = pool(python("builtins:sorted").json()).build().unwrap();
    let numbers: Vec<u32> = (0..100_000).rev().collect();
    let sorted: Vec<u32> = json.call_json(&numbers).await.unwrap();
    assert!(sorted.into_iter().rev().eq(numbers));
    json.shutdown().await;
}

/// R28: a worker that is cancelled in the middle of a request in shared memory is kept, and one
/// that exits costs one call.
#[tokio::test]
async fn a_call_may_end_early() {
    let pool = pool(python("shared:run")).abandoned_calls(crate::cancel(Duration::from_secs(30)));
    let pool = pool.build().unwrap();
    let pid = pool.checkout().await.unwrap().pid();
    let spins = pool.request(request("spin", AREA));
    let spins = spins.call_timeout(Duration::from_millis(300)).send().await;
    assert!(
        matches!(
            spins,
            Err(CallError::TimedOut {
                request_written: true,
                ..
            })
        ),
        "{spins:?}"
    );
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.pid(), pid);
    assert_eq!(lease.call(request("where", AREA)).await.unwrap(), b"mmap");
    match lease.call(request("exit", AREA)).await {
        Err(CallError::WorkerExited {
            exit,
            request_written: true,
            ..
        }) => {
            assert_eq!(exit.status, ExitStatus::Code(3));
        }
        other => panic!("{other:?}"),
    }
    drop(lease);
    assert_eq!(run(&pool, "where").await, "mmap");
    pool.shutdown().await;
}

/// Y1: a process that a function forked answers no call, and writes to no reply.
#[tokio::test]
async fn a_forked_copy_has_no_part_in_a_call() {
    let pool = pool(python("shared:run")).build().unwrap();
    let reply = pool.call(request("fork", AREA)).await.unwrap();
    assert!(reply == vec![b'f'; 1 << 20], "{:?}", reply.get(..10));
    pool.shutdown().await;
}

/// R28: a worker that cannot map the memory says so in the log and uses the pipe.
#[tokio::test]
async fn a_worker_without_room_uses_the_pipe() {
    let interpreter = Program::new("python3").limit(Resource::AddressSpace, 1 << 30);
    let python = python("shared:run").shared_memory(1 << 30);
    let pool = pool(python.interpreter(interpreter)).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let sent = request("whole", AREA);
    assert!(lease.call(&sent).await.unwrap() == sent);
    assert_eq!(lease.call(request("where", AREA)).await.unwrap(), b"bytes");
    match lease.call(request("exit", AREA)).await {
        Err(CallError::WorkerExited { exit, .. }) => assert_eq!(
            exit.stderr,
            "ostler worker: no shared memory, all frames use the pipe: [Errno 12] Cannot allocate \
             memory\n"
        ),
        other => panic!("{other:?}"),
    }
    drop(lease);
    pool.shutdown().await;
}

/// The shared memories of this process: the descriptors of them.
fn memories() -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains("memfd:ostler"))
        .count()
}

/// P5: a worker's shared memory goes with it, however it ends, also with its zygote's death. A
/// worker has no descriptor of it.
#[test]
fn shared_memory_goes_with_its_worker() {
    if !isolated("shared::shared_memory_goes_with_its_worker") {
        return;
    }
    leaks_nothing(async || {
        for has_zygote in [false, true] {
            let python = python("shared:run");
            let python = if has_zygote { python.zygote() } else { python };
            let pool = pool(python).size(2).build().unwrap();
            let (mut lease, other) = (
                pool.checkout().await.unwrap(),
                pool.checkout().await.unwrap(),
            );
            assert_eq!(memories(), 2);
            drop(other);
            let pid = lease.pid().unwrap();
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            for entry in descriptors {
                let link = fs::read_link(entry.path()).unwrap();
                assert!(!link.to_string_lossy().contains("memfd"), "{link:?}");
            }
            let killed = lease.call(request("exit", AREA)).await;
            assert!(
                matches!(killed, Err(CallError::WorkerExited { .. })),
                "{killed:?}"
            );
            drop(lease);
            until("the worker is gone", || !is_alive(pid));
            let mut lease = pool.checkout().await.unwrap();
            let sent = request("spin", AREA);
            let spin = lease.call(&sent);
            assert!(
                tokio::time::timeout(Duration::from_millis(1), spin)
                    .await
                    .is_err()
            );
            drop(lease);
            assert_eq!(run(&pool, "where").await, "mmap");
            if has_zygote {
                assert_eq!(run(&pool, "kill_parent").await, "mmap");
            }
            assert_eq!(run(&pool, "where").await, "mmap");
            pool.shutdown().await;
            assert_eq!(memories(), 0);
        }
    });
}

/// L20: a limit below 64 KiB or above 4 GiB is refused.
#[tokio::test]
async fn a_limit_is_checked() {
    for (limit, is_allowed) in [
        ((64 << 10) - 1, false),
        (64 << 10, true),
        (1 << 32, true),
        ((1 << 32) + 1, false),
    ] {
        let built = pool(python("shared:run").shared_memory(limit)).build();
        match (built, is_allowed) {
            (Ok(pool), true) => drop(pool.shutdown().await),
            (Err(error @ BuildError::Program(_)), false) => assert_eq!(
                error.to_string(),
                format!(
                    "option `shared_memory` of the program is {limit} bytes: it must be 65536 to \
                     4294967296 bytes"
                )
            ),
            (other, _) => panic!("{limit}: {other:?}"),
        }
    }
}

/// R28: a host whose files may not be that large gets an error, not the signal `SIGXFSZ`.
#[test]
fn a_limit_of_file_sizes_is_an_error() {
    if !isolated("shared::a_limit_of_file_sizes_is_an_error") {
        return;
    }
    leaks_nothing(async || {
        let (current, maximum) = (Some(2 * AREA as u64), None);
        setrlimit(Limited::Fsize, Rlimit { current, maximum }).unwrap();
        let pool = pool(python("shared:run")).build().unwrap();
        let error = pool.checkout().await.unwrap_err().report().to_string();
        assert!(error.contains("File too large"), "{error}");
        pool.shutdown().await;
    });
}
