//! Does the pool still work after random clients used random workers?

use futures_util::future::join_all;
use ostler_pool::Pool;
use ostler_pool::testing::strategies::{Action, actions, scripts};
use ostler_pool::testing::{Script, Sim};
use proptest::prelude::*;

/// Runs three clients at once. Then the pool must be back at its size and answer a call.
async fn run_clients(sim: &Sim, clients: Vec<Vec<Action>>) {
    let pool = Pool::builder(sim.clone()).size(2).build().unwrap();
    join_all(clients.into_iter().map(async |acts| {
        for act in acts {
            act.perform(&pool).await;
        }
    }))
    .await;
    pool.resume();
    pool.resize(2).unwrap();
    crate::rig::until(&pool, |status| status.serving() == 2 && status.waiting == 0).await;
    assert_eq!(pool.call(b"whole").await.unwrap(), b"whole");
    crate::rig::end(&pool, sim).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// L1, L4, C1: three clients call, cancel, keep sessions, recycle, resize and drain, and
    /// workers fail in every way. The pool returns to its size, answers with the right reply, and
    /// leaks nothing.
    #[test]
    fn random_clients_leave_a_working_pool(
        scripts in scripts(6),
        clients in prop::collection::vec(actions(25), 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        // Good workers follow, because workers that never start would be replaced for ever.
        let sim = Sim::new(scripts.into_iter().chain([Script::Good; 4]));
        runtime.block_on(run_clients(&sim, clients));
    }
}
