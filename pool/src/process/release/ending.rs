//! The end of one worker's processes: what each round does, until nothing is left.
//!
//! The leader is reaped last. Until then it is a zombie that keeps the id of the group from being
//! reused, so the group can be killed again in each round, whatever joins it meanwhile.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, geteuid, getpid};
use tokio::sync::oneshot;

use super::remains::Remains;
use super::search::{Seen, members};
use super::survivor::{number, reason};
use crate::port::{Release, SurvivalReason, Survivor};
use crate::process::proc::stat::Stat;
use crate::process::proc::table::Table;
use crate::process::system::Held;
use crate::process::tree::EnvTag;

/// How many searches in a row must find nothing. A search takes a while, and meanwhile a process
/// may fork and exit behind it.
const EMPTY_SEARCHES: u32 = 2;

/// How many rounds a control group gets to become empty before the search begins all the same. It
/// begins later than the kill so that it finds only what is not in the control group.
const CGROUP_ROUNDS: u32 = 10;

/// The most survivors that are listed.
const MAX_SURVIVORS: usize = 16;

/// The longest pause between two rounds.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The shortest pause after a round that has found something.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// The processes that hold up a release, as the last round found them.
pub(in crate::process) type Survivors = Arc<Mutex<Vec<Survivor>>>;

/// The end of one worker's processes, or of all that a pool has left.
pub(super) struct Ending {
    what: What,
    stage: Stage,
    release: Release,
    /// Whether a process was found that was not in the control group.
    found_outside: bool,
    /// The processes outside the group that were killed, each with the time of its start.
    killed: HashSet<(Pid, u64)>,
    /// Killed processes that have not been seen dead: of these, and at the end of the group.
    dying: Vec<(Pid, u64)>,
    /// The users that the worker's processes are known to run as.
    users: Vec<u32>,
    rounds: u32,
    since: Instant,
    /// When the next round is due.
    pub(super) due: Instant,
    /// What this round has found alive.
    found: Vec<Survivor>,
    survivors: Survivors,
    done: Option<oneshot::Sender<Release>>,
}

enum What {
    Worker(Remains),
    /// Every process that carries the tag of a pool.
    Pool(EnvTag),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many searches in a row have found nothing.
    Searching {
        empty: u32,
    },
    /// The leader is reaped. Processes of its group may still be dying.
    Reaped,
    /// They are known.
    Dying,
    Done,
}

impl Ending {
    /// The end of a worker. Its leader has exited, or is to be killed.
    pub(super) fn of_worker(remains: Remains) -> Self {
        Self::new(What::Worker(remains))
    }

    /// The end of everything that carries the tag of this pool.
    pub(super) fn of_pool(tag: EnvTag) -> Self {
        Self::new(What::Pool(tag))
    }

    fn new(what: What) -> Self {
        let now = Instant::now();
        Self {
            what,
            stage: Stage::Searching { empty: 0 },
            release: Release::default(),
            found_outside: false,
            killed: HashSet::new(),
            dying: Vec::new(),
            users: Vec::new(),
            rounds: 0,
            since: now,
            due: now,
            found: Vec::new(),
            survivors: Survivors::default(),
            done: None,
        }
    }

    /// What tells of its end, and the processes that hold it up until then.
    pub(super) fn reports(&mut self) -> (oneshot::Receiver<Release>, Survivors) {
        let (done, released) = oneshot::channel();
        self.done = Some(done);
        (released, Arc::clone(&self.survivors))
    }

    /// What the search looks for in environments. `None` if it is not to look for this worker.
    pub(super) fn part(&self) -> Option<&[u8]> {
        match &self.what {
            What::Worker(remains) if self.is_searching() => {
                remains.tree.tag.as_ref().map(EnvTag::part)
            }
            What::Pool(tag) => Some(tag.part()),
            What::Worker(_) => None,
        }
    }

    /// The group whose members the search looks for, because it cannot be killed as a group.
    pub(super) fn searched_group(&self) -> Option<u32> {
        match &self.what {
            What::Worker(remains) if self.is_searching() && !remains.may_kill_group() => {
                Some(remains.tree.group.number())
            }
            _ => None,
        }
    }

    pub(super) fn users(&self) -> &[u32] {
        &self.users
    }

    fn is_searching(&self) -> bool {
        let is_due = !self.has_cgroup() || self.rounds > CGROUP_ROUNDS;
        matches!(self.stage, Stage::Searching { .. }) && is_due
    }

