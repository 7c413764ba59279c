//! Releases round by round, of processes whose every step is the test's.

use std::collections::HashSet;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use ostler::WorkerId;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, geteuid, kill_process, waitid};
use tokio::runtime::{self, Runtime};

use super::*;
use crate::port::{BoxFuture, ExitStatus, SurvivalReason};
use crate::process::proc::stat::Stat;
use crate::process::system::Watched;
use crate::process::tree::{Cgroup, Group, ProcessTree, VARIABLE};

/// A process that sleeps, with this tag, if any, in the group of this leader or one of its own.
fn sleeper(tag: Option<&EnvTag>, user: u32, leader: Option<Pid>) -> (Child, Pid) {
    let mut command = Command::new("sleep");
    // Not for long, and without the output of this test: it is left if the test fails.
    command
        .arg("60")
        .envs(tag.map(|tag| (VARIABLE, tag.value())));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).uid(user);
    let group = leader.map_or(0, |leader| leader.as_raw_nonzero().get());
    let child = command.process_group(group).spawn().unwrap();
    let pid = Pid::from_child(&child);
    (child, pid)
}

fn worker_of(pool: &EnvTag, slot: usize) -> EnvTag {
    pool.of_worker(WorkerId {
        slot,
        generation: 1,
    })
}

fn tree(leader: Pid, tag: Option<EnvTag>) -> ProcessTree {
    ProcessTree {
        group: Group::new(leader.as_raw_nonzero().get().cast_unsigned()).unwrap(),
        tag,
        cgroup: None,
        born: None,
    }
}

/// Waits until a child has ended, and leaves it a zombie.
fn ended(pid: Pid) {
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), dead).unwrap();
}

/// Waits until a child has ended, and reaps it. Whether it was killed.
fn was_killed(pid: Pid) -> bool {
    let status = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
    status.unwrap().terminating_signal() == Some(9)
}

/// The remains of a worker whose leader has been killed, and is a zombie.
fn remains(tag: &EnvTag) -> Remains {
    let (child, pid) = sleeper(Some(tag), geteuid().as_raw(), None);
    let remains = Remains::new(Parent::Host(child), tree(pid, Some(tag.clone())));
    remains.kill();
    ended(pid);
    remains
}

fn releaser(pool: &EnvTag) -> Thread {
    let (_, jobs) = channel();
    Thread::new(pool.clone(), Table::open().unwrap(), jobs, false)
}

fn finish(releaser: &mut Thread) {
    while !releaser.open.is_empty() {
        releaser.round();
        thread::yield_now();
    }
}

/// P37: a process that appears behind a search is found by the next one, so one empty search does
/// not end a release.
#[test]
fn one_empty_search_ends_no_release() {
    let pool = EnvTag::of_pool();
    let tag = worker_of(&pool, 0);
    let mut releaser = releaser(&pool);
    let mut ending = Ending::of_worker(remains(&tag));
    let (mut released, _) = ending.reports();
    releaser.open.push(ending);
    releaser.round();
    assert_eq!(releaser.open.len(), 1);
    let (_, late) = sleeper(Some(&tag), geteuid().as_raw(), None);
    releaser.round();
    assert!(was_killed(late));
    // Two searches in a row must find nothing.
    assert_eq!([releaser.round(), releaser.round()], [0, 1]);
    assert_eq!(released.try_recv().map(|release| release.escaped), Ok(1));
}

