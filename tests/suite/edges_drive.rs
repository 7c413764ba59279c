//! Drives the real [`Supervisor`](ostler::Supervisor) along the edges of a slice.
//!
//! A supervisor is a value. So the driver does not follow each path from its beginning: it keeps
//! every state of the code that it has come to, and feeds each input to a copy of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;

use ostler::supervisor::{Input, PortFact};
use ostler::worker::Phase;

use crate::edges_graph::Slice;
use crate::graph_node::Node;
use crate::trace_names::kind;

/// What the code did on a slice.
pub(crate) struct Driven<'a> {
    pub(crate) slice: &'a Slice,
    /// Whether the code comes to each state: rests in it if it is settled, or passes through it.
    pub(crate) visited: Vec<bool>,
    /// Whether the code takes each edge.
    pub(crate) taken: Vec<Vec<bool>>,
    /// Where the code comes to rest after an input: by the settled state before it and its action.
    pub(crate) rests: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// The states and steps of the code.
    pub(crate) nodes: usize,
    pub(crate) steps: usize,
    /// The states of the code, by their fingerprints, and where they are in the slice.
    known: HashMap<u64, usize>,
    unexplored: VecDeque<(usize, Node)>,
}

impl<'a> Driven<'a> {
    /// Drives the code until it has been fed every input in every state that it comes to.
    ///
    /// # Panics
    ///
    /// At the first step that the slice does not allow, and at an input that the code rejects.
    pub(crate) fn new(slice: &'a Slice) -> Self {
        let mut driven = Self {
            slice,
            visited: vec![false; slice.graph.states.len()],
            taken: (slice.graph.edges.iter())
                .map(|of| vec![false; of.len()])
                .collect(),
            rests: BTreeMap::new(),
            nodes: 0,
            steps: 0,
            known: HashMap::new(),
            unexplored: VecDeque::new(),
        };
        driven.begin();
        while let Some((at, node)) = driven.unexplored.pop_front() {
            driven.nodes += 1;
            driven.leave(at, &node);
        }
        driven
    }

    fn begin(&mut self) {
        let mut fresh = self.fresh();
        let actions = fresh.follow(None);
        let at = self.come(0, &actions, fresh);
        at.unwrap_or_else(|problem| panic!("{}: {problem}", self.slice.name));
        if self.slice.may("Crashes") || self.slice.may("Breaks") {
            let node = self.with_a_past();
            let at = self
                .place(&node)
                .expect("a state in which every worker is ready");
            self.visited[at] = true;
            self.unexplored.push_back((at, node));
        }
    }

    fn fresh(&self) -> Node {
        let slice = self.slice;
        let (clients, sessions) = (slice.count("Clients"), slice.count("Sessions"));
        Node::new(slice.policy.clone(), clients, sessions, 0)
    }

    /// A pool with a past: each worker has replaced a crashed worker, so its own crash backs off.
    fn with_a_past(&self) -> Node {
        let mut node = self.fresh();
        node.follow(None);
        feed_all(&mut node, Phase::Initializing, PortFact::Started);
        feed_all(&mut node, Phase::Ready, PortFact::Exited);
        feed_all(&mut node, Phase::Stopping, PortFact::Released);
        feed_all(&mut node, Phase::Initializing, PortFact::Started);
        let workers = &mut node.mirror.workers;
        workers.retain(|worker| worker.is_some_and(|it| it.phase == Phase::Ready));
        node
    }

