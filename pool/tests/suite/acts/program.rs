//! Programs of process acts: how they are drawn, written, and what they may leave behind.

use std::collections::BTreeSet;
use std::fmt;

use rustix::process::geteuid;

use super::batch::Start;
use crate::rig::Random;

/// Acts of one word. `acts.c` says what each does.
const WORDS: [&str; 33] = [
    "setsid",
    "own",
    "join",
    "follow",
    "close0",
    "close1",
    "close2",
    "closeall",
    "dup",
    "devnull",
    "ignore",
    "nochild",
    "term",
    "segv",
    "die",
    "exit",
    "stop",
    "stopchild",
    "killchild",
    "stopparent",
    "killparent",
    "hup",
    "unset",
    "clear",
    "scribble",
    "exec",
    "sleep",
    "user",
    "undump",
    "garble",
    "write",
    "flood",
    "thread",
];

/// Acts after which a leader gives no answer, or another one.
const FATAL: [&str; 15] = [
    "close1", "closeall", "devnull", "term", "segv", "die", "exit", "stop", "hup", "sleep",
    "thread", "garble", "flood", "chain", "user",
];

/// The deepest nesting of processes, and the most acts of a program.
const DEPTH: u64 = 3;
const MOST: usize = 24;

#[derive(Clone, Debug)]
pub(super) enum Act {
    Word(&'static str),
    /// Sleeps for so many microseconds.
    Nap(u64),
    /// Executes itself so many times.
    Execs(u64),
    /// Starts a process. An intermediate process starts an orphan and exits, and this process waits
    /// for it.
    Start {
        name: u32,
        is_orphan: bool,
        acts: Vec<Act>,
    },
}

/// The acts of a worker. The worker is process 0; the processes that it starts have names from 1.
#[derive(Clone, Debug)]
pub(super) struct Acts(Vec<Act>);

/// What an act finds, as far as it decides whether the process is found at the end.
#[derive(Clone, Copy, Debug)]
struct State {
    /// It may have left the worker's group.
    is_outside: bool,
    /// Its variable has the tag, which the next program that it executes gets.
    has_variable: bool,
    /// The kernel shows the tag in its environment.
    is_tagged: bool,
    /// It may run as another user than host and worker.
    is_foreign: bool,
    /// Its environment is hidden from hosts that are not root.
    is_hidden: bool,
}

impl State {
    const WORKER: Self = Self {
        is_outside: false,
        has_variable: true,
        is_tagged: true,
        is_foreign: false,
        is_hidden: false,
    };

    /// What `docs/limits.md` says that a release does not find.
    fn may_survive(self) -> bool {
        self.is_outside && (!self.is_tagged || self.is_foreign || self.is_hidden)
    }

    fn after(mut self, act: &Act) -> Self {
        let is_root = geteuid().is_root();
        match act {
            Act::Word("setsid" | "own" | "follow") => self.is_outside = true,
            Act::Word("unset" | "clear") => self.has_variable = false,
            // Finds the tag by the variable.
            Act::Word("scribble") if self.has_variable => {
                self.has_variable = false;
                self.is_tagged = false;
            }
            Act::Word("user") => self.is_foreign |= is_root,
            Act::Word("undump") => self.is_hidden |= !is_root,
            Act::Word("exec" | "sleep") | Act::Execs(1..) => {
                self.is_tagged = self.has_variable;
                self.is_hidden = false;
            }
            _ => {}
        }
        self
    }
}

impl Acts {
    /// Each program uses a random part of all acts, so that rare combinations meet.
    pub(super) fn random(random: &mut Random, start: Start) -> Self {
        let mut words: Vec<&'static str> = WORDS.to_vec();
        words.retain(|_| random.below(3) == 0);
        words.extend(["setsid", "exec"]);
        let mut drawing = Drawing {
            random,
            start,
            words,
            names: 0,
            left: MOST,
        };
        let acts = drawing.block(0, State::WORKER);
        Self(acts)
    }

    /// The names of the processes that the end of the worker may leave alive: see
    /// [`State::may_survive`].
    pub(super) fn survivors(&self) -> BTreeSet<u32> {
        let mut survivors = BTreeSet::new();
        collect(&self.0, 0, State::WORKER, &mut survivors);
        survivors.remove(&0);
        survivors
    }

    /// Whether the worker certainly answers, if it is left alone.
    pub(super) fn answers(&self, start: Start) -> bool {
        let is_fatal = |act: &Act| match act {
            Act::Word(word) if FATAL.contains(word) => true,
            // What it executes is no Python worker.
            Act::Word("exec") | Act::Execs(_) => start == Start::Forked,
            _ => false,
        };
        !self.0.iter().any(is_fatal) && !meets(&self.0, true)
    }