/// P45: the group is killed in each round, and once more just before its leader is reaped, so that
/// no process lives on that has joined it meanwhile.
#[test]
fn the_group_is_killed_until_its_leader_is_reaped() {
    let remains = remains(&worker_of(&EnvTag::of_pool(), 0));
    let leader = remains.tree.group.id();
    // Without a tag: nothing but its group tells whose it is.
    let join = || sleeper(None, geteuid().as_raw(), Some(leader)).1;
    let mut table = Table::open().unwrap().unwrap();
    let mut ending = Ending::of_worker(remains);
    // What a search looks for: the group can be killed without one.
    let sought = |ending: &Ending| (ending.part().map(<[u8]>::to_vec), ending.searched_group());
    assert_eq!(sought(&ending), (Some(b"0.1;".to_vec()), None));
    let first = join();
    ending.begin_round(Some(&mut table)).unwrap();
    assert!(was_killed(first));
    assert!(!ending.end_round(true, Some(&mut table)));
    ending.begin_round(Some(&mut table)).unwrap();
    let last = join();
    ending.end_round(true, Some(&mut table));
    assert!(was_killed(last));
    assert_eq!(sought(&ending), (None, None));
    // It is no child any more.
    assert!(waitid(WaitId::Pid(leader), WaitIdOptions::EXITED).is_err());
    while !ending.end_round(true, Some(&mut table)) {
        ending.begin_round(Some(&mut table)).unwrap();
    }
}

/// P4: a process that takes over the id of a killed one does not hold up its release.
#[test]
fn a_reused_process_id_is_not_waited_for() {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    if fs::OpenOptions::new().write(true).open(LAST_PID).is_err() {
        eprintln!("skipped: process ids cannot be chosen here");
        return;
    }
    let (pool, user) = (EnvTag::of_pool(), geteuid().as_raw());
    let tag = worker_of(&pool, 0);
    for _ in 0..50 {
        let mut releaser = releaser(&pool);
        releaser.open.push(Ending::of_worker(remains(&tag)));
        let since = Instant::now();
        let (_, left) = sleeper(Some(&tag), user, None);
        releaser.round();
        assert!(was_killed(left));
        // What starts in the same clock tick, of 10 ms, cannot be told apart.
        thread::sleep(Duration::from_millis(20).saturating_sub(since.elapsed()));
        fs::write(LAST_PID, (survivor::number(left) - 1).to_string()).unwrap();
        let (mut other, pid) = sleeper(None, user, None);
        // Otherwise another process took the id first.
        let is_reused = pid == left;
        if is_reused {
            finish(&mut releaser);
            assert_eq!(other.try_wait().unwrap(), None);
        }
        other.kill().unwrap();
        other.wait().unwrap();
        finish(&mut releaser);
        if is_reused {
            return;
        }
    }
    panic!("no process id could be reused");
}

/// P5: a release searches for escaped processes once its control group is empty, or has had ten
/// rounds, and ends when the control group is gone. What is found then was not in it. A process of
/// the worker's group has not escaped.
#[test]
fn a_control_group_comes_before_the_search() {
    let pool = EnvTag::of_pool();
    let tag = worker_of(&pool, 0);
    let name = format!("ostler-cgroup-{}", std::process::id());
    // A directory that holds no processes, and is not removed, because a file is in it.
    let cgroup = || Some(Cgroup::create(&env::temp_dir(), &name).unwrap());
    let path = env::temp_dir().join(&name);
    for escapes in [false, true] {
        let mut remains = remains(&tag);
        remains.tree.cgroup = cgroup();
        let (_, member) = sleeper(None, geteuid().as_raw(), Some(remains.tree.group.id()));
        let inside = survivor::number(member).to_string();
        fs::write(path.join("cgroup.procs"), inside).unwrap();
        let mut releaser = releaser(&pool);
        let mut ending = Ending::of_worker(remains);
        let (mut released, _) = ending.reports();
        releaser.open.push(ending);
        let left = escapes.then(|| sleeper(Some(&tag), geteuid().as_raw(), None).1);
        let is_left = || left.is_some_and(|left| Stat::read(survivor::number(left)).is_some());
        for _ in 0..10 {
            releaser.round();
            assert_eq!(releaser.open[0].part(), None);
            assert_eq!(is_left(), escapes);
        }
        while is_left() {
            releaser.round();
        }
        for _ in 0..10 {
            assert_eq!(releaser.round(), 0);
            assert_eq!(releaser.open[0].part(), Some(&b"0.1;"[..]));
        }
        fs::remove_dir_all(&path).unwrap();
        assert!(was_killed(member));
        finish(&mut releaser);
        let released = released.try_recv();
        let released = released.map(|release| (release.escaped, release.confirmed));
        assert_eq!(released, Ok((usize::from(escapes), Some(!escapes))));
    }
}

