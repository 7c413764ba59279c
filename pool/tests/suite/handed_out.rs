//! Is a worker that broke the protocol while it was idle ever handed out?

use ostler_pool::{CheckoutError, Fault, Pool, Reason, SessionError};

use crate::puppets::Puppets;
use crate::rig::until;

/// A pool of two idle workers. A test then writes as the first one, whose task has not run yet.
async fn with_two_idle_workers() -> (Pool, Puppets) {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    assert_eq!(pool.call(b"good").await.unwrap(), b"good");
    (pool, puppets)
}

async fn is_replaced(pool: &Pool, puppets: &Puppets) {
    until(pool, |status| {
        (status.serving(), status.counters.faulted) == (2, 1)
    })
    .await;
    assert_eq!(puppets.opened(), 3);
    let report = pool.shutdown().await;
    assert_eq!((report.counters.exited, report.unreleased), (0, vec![]));
}

/// C6: a client that comes before the worker's task has seen the bytes gets another worker.
#[tokio::test(start_paused = true)]
async fn a_checkout_gets_another_worker() {
    let (pool, puppets) = with_two_idle_workers().await;
    puppets.write(0, b"?");
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    is_replaced(&pool, &puppets).await;
}

/// C6: so does a client that does not wait.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_gets_another_worker() {
    let (pool, puppets) = with_two_idle_workers().await;
    puppets.write(0, b"?");
    let mut lease = pool.try_checkout().unwrap();
    assert_eq!(lease.worker().slot, 1);
    assert_eq!(lease.call(b"next").await.unwrap(), b"next");
    drop(lease);
    is_replaced(&pool, &puppets).await;
}

/// C6: with no other worker, `try_checkout` returns `NoneIdle`.
#[tokio::test(start_paused = true)]
async fn a_broken_worker_is_not_idle() {
    let (pool, puppets) = with_two_idle_workers().await;
    let good = [
        pool.checkout().await.unwrap(),
        pool.checkout().await.unwrap(),
    ];
    let [broken, other] = good;
    drop(broken);
    puppets.write(0, b"?");
    assert!(matches!(
        pool.try_checkout(),
        Err(CheckoutError::NoneIdle { .. })
    ));
    drop(other);
    is_replaced(&pool, &puppets).await;
}

/// C6: the session of a worker that broke the protocol is lost. It does not move.
#[tokio::test(start_paused = true)]
async fn a_session_is_lost() {
    let (pool, puppets) = with_two_idle_workers().await;
    let session = pool.session("kept").unwrap();
    session.call(b"first").await.unwrap();
    let home = session.worker().unwrap().slot;
    puppets.write(home, b"?");
    match session.checkout().await {
        Err(SessionError::Lost { reason }) => {
            assert_eq!(reason, Reason::Fault(Fault::ProtocolBroken));
        }
        other => panic!("{other:?}"),
    }
    is_replaced(&pool, &puppets).await;
}

/// A lease shows the process id of its worker until the worker is released, and never that of
/// another.
#[tokio::test(start_paused = true)]
async fn a_lease_shows_its_own_process() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
    let lease = pool.checkout().await.unwrap();
    assert_eq!(lease.pid(), Some(1000));
    puppets.exit(0, 1);
    until(&pool, |status| {
        (status.serving(), status.counters.released) == (1, 1)
    })
    .await;
    assert_eq!((puppets.opened(), lease.pid()), (2, None));
    drop(lease);
    assert!(pool.shutdown().await.is_clean());
}