    /// Feeds every input to a state of the code.
    fn leave(&mut self, from: usize, node: &Node) {
        let slice = self.slice;
        let inputs: BTreeSet<usize> = slice.graph.edges[from].iter().map(|edge| edge.0).collect();
        for input in inputs {
            let action = &slice.graph.actions[input];
            let ways = node.mirror.ways(action, node.names + 1);
            let ways = ways.unwrap_or_else(|problem| panic!("{}: {problem}", slice.name));
            let is_running = !ways.is_empty() || kind(action) == "GraceElapsed";
            assert!(
                is_running,
                "{}: no input is {action} in {node:?}",
                slice.name
            );
            for (n, way) in ways.iter().enumerate() {
                let (next, actions) = feed(node, action, way);
                match self.come(from, &actions, next) {
                    Ok(to) if actions.contains(action) => {
                        self.steps += 1;
                        self.rests.entry((from, input)).or_default().insert(to);
                    }
                    // Another way to bring it about is another action here, or leads beyond the
                    // slice, which bounds what may go wrong.
                    _ if n > 0 => {}
                    Err(_) if slice.leaves(from, action) => {}
                    Ok(_) => panic!(
                        "{}: the code does not take {action}, but {actions:?}, in the state\n{}",
                        slice.name,
                        slice.tell(from),
                    ),
                    Err(problem) => panic!("{}: {problem}", slice.name),
                }
            }
        }
    }

    /// The code came to a state by these actions. Returns where that is in the slice.
    fn come(&mut self, from: usize, actions: &[String], node: Node) -> Result<usize, String> {
        let fingerprint = node.fingerprint();
        let known = self.known.get(&fingerprint).copied();
        let mut path = Vec::new();
        let to = known.or_else(|| self.place(&node));
        let Some(to) = to.filter(|to| self.find(from, actions, *to, &mut path)) else {
            return Err(self.tell(from, actions, &node));
        };
        if !self.slice.graph.settled[to] {
            let told = self.tell(from, actions, &node);
            return Err(format!("{told}in which it must take a decision"));
        }
        self.visited[from] = true;
        self.visited[to] = true;
        for (at, edge) in path {
            self.taken[at][edge] = true;
            // The code rests only where a step ends.
            self.visited[at] |= !self.slice.graph.settled[at];
        }
        if known.is_none() {
            self.known.insert(fingerprint, to);
            self.unexplored.push_back((to, node));
        }
        Ok(to)
    }

    /// Finds the path from one state to another that these actions are.
    fn find(
        &self,
        at: usize,
        actions: &[String],
        to: usize,
        path: &mut Vec<(usize, usize)>,
    ) -> bool {
        let Some((action, rest)) = actions.split_first() else {
            return at == to;
        };
        for (edge, (by, next)) in self.slice.graph.edges[at].iter().enumerate() {
            if self.slice.graph.actions[*by] == *action {
                path.push((at, edge));
                if self.find(*next, rest, to, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    /// The refinement map: the state of the slice that the code is in. `None`: there is none.
    fn place(&self, node: &Node) -> Option<usize> {
        let variables = node.variables(self.slice.workers);
        let values = variables.each_ref().map(|(name, value)| (*name, &**value));
        self.slice.graph.number(&self.slice.model.state(&values))
    }

    fn tell(&self, from: usize, actions: &[String], node: &Node) -> String {
        let mut out = format!(
            "the slice does not allow what the code did. In the state\n{}it did: {}\nand came to\n",
            self.slice.tell(from),
            actions.join(", then "),
        );
        for (name, value) in node.variables(self.slice.workers) {
            writeln!(out, "  {name} = {value}").expect("a string can be written to");
        }
        out
    }
}

/// Feeds the same fact of each worker that is in this phase.
fn feed_all(node: &mut Node, phase: Phase, fact: PortFact) {
    let next = |node: &Node| {
        let mut workers = node.supervisor.workers();
        workers
            .find(|view| view.phase == phase)
            .map(|view| view.worker)
    };
    while let Some(worker) = next(node) {
        let input = Input::Port { worker, fact };
        node.supervisor.feed(input).expect("it is in that phase");
        node.follow(Some(input));
    }
}

/// Feeds one way to bring about an action. Returns the next state of the code, and every action
/// that it took.
fn feed(node: &Node, action: &str, way: &[Input]) -> (Node, Vec<String>) {
    let mut next = node.clone();
    next.names += 1;
    next.mirror.expect(action);
    let mut actions = Vec::new();
    for input in way {
        let fed = next.supervisor.feed(*input);
        fed.unwrap_or_else(|illegal| panic!("{action}: {illegal}: {node:?}"));
        actions.extend(next.follow(Some(*input)));
    }
    (next, actions)
}