/// L19: a release lists at most 16 survivors, each of them once.
#[test]
fn the_list_of_survivors_is_bounded() {
    let pool = EnvTag::of_pool();
    let tag = worker_of(&pool, 0);
    let mut releaser = releaser(&pool);
    let mut ending = Ending::of_worker(remains(&tag));
    let (_, survivors) = ending.reports();
    releaser.open.push(ending);
    for _ in 0..20 {
        sleeper(Some(&tag), geteuid().as_raw(), None);
    }
    releaser.round();
    let listed = survivors.lock().unwrap().clone();
    let pids: HashSet<u32> = listed.iter().map(|survivor| survivor.pid).collect();
    assert_eq!((listed.len(), pids.len()), (16, 16));
    finish(&mut releaser);
    assert_eq!(survivors.lock().unwrap().len(), 0);
}

/// P16: a survivor is named with what keeps it alive.
#[test]
fn the_state_of_a_process_tells_why_it_survives() {
    let me = rustix::process::getpid();
    let stat = Stat::read(survivor::number(me)).unwrap();
    let reason = |state| {
        survivor::reason(
            me,
            &Stat {
                state,
                ..stat.clone()
            },
        )
    };
    assert_eq!(reason('D'), SurvivalReason::Uninterruptible);
    assert_eq!(reason('t'), SurvivalReason::Traced);
    assert_eq!(reason('S'), SurvivalReason::Killed);
}

/// P17: a round follows an empty one at once, and any other after a pause, also while only the reap
/// is missing.
#[test]
fn a_round_follows_an_empty_one_at_once() {
    let (child, leader) = sleeper(None, geteuid().as_raw(), None);
    let mut ending = Ending::of_worker(Remains::new(Parent::Host(child), tree(leader, None)));
    let mut table = Table::open().unwrap().unwrap();
    let mut round = |ending: &mut Ending, is_complete| {
        let since = Instant::now();
        ending.begin_round(Some(&mut table)).unwrap();
        let is_over = ending.end_round(is_complete, Some(&mut table));
        (is_over, ending.due >= since + Duration::from_millis(1))
    };
    assert_eq!(round(&mut ending, false), (false, true));
    let begun = Instant::now();
    round(&mut ending, true);
    assert!((begun..=Instant::now()).contains(&ending.due));
    // The first round has killed it.
    ended(leader);
    while !round(&mut ending, true).0 {}
}

/// A zygote that has reaped its child, or reaps it when it is asked to.
#[derive(Debug)]
struct Zygote(Pid);

impl Reaper for Zygote {
    fn pid(&self) -> Pid {
        self.0
    }

    fn status(&self) -> BoxFuture<'_, ExitStatus> {
        unreachable!("no release asks for a status")
    }

    fn reap(&mut self) -> bool {
        // An error means that it has been reaped.
        let _ = waitid(WaitId::Pid(self.0), WaitIdOptions::EXITED);
        true
    }
}

/// P46: in the group of a forked worker, a release kills every process while the leader keeps the
/// group's id, and afterwards only what has the zygote's tag and is no older than the leader.
#[test]
fn the_group_of_a_forked_worker_is_told_from_a_later_one() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let _entered = Runtime::enter(runtime.as_ref().unwrap());
    let (pool, user) = (EnvTag::of_pool(), geteuid().as_raw());
    // Which is killed: the process without a tag, and the one with the zygote's.
    let killed = |is_reaped: bool, born: u64| {
        let (_, leader) = sleeper(None, user, None);
        let members = [None, Some(pool.of_zygote())];
        let members = members.map(|tag| sleeper(tag.as_ref(), user, Some(leader)).1);
        let tree = ProcessTree {
            born: Some(born),
            ..tree(leader, Some(worker_of(&pool, 0)))
        };
        let mut remains = Remains::new(Parent::Other(Box::new(Zygote(leader))), tree);
        remains.watched = Some(Watched::new(leader).unwrap());
        kill_process(leader, Signal::KILL).unwrap();
        ended(leader);
        if is_reaped {
            remains.reap();
        }
        let mut releaser = releaser(&pool);
        let mut ending = Ending::of_worker(remains);
        assert_eq!(ending.searched_group(), Some(survivor::number(leader)));
        let (mut released, _) = ending.reports();
        releaser.open.push(ending);
        finish(&mut releaser);
        assert_eq!(released.try_recv().map(|release| release.escaped), Ok(0));
        members.map(|member| {
            let is_spared = Stat::read(survivor::number(member)).unwrap().is_alive();
            // An error means that it is a zombie.
            let _ = kill_process(member, Signal::TERM);
            was_killed(member) && !is_spared
        })
    };
    assert_eq!(killed(false, 0), [true, true]);
    assert_eq!(killed(true, 0), [false, true]);
    assert_eq!(killed(true, u64::MAX), [false, false]);
}

