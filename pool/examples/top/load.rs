//! The demo load: clients that make one call after another.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ostler_pool::Pool;
use serde_json::json;
use tokio::task::JoinHandle;

/// The clients, and how long their calls took. They end with it.
#[derive(Debug)]
pub(crate) struct Load {
    pool: Pool,
    clients: Mutex<Vec<JoinHandle<()>>>,
    latencies: Arc<Mutex<Vec<Duration>>>,
}

impl Load {
    pub(crate) fn start(pool: &Pool, clients: usize) -> Self {
        let load = Self {
            pool: pool.clone(),
            clients: Mutex::default(),
            latencies: Arc::default(),
        };
        load.set_clients(clients);
        load
    }

    pub(crate) fn clients(&self) -> usize {
        lock(&self.clients).len()
    }

    /// Starts clients, or ends the youngest. The worker of a call that ends with its client is
    /// replaced: that is worth watching.
    pub(crate) fn set_clients(&self, count: usize) {
        let mut clients = lock(&self.clients);
        while clients.len() > count {
            clients.pop().expect("there is one").abort();
        }
        while clients.len() < count {
            let (pool, latencies) = (self.pool.clone(), Arc::clone(&self.latencies));
            let seed = clients.len() as u64;
            clients.push(tokio::spawn(client(pool, latencies, seed)));
        }
    }

    /// How long the calls took that ended since the last time.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        mem::take(&mut *lock(&self.latencies))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.set_clients(0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn client(pool: Pool, latencies: Arc<Mutex<Vec<Duration>>>, seed: u64) {
    let mut random = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    loop {
        // Knuth's generator. Its high bits are good enough for a demo.
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let draw = (random >> 33) % 1000;
        let ms = 5 + draw % 40 + if draw > 980 { 200 } else { 0 };
        let act = match draw {
            0 => "exit",
            1..=20 => "raise",
            _ => "reply",
        };
        let since = Instant::now();
        let reply = pool
            .call_json::<_, u64>(&json!({ "ms": ms, "act": act }))
            .await;
        match reply {
            Err(error) if !error.request_written() => {
                // The pool drains, or has no worker. To ask again at once does not help.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => lock(&latencies).push(since.elapsed()),
        }
    }
}
