//! Do workers end with a host that exits as soon as it has dropped them?

use std::io::Write as _;
use std::process::{self, Command};
use std::{env, io};

use ostler_pool::port::Opener as _;

use crate::resources::until_ended;
use crate::sentinels::{immortal, open, runtime};

/// P38: a dropped worker is killed before the drop returns, and not only when the pool's thread
/// gets to it.
#[test]
fn a_host_that_exits_leaves_no_worker() {
    const ROLE: &str = "OSTLER_TEST_EXITING_HOST";
    if env::var_os(ROLE).is_some() {
        runtime().block_on(async {
            let mut program = immortal().sentinel(false);
            program.prepare().unwrap();
            let mut ports = Vec::new();
            for _ in 0..20 {
                ports.push(open(&program).await);
            }
            let pids: Vec<String> = (ports.iter())
                .map(|port| port.pid().unwrap().to_string())
                .collect();
            println!("\nworkers {}", pids.join(" "));
            io::stdout().flush().unwrap();
            drop(ports);
            process::exit(0);
        });
    }
    let name = "host_exits::a_host_that_exits_leaves_no_worker";
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ROLE, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let workers = said.lines().find_map(|line| line.strip_prefix("workers "));
    let workers: Vec<u32> = (workers.unwrap().split(' '))
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(workers.len(), 20);
    until_ended(&workers);
}
