//! The stages of a worker's port, and what can happen in each.

use std::future::pending;

use ostler::LeaseId;
use tokio::select;

use crate::error::ProtocolError;
use crate::port::{BoxFuture, Exit, OpenError, Port, Release};
use crate::transport::{Answer, TransportError};

/// How far a worker's port is. Everything that exists only in some stages is in their variants.
pub(super) enum Stage {
    /// Before the order to open it.
    New,
    /// It is being opened.
    Opening {
        opening: BoxFuture<'static, Result<Box<dyn Port>, OpenError>>,
    },
    /// It could not be opened. There is no process.
    Unopened,
    /// It is open, and the handshake is under way.
    Handshaking {
        port: Box<dyn Port>,
        handshake: BoxFuture<'static, Result<Answer, TransportError>>,
    },
    /// It is open. At most a client's call is under way.
    Open {
        port: Box<dyn Port>,
        /// Resolves if the worker breaks the protocol between two calls. `None` once it has.
        watch: Option<BoxFuture<'static, ProtocolError>>,
    },
    /// It is open, and the pool holds the worker's lease for an exchange of its own.
    Held {
        port: Box<dyn Port>,
        work: BoxFuture<'static, Held>,
    },
    /// There never was a process, and that it is gone was reported.
    Absent,
    /// Its leader has exited.
    Exited { port: Box<dyn Port>, exit: Exit },
    /// It is being released.
    Releasing { port: Box<dyn Port>, exit: Exit },
    /// Nothing of it is left.
    Released,
    /// A step is under way, which owns the port.
    Stepping,
}

/// How the pool's own exchange on a worker ended.
pub(super) enum Held {
    Probed(LeaseId, Result<Answer, TransportError>),
    /// Whether the worker ended the call as the protocol requires.
    Cancelled(bool),
}

/// What can happen to a port.
pub(super) enum Happened {
    Opened(Result<Box<dyn Port>, OpenError>),
    Answered(Result<Answer, TransportError>),
    Done(Held),
    /// The worker broke the protocol between two calls.
    Broke(ProtocolError),
    Exited(Exit),
    Released(Release),
}

impl Stage {
    /// Waits for what happens next. Cancel safe. What a worker answered comes before its exit.
    pub(super) async fn happens(&mut self) -> Happened {
        match self {
            Self::Opening { opening } => Happened::Opened(opening.await),
            Self::Handshaking { port, handshake } => select! {
                biased;
                answer = handshake => Happened::Answered(answer),
                exit = port.exited() => Happened::Exited(exit),
            },
            Self::Open { port, watch: None } => Happened::Exited(port.exited().await),
            Self::Open {
                port,
                watch: Some(watch),
            } => select! {
                biased;
                exit = port.exited() => Happened::Exited(exit),
                problem = watch => Happened::Broke(problem),
            },
            Self::Held { port, work } => select! {
                biased;
                held = work => Happened::Done(held),
                exit = port.exited() => Happened::Exited(exit),
            },
            Self::Releasing { port, .. } => Happened::Released(port.released().await),
            Self::New
            | Self::Unopened
            | Self::Absent
            | Self::Exited { .. }
            | Self::Released
            | Self::Stepping => pending().await,
        }
    }

    /// The port, if there is one.
    pub(super) fn port(&self) -> Option<&dyn Port> {
        match self {
            Self::Handshaking { port, .. }
            | Self::Open { port, .. }
            | Self::Held { port, .. }
            | Self::Exited { port, .. }
            | Self::Releasing { port, .. } => Some(&**port),
            _ => None,
        }
    }

    /// The port, until its leader has exited.
    pub(super) fn open_port(&mut self) -> Option<&mut Box<dyn Port>> {
        match self {
            Self::Handshaking { port, .. } | Self::Open { port, .. } | Self::Held { port, .. } => {
                Some(port)
            }
            _ => None,
        }
    }
}
