//! The scenes of [`product`](crate::product): operations that are dropped, situations around them,
//! and the outcome of each operation that is not dropped.

use std::pin::Pin;
use std::time::Duration;

use ostler_pool::{CallError, CheckoutError, Lease, Pool, SessionError};
use tokio::time::sleep;

/// Three times what a pipe holds, so that a request takes several writes, and its reply several
/// reads.
const LARGE: &str = "large";

/// An operation that is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Checkout,
    /// A checkout and a call with this request.
    Call(&'static str),
    /// A call with this request, on a lease that was checked out before.
    LeaseCall(&'static str),
    /// All parts of the reply to this request.
    Stream(&'static str),
    SessionCheckout,
    SessionCall(&'static str),
    RecycleAll,
    Drain,
    Shutdown,
}

/// What happens to the other leases during the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Situation {
    /// All workers are idle.
    Idle,
    /// All are leased, and returned one after the other.
    Freed,
    /// All are leased, for longer than any client waits.
    Held,
    /// All are leased, and exit during a call.
    Lost,
    /// All are leased, and the pool shuts down.
    Closing,
    /// All are leased, and will be replaced.
    Recycled,
}

pub(crate) const OPERATIONS: [Operation; 28] = [
    Operation::Checkout,
    Operation::Call("hello"),
    Operation::Call("think"),
    Operation::Call("raise"),
    Operation::Call("hang"),
    Operation::Call("exit"),
    Operation::Call("answer and exit"),
    Operation::Call("twice"),
    Operation::Call("garbage"),
    Operation::Call("heed"),
    Operation::Call("finish"),
    Operation::Call("stray"),
    Operation::Call(LARGE),
    Operation::LeaseCall("hello"),
    Operation::LeaseCall("think"),
    Operation::LeaseCall("hang"),
    Operation::LeaseCall("exit"),
    Operation::Stream("spell abc"),
    Operation::Stream("raise ab"),
    Operation::Stream("hang a"),
    Operation::Stream("exit a"),
    Operation::SessionCheckout,
    Operation::SessionCall("hello"),
    Operation::SessionCall("hang"),
    Operation::SessionCall("exit"),
    Operation::RecycleAll,
    Operation::Drain,
    Operation::Shutdown,
];

pub(crate) const SITUATIONS: [Situation; 6] = [
    Situation::Idle,
    Situation::Freed,
    Situation::Held,
    Situation::Lost,
    Situation::Closing,
    Situation::Recycled,
];

/// The outcome of each operation in each situation if it is not dropped.
pub(crate) const OUTCOMES: &str = r#"
                            Idle          Freed         Held          Lost          Closing       Recycled
Checkout                    ok            ok            TimedOut      ok            Closed        ok
Call("hello")               ok            ok            TimedOut      ok            Closed        ok
Call("think")               ok            ok            TimedOut      ok            Closed        ok
Call("raise")               Raised        Raised        TimedOut      Raised        Closed        Raised
Call("hang")                TimedOut      TimedOut      TimedOut      TimedOut      Closed        TimedOut
Call("exit")                WorkerExited  WorkerExited  TimedOut      WorkerExited  Closed        WorkerExited
Call("answer and exit")     ok            ok            TimedOut      ok            Closed        ok
Call("twice")               ok            ok            TimedOut      ok            Closed        ok
Call("garbage")             Protocol      Protocol      TimedOut      Protocol      Closed        Protocol
Call("heed")                TimedOut      TimedOut      TimedOut      TimedOut      Closed        TimedOut
Call("finish")              TimedOut      TimedOut      TimedOut      TimedOut      Closed        TimedOut
Call("stray")               TimedOut      TimedOut      TimedOut      TimedOut      Closed        TimedOut
Call("large")               ok            ok            TimedOut      ok            Closed        ok
LeaseCall("hello")          ok            ok            ok            ok            ok            ok
LeaseCall("think")          ok            ok            ok            ok            ok            ok
LeaseCall("hang")           TimedOut      TimedOut      TimedOut      TimedOut      TimedOut      TimedOut
LeaseCall("exit")           WorkerExited  WorkerExited  WorkerExited  WorkerExited  WorkerExited  WorkerExited
Stream("spell abc")         ok            ok            ok            ok            ok            ok
Stream("raise ab")          Raised        Raised        Raised        Raised        Raised        Raised
Stream("hang a")            TimedOut      TimedOut      TimedOut      TimedOut      TimedOut      TimedOut
Stream("exit a")            WorkerExited  WorkerExited  WorkerExited  WorkerExited  WorkerExited  WorkerExited
SessionCheckout             ok            ok            TimedOut      ok            Closed        ok
SessionCall("hello")        ok            ok            TimedOut      ok            Closed        ok
SessionCall("hang")         TimedOut      TimedOut      TimedOut      TimedOut      Closed        TimedOut
SessionCall("exit")         WorkerExited  WorkerExited  TimedOut      WorkerExited  Closed        WorkerExited
RecycleAll                  ok            ok            ok            ok            ok            ok
Drain                       ok            ok            ok            ok            ok            ok
Shutdown                    ok            ok            ok            ok            ok            ok
"#;

/// The outcome of an operation: `ok`, or the name of the error.
pub(crate) type Outcome = &'static str;

fn outcome<T, E: Into<CallError>>(result: Result<T, E>) -> Outcome {
    let Err(error) = result.map_err(Into::into) else {
        return "ok";
    };
    match error {
        CallError::TimedOut { .. }
        | CallError::Checkout(CheckoutError::TimedOut { .. })
        | CallError::Session(SessionError::TimedOut { .. }) => "TimedOut",
        CallError::Checkout(CheckoutError::Closed) | CallError::Session(SessionError::Closed) => {
            "Closed"
        }
        CallError::Raised { .. } => "Raised",
        CallError::WorkerExited { .. } => "WorkerExited",
        CallError::Protocol { .. } => "Protocol",
        other => panic!("no situation leads to this error: {other:?}"),
    }
}

fn request(word: &str) -> Vec<u8> {
    match word {
        LARGE => vec![b'x'; 3 * 64 * 1024],
        word => word.into(),
    }
}

/// The outcome of a call. A reply must belong to this request.
fn answered(word: &str, result: Result<Vec<u8>, CallError>) -> Outcome {
    let expected = match word {
        "answer and exit" => b"farewell".to_vec(),
        "twice" => b"once".to_vec(),
        word => request(word),
    };
    if let Ok(reply) = &result {
        assert!(*reply == expected, "the reply to another request: {word}");
    }
    outcome(result)
}

impl Operation {
    pub(crate) fn begin<'a>(
        self,
        pool: &'a Pool,
        mut lease: Option<Lease>,
    ) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        let session = |pool: &Pool| pool.session("kept");
        match self {
            Self::Checkout => Box::pin(async { outcome(pool.checkout().await) }),
            Self::Call(word) => {
                Box::pin(async move { answered(word, pool.call(&request(word)).await) })
            }
            Self::LeaseCall(word) => Box::pin(async move {
                let lease = lease.as_mut().expect("its own");
                answered(word, lease.call(word.as_bytes()).await)
            }),
            Self::Stream(words) => Box::pin(async move {
                let lease = lease.as_mut().expect("its own");
                let mut parts = lease.stream(words.as_bytes()).expect("a short request");
                let mut letters = Vec::new();
                let ended = loop {
                    match parts.next().await {
                        Some(Ok(part)) => letters.push(part),
                        Some(Err(error)) => break Err(error),
                        None => break Ok(()),
                    }
                };
                // Each part is one letter of the second word.
                let (_, expected) = words.split_once(' ').expect("two words");
                assert!(
                    letters.iter().eq(expected.as_bytes().chunks(1)),
                    "{letters:?}"
                );
                outcome(ended)
            }),
            Self::SessionCheckout => Box::pin(async move {
                match session(pool) {
                    Ok(session) => outcome(session.checkout().await),
                    Err(refused) => outcome(Err::<(), _>(refused)),
                }
            }),
            Self::SessionCall(word) => Box::pin(async move {
                match session(pool) {
                    Ok(session) => answered(word, session.call(word.as_bytes()).await),
                    Err(refused) => outcome(Err::<(), _>(refused)),
                }
            }),
            // These three act before they are polled.
            Self::RecycleAll => {
                let rolled = pool.recycle_all();
                Box::pin(async {
                    rolled.await.unwrap();
                    "ok"
                })
            }
            Self::Drain => {
                let drained = pool.drain();
                Box::pin(async {
                    drained.await;
                    "ok"
                })
            }
            Self::Shutdown => {
                let report = pool.shutdown();
                Box::pin(async {
                    assert_eq!(report.await.unreleased, []);
                    "ok"
                })
            }
        }
    }

    /// Whether it needs a lease that was checked out before.
    pub(crate) fn has_lease(self) -> bool {
        matches!(self, Self::LeaseCall(_) | Self::Stream(_))
    }
}

/// Plays the situation with the other leases.
pub(crate) async fn others(pool: &Pool, leases: Vec<Lease>, situation: Situation) {
    let moment = Duration::from_millis(5);
    match situation {
        Situation::Idle => drop(leases),
        Situation::Freed => {
            for lease in leases {
                sleep(moment).await;
                drop(lease);
            }
        }
        Situation::Held => {
            sleep(Duration::from_secs(60)).await;
            drop(leases);
        }
        Situation::Lost => {
            for mut lease in leases {
                sleep(moment).await;
                drop(lease.call(b"exit").await);
            }
        }
        Situation::Closing => {
            sleep(moment).await;
            drop(pool.shutdown());
            sleep(moment).await;
            drop(leases);
        }
        Situation::Recycled => {
            drop(pool.recycle_all());
            sleep(moment).await;
            drop(leases);
        }
    }
}
