//! Is a worker that breaks the protocol while it is idle found at once, and reported once?
//!
//! The real driver on workers in memory: see `puppets` and `ostler_pool::testing::Sim`.

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, Pool, ProtocolError};
use tokio::time::sleep;

use crate::callbacks::resolves;
use crate::puppets::{Puppets, kind};
use crate::rig::{end, pool, until};

/// C6: a worker that has answered a health check is watched as before. What it sends then is found
/// before the next check.
#[tokio::test(start_paused = true)]
async fn a_worker_is_watched_after_a_health_check() {
    let puppets = Puppets::default();
    let builder = Pool::builder(puppets.clone()).size(1).max_worker_age(None);
    let pool = builder.build().unwrap();
    until(&pool, |status| {
        let mut workers = status.workers.iter();
        workers.any(|worker| worker.last_probe.is_some())
    })
    .await;
    puppets.write(0, b"?");
    // The next check is half a minute away.
    sleep(Duration::from_secs(1)).await;
    let counters = pool.status().counters;
    assert_eq!((counters.probes, counters.faulted), (1, 1));
    pool.shutdown().await;
}

/// A worker that breaks the protocol and takes its time to end is reported once by its task, which
/// waits for the end and does not find the same bytes again.
#[test]
fn a_breach_is_reported_once() {
    resolves(async || {
        let sim = Sim::new([Script::IgnoresStop]);
        let pool = pool(&sim, 1).build().unwrap();
        assert_eq!(pool.call(b"twice").await.unwrap(), b"once");
        until(&pool, |status| status.counters.released == 1).await;
        let counters = pool.status().counters;
        // The lease of the call found the bytes first, so the task's report is stale.
        assert_eq!((counters.faulted, counters.stale), (1, 1));
        end(&pool, &sim).await;
    });
}

/// C6: a call on a worker that has sent something since the last one fails, sends nothing, and ends
/// the lease and the worker, although the client keeps the lease.
#[tokio::test(start_paused = true)]
async fn a_call_on_a_broken_worker_ends_its_lease() {
    let puppets = Puppets::default();
    let builder = Pool::builder(puppets.clone()).size(1).max_frame(1024);
    let pool = builder.build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    puppets.write(0, b"?");
    let error = lease.call(b"first").await.unwrap_err();
    assert!(!error.request_written());
    let CallError::Protocol { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source, ProtocolError::Unsolicited);
    assert_eq!(pool.status().counters.faulted, 1);
    // Whatever the next request is.
    for request in [b"second".as_slice(), &[0; 2048]] {
        let over = lease.call(request).await;
        assert!(matches!(over, Err(CallError::LeaseOver { .. })), "{over:?}");
    }
    until(&pool, |status| status.counters.released == 1).await;
    assert_eq!(puppets.kinds(0), [kind::HELLO]);
    drop(lease);
    pool.shutdown().await;
}
