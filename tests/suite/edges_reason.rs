//! Why the code does not take an edge of a slice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::edges_drive::Driven;
use crate::edges_graph::Slice;
use crate::trace_names::kind;

/// What became of an edge. Each reason is an abstraction of `spec/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The code takes it.
    Taken,
    /// An input of a deadline that does not run in the code: the grace of a shutdown for sessions,
    /// where none is bound; or the repetition of a last rung, where the code abandons the port and
    /// the slice has no abandoned ports.
    Deadline,
    /// Whether a crash backs off: the code counts the failures before it.
    Backoff,
    /// A limit that the pool could notice while it settles. The code notices one only in the input
    /// that reaches it.
    Limit,
    /// The code takes the same decision for another worker, client or session.
    Which,
    /// The code takes another decision first.
    Order,
    /// The code never comes to the state from which the edge leads, because it takes none of the
    /// edges that lead there.
    Elsewhere,
}

impl Reason {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Taken, "taken"),
        (Self::Deadline, "deadline"),
        (Self::Backoff, "backoff"),
        (Self::Limit, "limit"),
        (Self::Which, "which"),
        (Self::Order, "order"),
        (Self::Elsewhere, "elsewhere"),
    ];
}

/// How many edges of each kind of action there are, by what became of them.
pub(crate) struct Coverage(BTreeMap<String, BTreeMap<Reason, usize>>);

impl Coverage {
    /// # Panics
    ///
    /// There is an input that the code should take in a state in which it rests, and cannot.
    pub(crate) fn of(driven: &Driven<'_>) -> Self {
        let mut found = Self(BTreeMap::new());
        for (at, edges) in driven.slice.graph.edges.iter().enumerate() {
            for (edge, (action, _)) in edges.iter().enumerate() {
                let action = &driven.slice.graph.actions[*action];
                let reason = reason(driven, at, edge).unwrap_or_else(|| {
                    panic!(
                        "{}: the code cannot be brought to take {action} in the state\n{}",
                        driven.slice.name,
                        driven.slice.tell(at),
                    )
                });
                let of_kind = found.0.entry(kind(action).to_owned()).or_default();
                *of_kind.entry(reason).or_default() += 1;
            }
        }
        found
    }

    pub(crate) fn count(&self, reason: Reason) -> usize {
        self.0
            .values()
            .filter_map(|of_kind| of_kind.get(&reason))
            .sum()
    }

    /// A table: a line for each kind of action.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("{:22}{:>7}", "action", "edges");
        let shown = Reason::ALL
            .iter()
            .filter(|(reason, _)| self.count(*reason) > 0);
        let shown: Vec<_> = shown.collect();
        for (_, name) in &shown {
            write!(out, "{name:>11}").expect("a string can be written to");
        }
        out.push('\n');
        for (kind, of_kind) in &self.0 {
            let edges: usize = of_kind.values().sum();
            write!(out, "{kind:22}{edges:7}").expect("a string can be written to");
            for (reason, _) in &shown {
                let count = of_kind.get(reason).map_or(String::new(), usize::to_string);
                write!(out, "{count:>11}").expect("a string can be written to");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }
}

/// What became of an edge. `None`: nothing explains that the code does not take it.
fn reason(driven: &Driven<'_>, at: usize, edge: usize) -> Option<Reason> {
    let slice = driven.slice;
    let (action, _) = slice.graph.edges[at][edge];
    let name = &slice.graph.actions[action];
    let takes = |is: &dyn Fn(usize) -> bool| {
        let edges = slice.graph.edges[at].iter().zip(&driven.taken[at]);
        edges
            .filter(|(_, taken)| **taken)
            .any(|((by, _), _)| is(*by))
    };
    if driven.taken[at][edge] {
        Some(Reason::Taken)
    } else if !driven.visited[at] {
        Some(Reason::Elsewhere)
    } else if slice.graph.settled[at] {
        match kind(name) {
            "Exited" | "Broke" if takes(&|other| other == action) => Some(Reason::Backoff),
            // One sweep ends all sessions that have been idle for as long, in their order.
            "Expire" if takes(&|other| kind(&slice.graph.actions[other]) == "Expire") => {
                Some(Reason::Which)
            }
            "GraceElapsed" if !slice.holds(at, "\\E s \\in Sessions : session[s] = \"bound\"") => {
                Some(Reason::Deadline)
            }
            "RungElapsed" if slice.leaves(at, name) => Some(Reason::Deadline),
            _ => None,
        }
    } else if kind(name) == "Replace" {
        Some(Reason::Limit)
    } else if takes(&|other| kind(&slice.graph.actions[other]) == kind(name)) {
        Some(Reason::Which)
    } else if takes(&|_| true) {
        Some(Reason::Order)
    } else {
        None
    }
}

/// How many steps from rest to rest the slice allows from the states in which the code rests, and
/// how many of them the code takes. A step is an input with all decisions after it, whatever their
/// order.
pub(crate) fn steps_between_rests(driven: &Driven<'_>) -> (usize, usize) {
    let slice = driven.slice;
    let mut allowed = BTreeSet::new();
    let mut rests = Rests {
        slice,
        known: vec![None; slice.graph.states.len()],
    };
    for (at, edges) in slice.graph.edges.iter().enumerate() {
        if slice.graph.settled[at] && driven.visited[at] {
            for (action, next) in edges {
                let to = rests.after(*next);
                allowed.extend(to.iter().map(|to| (at, *action, *to)));
            }
        }
    }
    let taken = driven.rests.values().map(BTreeSet::len).sum();
    (allowed.len(), taken)
}

struct Rests<'a> {
    slice: &'a Slice,
    known: Vec<Option<BTreeSet<usize>>>,
}

impl Rests<'_> {
    /// The settled states to which decisions alone lead.
    fn after(&mut self, at: usize) -> BTreeSet<usize> {
        if self.slice.graph.settled[at] {
            return BTreeSet::from([at]);
        }
        if let Some(known) = &self.known[at] {
            return known.clone();
        }
        let mut found = BTreeSet::new();
        for (_, next) in &self.slice.graph.edges[at] {
            found.append(&mut self.after(*next));
        }
        self.known[at] = Some(found.clone());
        found
    }
}
