//! One search of `/proc`, for every release that is under way.
//!
//! It looks at a process in the order of cost, and at no more than it must: not at the leaders of
//! live workers, and not at processes of users that no worker runs as. What such a user puts into
//! its environments costs a release nothing.

use std::collections::{HashMap, HashSet};
use std::io;

use rustix::io::Errno;
use rustix::process::Pid;

use super::ending::Ending;
use crate::process::proc::stat::Stat;
use crate::process::proc::table::{Environ, Table};
use crate::process::system::Held;
use crate::process::tree::{EnvTag, Group, children};

/// A process at one moment.
pub(super) struct Seen {
    pub(super) pid: Pid,
    /// The user that it runs as.
    pub(super) user: u32,
    pub(super) stat: Stat,
    /// Opened before `stat` was read. If it still refers to a live process, `stat` describes that
    /// process.
    pub(super) held: Held,
}

/// What the releases that are under way look for.
struct Search<'a> {
    table: &'a mut Table,
    pool: &'a EnvTag,
    endings: &'a mut [Ending],
    /// The endings, by what their tags add to the pool's.
    by_part: HashMap<Vec<u8>, usize>,
    /// Those whose group cannot be killed as a group.
    by_group: HashMap<u32, usize>,
    users: HashSet<u32>,
}

/// Searches once. An error means that the search is incomplete.
///
/// `pool` is the tag of the pool whose releases these are.
pub(super) fn search(table: &mut Table, pool: &EnvTag, endings: &mut [Ending]) -> io::Result<()> {
    let indexed = || endings.iter().enumerate();
    let by_part = indexed().filter_map(|(index, ending)| Some((ending.part()?.to_vec(), index)));
    let by_group = indexed().filter_map(|(index, ending)| Some((ending.searched_group()?, index)));
    let users = endings.iter().flat_map(Ending::users).copied();
    let mut search = Search {
        by_part: by_part.collect(),
        by_group: by_group.collect(),
        users: users.collect(),
        table,
        pool,
        endings,
    };
    // Before the list of processes: a worker that starts later is not skipped by its id, and needs
    // not be, because its tag is no ending worker's.
    let children = children().clone();
    for pid in search.table.pids()? {
        if !children.contains_key(&pid) {
            search.look_at(pid)?;
        }
    }
    Ok(())
}

impl Search<'_> {
    fn look_at(&mut self, pid: Pid) -> io::Result<()> {
        let user = match self.table.user(pid)? {
            Some(user) if self.users.contains(&user) => user,
            _ => return Ok(()),
        };
        let Some(parts) = self.parts(pid)? else {
            if let Some(stat) = self.table.stat(pid)?.filter(Stat::is_alive) {
                let endings = self.endings.iter_mut();
                endings.for_each(|ending| ending.hidden(user, &stat));
            }
            return self.look_at_group(pid, user, false);
        };
        let whole_pool = self.by_part.get(&b""[..]);
        let of = |part| self.by_part.get(part).or(whole_pool).copied();
        let tagged: Vec<usize> = parts.iter().filter_map(of).collect();
        for index in tagged {
            // The environment once more, because the id may have become another's before the
            // process was held.
            if let Some(seen) = hold(self.table, pid, user)?
                && self.parts(pid)?.as_ref() == Some(&parts)
            {
                self.endings[index].tagged(&seen);
            }
        }
        let from_zygote = parts.iter().any(|part| EnvTag::is_zygote(part));
        self.look_at_group(pid, user, from_zygote)
    }

    /// The parts of the pool's tags that the process carries. `None` if its environment cannot be
    /// read.
    fn parts(&mut self, pid: Pid) -> io::Result<Option<Vec<Vec<u8>>>> {
        Ok(match self.table.environ(pid)? {
            Environ::Is(environ) => Some(self.pool.parts(environ).map(<[u8]>::to_vec).collect()),
            Environ::Hidden => None,
        })
    }

    fn look_at_group(&mut self, pid: Pid, user: u32, from_zygote: bool) -> io::Result<()> {
        if !self.by_group.is_empty()
            && let Some(stat) = self.table.stat(pid)?
            && let Some(&index) = self.by_group.get(&stat.group)
            && let Some(seen) = hold(self.table, pid, user)?
            && seen.stat.group == stat.group
        {
            self.endings[index].in_group(&seen, from_zygote);
        }
        Ok(())
    }
}

/// Ends what workers have left to this host, if it is their sub-reaper: children that no pool
/// started. Those that carry a tag are left to the search for that tag, unless they run as another
/// user, whose processes it does not look at.
///
/// Any other may be a live worker's. It is ended once every worker
/// that could have started it has ended.
pub(super) fn adopt(table: &mut Table, endings: &mut [Ending]) -> io::Result<()> {
    let started = children().clone();
    let leaders: HashSet<Pid> = endings.iter().filter_map(Ending::leader).collect();
    let others = started.iter().filter(|(pid, _)| !leaders.contains(*pid));
    let oldest_other = others.map(|(_, born)| *born).min().unwrap_or(u64::MAX);
    for pid in table.children()? {
        if started.contains_key(&pid) {
            continue;
        }
        let Some(held) = Held::find(table, pid)? else {
            continue;
        };
        let Some(stat) = table.stat(pid)? else {
            continue;
        };
        if !stat.is_alive() {
            held.reap();
            continue;
        }
        let user = table.user(pid)?.unwrap_or(0);
        let is_sought = endings.iter().any(|ending| ending.users().contains(&user));
        let is_tagged = match table.environ(pid)? {
            Environ::Is(environ) => is_sought && EnvTag::is_from_this_host(environ),
            Environ::Hidden => false,
        };
        let ending = endings
            .iter_mut()
            .find(|ending| ending.born() <= stat.started);
        if let Some(ending) = ending.filter(|_| !is_tagged && stat.started < oldest_other) {
            ending.escaped(&Seen {
                pid,
                user,
                stat,
                held,
            });
        }
    }
    Ok(())
}

impl Held {
    /// `None` if the process is gone.
    pub(super) fn find(table: &mut Table, pid: Pid) -> io::Result<Option<Self>> {
        match table.descriptor(|_| Self::open(pid)) {
            Ok(held) => Ok(Some(held)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Holds a process, and then looks at it. `None` if it is gone or a zombie.
fn hold(table: &mut Table, pid: Pid, user: u32) -> io::Result<Option<Seen>> {
    let Some(held) = Held::find(table, pid)? else {
        return Ok(None);
    };
    let stat = table.stat(pid)?.filter(Stat::is_alive);
    Ok(stat.map(|stat| Seen {
        pid,
        user,
        stat,
        held,
    }))
}

/// The processes of a group that are alive. Zombies do not count: they hold no resources, and their
/// parent may never reap them, as the first process of a container often does not.
pub(super) fn members(table: &mut Table, group: Group) -> io::Result<Vec<(Pid, Stat)>> {
    let mut members = Vec::new();
    for pid in table.pids()? {
        let stat = table.stat(pid)?;
        let stat = stat.filter(|stat| stat.group == group.number() && stat.is_alive());
        members.extend(stat.map(|stat| (pid, stat)));
    }
    Ok(members)
}
