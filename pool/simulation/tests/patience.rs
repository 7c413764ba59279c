//! Futures that are dropped before they resolve.

use ostler_pool::rt::simulated::wait;
use shuttle::future::{spawn, yield_now};
use tokio::select;
use tokio::sync::oneshot;

use crate::plan::Patience;

/// Drops the future if it is still pending when patience ends. The future is polled only when it is
/// woken.
pub(crate) async fn patient<T>(
    patience: Option<Patience>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let Some(patience) = patience else {
        return Some(future.await);
    };
    let (over_sender, over) = oneshot::channel();
    drop(spawn(async move {
        match patience {
            Patience::Time(time) => wait(time).await,
            Patience::Turns(turns) => {
                for _ in 0..turns {
                    yield_now().await;
                }
            }
        }
        let _ = over_sender.send(());
    }));
    select! {
        biased;
        // Polled first: in the other order, a lease granted at the last moment would never be
        // dropped.
        _ = over => None,
        outcome = future => Some(outcome),
    }
}
