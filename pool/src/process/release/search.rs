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
use crate::process::tree::{EnvTag, Group, leaders};

/// A process at one moment.
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) user: u32,
    pub(super) stat: Stat,
    /// Taken before `stat` was read, so it holds the process that `stat` describes, or one that is
    /// gone.
    pub(super) held: Held,
}

/// Searches once. An error means that the search is incomplete.
///
/// `pool` is the tag of the pool whose releases these are.
pub(super) fn search(table: &mut Table, pool: &EnvTag, endings: &mut [Ending]) -> io::Result<()> {
    let by_part: HashMap<Vec<u8>, usize> = (endings.iter().enumerate())
        .filter_map(|(index, ending)| Some((ending.part()?.to_vec(), index)))
        .collect();
    let whole_pool = by_part.get(&b""[..]).copied();
    let by_group: HashMap<u32, usize> = (endings.iter().enumerate())
        .filter_map(|(index, ending)| Some((ending.searched_group()?, index)))
        .collect();
    let users: HashSet<u32> = endings.iter().flat_map(Ending::users).copied().collect();
    // Before the list of processes: a worker that starts later is not skipped by its id, and needs
    // not be, because its tag is no ending worker's.
    let leaders = leaders().clone();
    let mut parts = Vec::new();
    for pid in table.pids()? {
        if leaders.contains(&pid) {
            continue;
        }
        let user = match table.user(pid)? {
            Some(user) if users.contains(&user) => user,
            _ => continue,
        };
        parts.clear();
        let mut is_hidden = false;
        match table.environ(pid)? {
            Environ::Is(environ) => parts.extend(pool.parts(environ).map(<[u8]>::to_vec)),
            Environ::Hidden => is_hidden = true,
        }
        if is_hidden && let Some(stat) = table.stat(pid)?.filter(Stat::is_alive) {
            endings
                .iter_mut()
                .for_each(|ending| ending.hidden(user, &stat));
        }
        let tagged: Vec<usize> = (parts.iter())
            .filter_map(|part| by_part.get(part).copied().or(whole_pool))
            .collect();
        for index in tagged {
            let Some(seen) = hold(table, pid, user)? else {
                continue;
            };
            // Once more, because the id may have become another's before it was held.
            let Environ::Is(environ) = table.environ(pid)? else {
                continue;
            };
            if pool
                .parts(environ)
                .any(|part| parts.contains(&part.to_vec()))
            {
                endings[index].tagged(&seen);
            }
        }
        if !by_group.is_empty()
            && let Some(stat) = table.stat(pid)?
            && let Some(&index) = by_group.get(&stat.group)
            && let Some(seen) = hold(table, pid, user)?
        {
            let from_zygote = parts.iter().any(|part| EnvTag::is_zygote(part));
            endings[index].in_group(&seen, from_zygote);
        }
    }
    Ok(())
}

/// Holds a process, and then looks at it. `None` if it is gone or a zombie.
fn hold(table: &mut Table, pid: Pid, user: u32) -> io::Result<Option<Seen>> {
    let held = match table.descriptor(|_| Held::open(pid)) {
        Ok(held) => held,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
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