/// P47: the end of a pool does not end the searches of a release that is under way, as that of a
/// dropped port is.
#[test]
fn a_release_under_way_outlives_its_pool() {
    let pool = EnvTag::of_pool();
    let tag = worker_of(&pool, 0);
    let mut releaser = releaser(&pool);
    let close = |releaser: &mut Thread| {
        let (done, mut closed) = oneshot::channel();
        releaser.take(Job::Close(done));
        assert_eq!(closed.try_recv(), Ok(()));
    };
    let (_, left) = sleeper(Some(&tag), geteuid().as_raw(), None);
    let mut ending = Ending::of_worker(remains(&tag));
    let (mut released, _) = ending.reports();
    releaser.open.push(ending);
    close(&mut releaser);
    finish(&mut releaser);
    // The release has reaped it, too.
    assert_eq!(Stat::read(survivor::number(left)), None);
    assert_eq!(released.try_recv().map(|release| release.escaped), Ok(1));
    close(&mut releaser);
    assert!(releaser.table.is_none());
}

/// P17: an end that takes long costs little, and so do many ends one after the other.
#[test]
fn the_thread_rests_between_searches() {
    let millis = Duration::from_millis;
    let pauses = [0, 8, 800, 60_000].map(|taken| ending::pause_after(millis(taken)));
    assert_eq!(pauses, [1, 1, 100, 5_000].map(millis));
    assert_eq!(rest_after(millis(20), 0), Duration::ZERO);
    assert_eq!(rest_after(millis(20), 1), millis(20));
    assert_eq!(rest_after(millis(20_000), 2), millis(100));
    let pool = EnvTag::of_pool();
    let mut releaser = releaser(&pool);
    releaser
        .open
        .push(Ending::of_worker(remains(&worker_of(&pool, 0))));
    let since = Instant::now();
    // The sender of its jobs is gone, as at the end of a pool.
    assert!(releaser.wait(millis(20)));
    assert!(since.elapsed() >= millis(20));
    finish(&mut releaser);
    assert!(!releaser.wait(Duration::ZERO));
}

/// P17: one search serves all releases, and reads nothing about live workers and the processes of
/// other users.
#[test]
fn a_search_reads_only_what_it_must() {
    let pool = EnvTag::of_pool();
    let user = geteuid().as_raw();
    let (child, live) = sleeper(Some(&worker_of(&pool, 9)), user, None);
    let mut serving = Remains::new(Parent::Host(child), tree(live, None));
    // Only root can start a process of another user.
    let foreign = (user == 0).then(|| sleeper(Some(&worker_of(&pool, 0)), 65534, None));
    let mut releaser = releaser(&pool);
    for slot in 0..5 {
        let ending = Ending::of_worker(remains(&worker_of(&pool, slot)));
        releaser.open.push(ending);
    }
    assert_eq!(releaser.round(), 0, "two searches must find nothing");
    assert_eq!(releaser.round(), 5);
    let table = releaser.table.unwrap();
    assert!(!table.read_about.is_empty());
    assert!(!table.read_about.contains(&live));
    serving.kill();
    while !serving.reap() {
        thread::yield_now();
    }
    if let Some((mut foreign, pid)) = foreign {
        assert!(!table.read_about.contains(&pid));
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }
}
