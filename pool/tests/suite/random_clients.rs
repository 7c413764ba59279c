//! Is the pool whole after whatever its clients do, and whatever its workers are like?

use futures_util::future::join_all;
use ostler_pool::Pool;
use ostler_pool::testing::strategies::{Action, actions, scripts};
use ostler_pool::testing::{Script, Sim};
use proptest::prelude::*;

/// Three clients at once, and then one who finds everything in order.
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

    /// L1, L4, C1: three clients who call, cancel, keep sessions, recycle, resize and drain, with workers that fail in every way: the
    /// pool comes back to its size, answers rightly, and leaves nothing.
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
        // Workers that are never well would be replaced for ever.
        let sim = Sim::new(scripts.into_iter().chain([Script::Good; 4]));
        runtime.block_on(run_clients(&sim, clients));
    }
}
