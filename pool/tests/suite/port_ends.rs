//! Does the end of a port or a pool close what it holds, also while others keep it?

use ostler_pool::WorkerId;
use ostler_pool::port::{ExitStatus, Opener as _, Release};

use crate::leftovers::on_one_thread;
use crate::resources::Resources;

/// P47: the end of a pool closes what it keeps for searches, also while its program is kept.
#[test]
fn the_end_of_a_pool_closes_its_descriptors() {
    let name = "port_ends::the_end_of_a_pool_closes_its_descriptors";
    on_one_thread(name, async |program| {
        let before = Resources::snapshot();
        let mut program = program.clone();
        program.prepare().unwrap();
        assert!(!before.leaks(&[]).is_empty());
        program.close().await;
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
    });
}

/// P5: a released port holds no descriptor, although its pipe was never taken, and tells its end
/// again.
#[test]
fn a_released_port_holds_no_descriptor() {
    let name = "port_ends::a_released_port_holds_no_descriptor";
    on_one_thread(name, async |program| {
        let before = Resources::snapshot();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        let mut port = program.open(worker).await.unwrap();
        assert!(port.memory().unwrap() > 0);
        port.kill();
        let exit = port.exited().await;
        assert_eq!(exit.status, ExitStatus::Signal(9));
        assert_eq!(port.memory(), None);
        assert_eq!(port.released().await, Release::new(0, None));
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
        assert_eq!(port.exited().await, exit);
        assert_eq!(port.released().await, Release::new(0, None));
        assert_eq!(port.survivors(), []);
    });
}