    fn has_cgroup(&self) -> bool {
        matches!(&self.what, What::Worker(remains) if remains.tree.cgroup.is_some())
    }

    /// Its leader, until that is reaped.
    pub(super) fn leader(&self) -> Option<Pid> {
        match &self.what {
            What::Worker(remains) => Some(remains.tree.group.id()),
            What::Pool(_) => None,
        }
    }

    /// No descendant is older.
    pub(super) fn born(&self) -> u64 {
        match &self.what {
            What::Worker(remains) => remains.tree.born.unwrap_or(0),
            What::Pool(_) => 0,
        }
    }

    /// Kills what can be killed without a search. An error means that this round is incomplete.
    pub(super) fn begin_round(&mut self, table: Option<&mut Table>) -> io::Result<()> {
        self.rounds += 1;
        self.found.clear();
        self.release.unchecked = 0;
        let What::Worker(remains) = &mut self.what else {
            self.users = vec![geteuid().as_raw()];
            return Ok(());
        };
        let Some(table) = table else {
            remains.kill();
            return Ok(());
        };
        if self.users.is_empty() {
            // A worker may have changed its user. A zombie still shows it.
            self.users.extend(table.user(remains.tree.group.id())?);
            self.users.push(geteuid().as_raw());
        }
        remains.kill();
        self.reap_killed(table)?;
        self.end_cgroup(table)
    }

    /// Forgets killed processes that are dead.
    fn reap_killed(&mut self, table: &mut Table) -> io::Result<()> {
        let mut done = Ok(());
        for process in std::mem::take(&mut self.dying) {
            match self.is_dying(process, table) {
                Ok(true) => self.dying.push(process),
                Ok(false) => {}
                Err(error) => {
                    self.dying.push(process);
                    done = Err(error);
                }
            }
        }
        done
    }

    /// Whether a killed process is still alive. Reaps it if it became a child of this host, as it
    /// does if the host is the first process of a container.
    fn is_dying(&mut self, (pid, started): (Pid, u64), table: &mut Table) -> io::Result<bool> {
        let Some(held) = Held::find(table, pid)? else {
            return Ok(false);
        };
        let Some(stat) = table.stat(pid)?.filter(|stat| stat.started == started) else {
            return Ok(false);
        };
        if stat.is_alive() {
            self.find(pid, reason(pid, &stat));
            return Ok(true);
        }
        if stat.parent == number(getpid()) {
            held.reap();
        }
        Ok(false)
    }

    /// Kills the control group, and removes it once it is empty.
    fn end_cgroup(&mut self, table: &mut Table) -> io::Result<()> {
        let What::Worker(remains) = &mut self.what else {
            return Ok(());
        };
        let group = remains.tree.group.number();
        let Some(cgroup) = &remains.tree.cgroup else {
            return Ok(());
        };
        let mut inside = Vec::new();
        for pid in cgroup.members()? {
            inside.extend(table.stat(pid)?.map(|stat| (pid, stat)));
        }
        cgroup.kill();
        if cgroup.remove() {
            remains.tree.cgroup = None;
            self.release.confirmed = Some(true);
        }
        for (pid, stat) in inside {
            if stat.group != group {
                self.count_escaped((pid, stat.started));
            }
            self.find(pid, reason(pid, &stat));
        }
        Ok(())
    }

    /// A process carries the tag.
    pub(super) fn tagged(&mut self, seen: &Seen) {
        let stat = &seen.stat;
        // A worker's environment may be copied by a process that it did not start. One that is
        // older, or runs as another user, is certainly not its descendant.
        if stat.started < self.born() || !self.users.contains(&seen.user) {
            return;
        }
        let is_member = match &self.what {
            What::Worker(remains) => stat.group == remains.tree.group.number(),
            What::Pool(_) => false,
        };
        if is_member {
            self.kill(seen);
        } else {
            self.escaped(seen);
        }
    }

    /// A process is outside the group, and a descendant of the worker.
    pub(super) fn escaped(&mut self, seen: &Seen) {
        if self.kill(seen) && self.count_escaped((seen.pid, seen.stat.started)) {
            self.found_outside = true;
        }
    }

    /// Counts a killed process once, however often it is found before it is dead. False if it was
    /// counted already.
    fn count_escaped(&mut self, process: (Pid, u64)) -> bool {
        let is_new = self.killed.insert(process);
        if is_new {
            self.release.escaped += 1;
            self.dying.push(process);
        }
        is_new
    }