    /// All programs that have one act less.
    pub(super) fn smaller(&self) -> Vec<Self> {
        (0..count(&self.0))
            .map(|at| {
                let mut smaller = self.clone();
                remove(&mut smaller.0, at);
                smaller
            })
            .collect()
    }
}

/// Whether an act of another process keeps the worker from answering.
fn meets(acts: &[Act], is_worker: bool) -> bool {
    acts.iter().any(|act| match act {
        Act::Start {
            acts, is_orphan, ..
        } => {
            let harms = |act: &Act| match act {
                Act::Word("hup" | "trace" | "garble") => true,
                Act::Word("stopparent" | "killparent") => is_worker && !is_orphan,
                _ => false,
            };
            acts.iter().any(harms) || meets(acts, false)
        }
        _ => false,
    })
}

/// Notes the processes that may survive, from the state in which this one begins.
fn collect(acts: &[Act], name: u32, mut state: State, survivors: &mut BTreeSet<u32>) {
    if state.may_survive() {
        survivors.insert(name);
    }
    for act in acts {
        if let Act::Start { name, acts, .. } = act {
            collect(acts, *name, state, survivors);
        }
        state = state.after(act);
        if state.may_survive() {
            survivors.insert(name);
        }
    }
}

fn count(acts: &[Act]) -> usize {
    let of = |act: &Act| match act {
        Act::Start { acts, .. } => 1 + count(acts),
        _ => 1,
    };
    acts.iter().map(of).sum()
}

/// Removes the act at this place, counted as [`count`] does.
fn remove(acts: &mut Vec<Act>, mut at: usize) {
    for index in 0..acts.len() {
        if at == 0 {
            acts.remove(index);
            return;
        }
        at -= 1;
        if let Act::Start { acts, .. } = &mut acts[index] {
            let inside = count(acts);
            if at < inside {
                return remove(acts, at);
            }
            at -= inside;
        }
    }
}

/// A program that is being drawn.
struct Drawing<'a> {
    random: &'a mut Random,
    start: Start,
    words: Vec<&'static str>,
    /// How many processes have a name.
    names: u32,
    /// How many acts may still be drawn.
    left: usize,
}

impl Drawing<'_> {
    fn block(&mut self, depth: u64, mut state: State) -> Vec<Act> {
        let mut acts = Vec::new();
        for _ in 0..self.random.below(4 + 3 * u64::from(depth == 0)) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let act = self.act(depth, state);
            state = state.after(&act);
            acts.push(act);
        }
        // What these do lasts, so nothing follows.
        match self.random.below(12) {
            // The tag may be the only way to find the tracer.
            0 if depth > 0 && state.has_variable && state.is_tagged && !state.is_foreign => {
                acts.push(Act::Word("trace"));
            }
            // A search may miss each of its processes. So only where the whole group is killed at
            // once: not outside, and not in the group of a forked worker, whose zygote may die and
            // leave the group's id free.
            1 if depth > 0 && !state.is_outside && self.start != Start::Forked => {
                acts.push(Act::Word("chain"));
            }
            _ => {}
        }
        acts
    }

    fn act(&mut self, depth: u64, state: State) -> Act {
        match self.random.below(8) {
            0..=2 if depth < DEPTH => {
                self.names += 1;
                Act::Start {
                    name: self.names,
                    is_orphan: self.random.below(2) == 0,
                    acts: self.block(depth + 1, state),
                }
            }
            3 => Act::Nap(self.random.below(3_000)),
            4 if self.random.below(3) == 0 => Act::Execs(self.random.below(30)),
            _ => {
                let at = self.random.below(self.words.len() as u64);
                Act::Word(self.words[at as usize])
            }
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word}"),
            Self::Nap(micros) => write!(f, "nap{micros}"),
            Self::Execs(count) => write!(f, "execs{count}"),
            Self::Start {
                name,
                is_orphan,
                acts,
            } => {
                let start = if *is_orphan { "orphan" } else { "fork" };
                write!(f, "{start}{name}{{{} }}", Acts(acts.clone()))
            }
        }
    }
}

/// As `acts.c` reads it.
impl fmt::Display for Acts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|act| write!(f, " {act}"))
    }
}

/// The oracle knows which processes a release does not find: those that have left the group, and
/// carry the tag no longer.
#[test]
fn the_oracle_knows_what_may_survive() {
    let start = |name, acts| Act::Start {
        name,
        is_orphan: false,
        acts,
    };
    let word = |word| Act::Word(word);
    let survivors = |acts| Acts(vec![start(1, acts)]).survivors();
    assert_eq!(survivors(vec![word("setsid"), word("exec")]), [].into());
    assert_eq!(survivors(vec![word("unset"), word("exec")]), [].into());
    assert_eq!(survivors(vec![word("setsid"), word("unset")]), [].into());
    let left = vec![word("unset"), word("exec"), word("own")];
    assert_eq!(survivors(left), [1].into());
    let child = start(2, vec![word("sleep")]);
    let left = vec![word("own"), word("clear"), child, word("join")];
    assert_eq!(survivors(left), [2].into());
    let scribbled = vec![word("scribble"), start(2, vec![word("setsid")])];
    assert_eq!(survivors(scribbled), [2].into());
    let unset = vec![word("unset"), word("scribble"), word("setsid")];
    assert_eq!(survivors(unset), [].into());
}
