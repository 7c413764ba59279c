//! What clients do with a pool, whichever it is.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Runtime;

/// Something that clients take from and return to by dropping it.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    type Item: Send;

    fn take(&self) -> impl Future<Output = Self::Item> + Send;
}

/// All clients and the pool share one thread.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// One client takes and returns.
pub(crate) fn pairs(runtime: &Runtime, source: &impl Source, count: usize) {
    runtime.block_on(async {
        for _ in 0..count {
            drop(black_box(source.take().await));
        }
    });
}

/// Many clients take and return. Each yields in between.
pub(crate) fn contended<S: Source>(runtime: &Runtime, source: &S, clients: usize, count: usize) {
    let client = |source: S| async move {
        for _ in 0..count / clients {
            let taken = source.take().await;
            tokio::task::yield_now().await;
            drop(taken);
        }
    };
    runtime.block_on(async {
        let clients: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(source.clone())))
            .collect();
        for client in clients {
            client.await.expect("the client ends");
        }
    });
}

/// The order in which waiting clients give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Fifo,
    Lifo,
    Random,
}

/// A checkout that waits.
pub(crate) type Client = Pin<Box<dyn Future<Output = ()>>>;

/// Waiting clients. The last one in the list gives up first. No worker may be free.
pub(crate) fn waiting(
    runtime: &Runtime,
    source: &impl Source,
    count: usize,
    order: Order,
) -> Vec<Client> {
    let _context = runtime.enter();
    let mut context = Context::from_waker(Waker::noop());
    let client = |_| {
        let source = source.clone();
        let mut client: Client = Box::pin(async move { drop(source.take().await) });
        assert_eq!(client.as_mut().poll(&mut context), Poll::Pending);
        client
    };
    let mut clients: Vec<_> = (0..count).map(client).collect();
    match order {
        Order::Lifo => {}
        Order::Fifo => clients.reverse(),
        Order::Random => shuffle(&mut clients),
    }
    clients
}

/// The same permutation each time.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 7_u64;
    for last in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        items.swap(last, (state >> 33) as usize % (last + 1));
    }
}