    /// A process is in the [group](Self::searched_group). `from_zygote`: it carries the tag of the
    /// pool's zygote.
    pub(super) fn in_group(&mut self, seen: &Seen, from_zygote: bool) {
        let What::Worker(remains) = &self.what else {
            return;
        };
        // If the leader is there now, it was there when the process was seen, and its id was the
        // group's. If not, the group may be another one by now.
        let is_forked = from_zygote && seen.stat.started >= self.born();
        if remains.holds_id() || is_forked {
            self.kill(seen);
        }
    }

    /// The environment of a process cannot be read.
    pub(super) fn hidden(&mut self, user: u32, stat: &Stat) {
        if self.users.contains(&user) && stat.started >= self.born() {
            self.release.unchecked += 1;
        }
    }

    /// Kills a process. False if it is gone, or may not be killed.
    fn kill(&mut self, seen: &Seen) -> bool {
        let killed = seen.held.kill();
        match killed {
            Ok(()) | Err(Errno::PERM) => self.find(seen.pid, reason(seen.pid, &seen.stat)),
            Err(_) => {}
        }
        killed.is_ok()
    }

    fn find(&mut self, pid: Pid, reason: SurvivalReason) {
        let pid = number(pid);
        if self.found.len() < MAX_SURVIVORS && self.found.iter().all(|known| known.pid != pid) {
            self.found.push(Survivor { pid, reason });
        }
    }

    /// Draws the conclusion of a round. True if nothing is left.
    pub(super) fn end_round(&mut self, is_complete: bool, table: Option<&mut Table>) -> bool {
        let nothing = is_complete && self.found.is_empty() && !self.has_cgroup();
        if let Stage::Searching { empty } = self.stage {
            let empty = if nothing { empty + 1 } else { 0 };
            self.stage = Stage::Searching { empty };
            // Without `/proc` there is no search, so one round is as good as two.
            if empty >= EMPTY_SEARCHES || (nothing && table.is_none()) {
                self.reap();
            }
        }
        if self.stage == Stage::Reaped {
            self.list_group(table);
        }
        if self.stage == Stage::Dying && self.dying.is_empty() {
            self.stage = Stage::Done;
        }
        let now = Instant::now();
        let pause = match self.stage {
            Stage::Searching { empty: 1.. } if self.found.is_empty() => Duration::ZERO,
            _ => pause_after(now - self.since),
        };
        self.due = now + pause;
        *(self.survivors.lock()).unwrap_or_else(PoisonError::into_inner) = self.found.clone();
        self.stage == Stage::Done
    }

    fn reap(&mut self) {
        let What::Worker(remains) = &mut self.what else {
            self.stage = Stage::Done;
            return;
        };
        // Once more, for what has joined the group since the last round.
        remains.kill();
        let was_held = remains.holds_id();
        if remains.reap() {
            // If other code had reaped it, the id may be another group's by now, and the search has
            // told the members apart.
            self.stage = if was_held { Stage::Reaped } else { Stage::Done };
            return;
        }
        // A tracer that is not a descendant lets go of it when it likes.
        let leader = remains.tree.group.id();
        self.stage = Stage::Searching { empty: 1 };
        self.find(leader, SurvivalReason::Traced);
    }

    /// Finds out what is still dying in the group. Only once, because the group's id can be another
    /// group's as soon as they are gone.
    fn list_group(&mut self, table: Option<&mut Table>) {
        let What::Worker(remains) = &self.what else {
            return;
        };
        let group = remains.tree.group;
        if group.is_gone() {
            self.stage = Stage::Done;
        } else if let Some(Ok(members)) = table.map(|table| members(table, group)) {
            for (pid, stat) in members {
                self.find(pid, reason(pid, &stat));
                self.dying.push((pid, stat.started));
            }
            self.stage = Stage::Dying;
        }
    }

    /// Closes what is left of the port, and reports.
    pub(super) fn finish(self) {
        drop(self.what);
        let mut release = self.release;
        release.confirmed = release.confirmed.map(|_| !self.found_outside);
        if let Some(done) = self.done {
            // An error means that the port was dropped.
            let _ = done.send(release);
        }
    }
}

/// The pause of a release that has taken so long: an eighth of it, so that a process that cannot be
/// killed costs little, however long it lives.
pub(super) fn pause_after(taken: Duration) -> Duration {
    (taken / 8).clamp(MIN_PAUSE, MAX_PAUSE)
}
