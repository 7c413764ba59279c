//! Workers that resist their end: the stop ladder ends them and everything that they started.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use ostler_pool::{ExitStatus, Rung, ShutdownReport};

use super::{patient, unchanged, with_hostile_worker};
use crate::resources::is_alive;

/// Makes the requests on one worker, which answers them, and checks how that worker ends in the
/// shutdown.
fn ends(name: &str, requests: &[&str], rung: Rung, status: ExitStatus) {
    // A worker that ends at `SIGTERM` has the time for it, also on a busy machine.
    let options = |builder| match rung {
        Rung::Term => patient(builder).ask_grace(Duration::from_millis(50)),
        _ => builder,
    };
    with_hostile_worker(name, "good", options, async |pool| {
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

/// P11: `SIGTERM` ends a worker that ignores the end of its input.
#[test]
fn ignores_the_end_of_its_input() {
    let name = "ends::ignores_the_end_of_its_input";
    ends(name, &["ignore_end"], Rung::Term, ExitStatus::Signal(15));
}

/// P11: `SIGKILL` ends a worker that also ignores `SIGTERM`.
#[test]
fn ignores_the_end_of_its_input_and_term() {
    let name = "ends::ignores_the_end_of_its_input_and_term";
    let requests = ["ignore_end", "ignore_term"];
    ends(name, &requests, Rung::Kill, ExitStatus::Signal(9));
}

/// P3, P11: a worker that forks at each `SIGTERM` is killed with all its children.
#[test]
fn forks_on_sigterm() {
    let name = "ends::forks_on_sigterm";
    ends(name, &["fork_on_term"], Rung::Kill, ExitStatus::Signal(9));
}

/// P4: a process that forks and exits repeatedly is killed with its group.
#[test]
fn leaves_a_chain_of_forks() {
    let name = "ends::leaves_a_chain_of_forks";
    with_hostile_worker(name, "good", unchanged, async |pool| {
        // The process forks too fast for `/proc`. All its copies hold one connection, which closes
        // when the last of them ends.
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

/// P4: a worker that moved to its child's group is found and terminated there, and so is the child.
#[test]
fn leaves_its_group() {
    let name = "ends::leaves_its_group";
    ends(name, &["leave_group"], Rung::Term, ExitStatus::Signal(15));
}

/// A process that forked twice and created a session of its own ends with its worker.
#[test]
fn escapes_into_a_session_of_its_own() {
    let name = "ends::escapes_into_a_session_of_its_own";
    with_hostile_worker(name, "good", unchanged, async |pool| {
        let escaped = pool.call("escape").await.unwrap();
        let escaped: u32 = std::str::from_utf8(&escaped).unwrap().parse().unwrap();
        assert!(is_alive(escaped));
        pool.shut_down().await;
        assert!(!is_alive(escaped));
    });
}
