//! Workers that do not want to end: the ladder has the last word, whatever they leave behind.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixListener;

use ostler_pool::Rung;
use ostler_pool::{Builder, ExitStatus, ShutdownReport};

use super::with_hostile_worker;
use crate::resources::is_alive;

fn unchanged(builder: Builder) -> Builder {
    builder
}

/// One request, which is answered, and how the worker that was asked ends in the shutdown.
fn ends(name: &str, requests: &[&str], rung: Rung, status: ExitStatus) {
    with_hostile_worker(name, "good", unchanged, async |pool| {
        let mut lease = pool.lease().await;
        let worker = lease.worker();
        for request in requests {
            lease.call(request.as_bytes()).await.unwrap();
        }
        drop(lease);
        let ShutdownReport { workers, .. } = pool.shut_down().await;
        let end = workers.iter().find(|end| end.worker == worker).unwrap();
        assert_eq!((end.rung, end.status), (Some(rung), Some(status)));
    });
}

/// P11: a worker that ignores the end of its input is ended by `SIGTERM`.
#[test]
fn ignores_the_end_of_its_input() {
    let name = "ends::ignores_the_end_of_its_input";
    ends(name, &["ignore_end"], Rung::Term, ExitStatus::Signal(15));
}

/// P11: one that ignores that as well is killed.
#[test]
fn ignores_the_end_of_its_input_and_term() {
    let name = "ends::ignores_the_end_of_its_input_and_term";
    let requests = ["ignore_end", "ignore_term"];
    ends(name, &requests, Rung::Kill, ExitStatus::Signal(9));
}

/// P3, P11: one that answers each `SIGTERM` with a new process is killed with all of them.
#[test]
fn forks_on_sigterm() {
    let name = "ends::forks_on_sigterm";
    ends(name, &["fork_on_term"], Rung::Kill, ExitStatus::Signal(9));
}

/// P4: a process that forks and exits again and again is caught with its group.
#[test]
fn leaves_a_chain_of_forks() {
    let name = "ends::leaves_a_chain_of_forks";
    with_hostile_worker(name, "good", unchanged, async |pool| {
        // It is too quick to be seen in /proc. Its end is that of the connection which it holds.
        let path = pool.marker.with_extension("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let request = format!("fork_chain {}", path.display());
        assert_eq!(pool.call(&request).await.unwrap(), b"running");
        fs::remove_file(&path).unwrap();
        let (mut line, _) = listener.accept().unwrap();
        line.set_nonblocking(true).unwrap();
        assert_eq!(
            line.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        pool.shut_down().await;
        assert_eq!(line.read(&mut [0]).unwrap(), 0);
    });
}

/// P4: a worker that moves to the group of its child is found and ended there, and its child with it.
#[test]
fn leaves_its_group() {
    let name = "ends::leaves_its_group";
    ends(name, &["leave_group"], Rung::Term, ExitStatus::Signal(15));
}

/// A process that forked twice and made itself a session is ended with its worker.
#[test]
fn escapes_into_a_session_of_its_own() {
    let name = "ends::escapes_into_a_session_of_its_own";
    with_hostile_worker(name, "good", unchanged, async |pool| {
        let escaped = pool.call("escape").await.unwrap();
        let escaped: u32 = std::str::from_utf8(&escaped).unwrap().parse().unwrap();
        assert!(is_alive(escaped));
        pool.shut_down().await;
        pool.wait_until_gone(escaped).await;
    });
}
