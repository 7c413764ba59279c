//! Explores everything that can happen to the real [`Supervisor`](ostler::Supervisor) of a small
//! pool, in every order.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};

use ostler::Policy;
use ostler::supervisor::PortFact;
use ostler::worker::{Phase, Rung};

use crate::graph_node::Node;
use crate::graph_step::Happening;
use crate::trace_mirror::Client;

/// A small pool, and what may happen to it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) clients: usize,
    pub(crate) sessions: usize,
    /// The sizes that it may be resized to.
    pub(crate) sizes: Vec<usize>,
    /// How often something may go wrong, or be requested by the owner, in one history.
    pub(crate) trouble: usize,
    /// Whether this kind of event is included.
    pub(crate) may: fn(Happening) -> bool,
}

/// A step: from one state to another, by number, in these actions.
pub(crate) type Step = (usize, usize, Vec<String>);

/// The result of an exploration.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The states of the code in variables of the specification. States that look alike there are
    /// one.
    pub(crate) states: Vec<[(&'static str, String); 17]>,
    /// The different steps between them.
    pub(crate) steps: Vec<Step>,
    /// How many states and steps the code itself has.
    pub(crate) nodes: usize,
    pub(crate) taken: usize,
    /// Workers in a state of the specification: more than are opened in any history, so that one
    /// more can always open.
    pub(crate) workers: usize,
}

impl World {
    /// Explores every history.
    pub(crate) fn explore(&self) -> Graph {
        let largest = self.sizes.iter().max().map_or(0, |size| *size);
        let workers = 2 * self.policy.size.max(largest) + 2 * self.trouble + self.policy.surge;
        let mut first = Node::new(
            self.policy.clone(),
            self.clients,
            self.sessions,
            self.trouble,
        );
        first.follow(None);
        let mut graph = Graph {
            states: Vec::new(),
            steps: Vec::new(),
            nodes: 0,
            taken: 0,
            workers,
        };
        // The states by their variables in the specification, and by everything.
        let (mut numbers, mut seen) = (HashMap::new(), HashMap::new());
        let mut steps = HashSet::new();
        let mut unexplored = VecDeque::new();
        let mut number = |graph: &mut Graph, node: Node, unexplored: &mut VecDeque<_>| {
            *seen.entry(node.fingerprint()).or_insert_with(|| {
                let variables = node.variables(workers);
                unexplored.push_back(node);
                let next = graph.states.len();
                *numbers.entry(variables.clone()).or_insert_with(|| {
                    graph.states.push(variables);
                    next
                })
            })
        };
        number(&mut graph, first, &mut unexplored);
        while let Some(node) = unexplored.pop_front() {
            graph.nodes += 1;
            assert!(node.mirror.workers.len() < workers, "{node:?}");
            let from = number(&mut graph, node.clone(), &mut unexplored);
            for happening in self.happenings(&node) {
                let (next, actions) = node.step(happening);
                graph.taken += 1;
                let to = number(&mut graph, next, &mut unexplored);
                if steps.insert((from, to, actions.clone())) {
                    graph.steps.push((from, to, actions));
                }
            }
        }
        graph
    }

    /// What can happen next.
    fn happenings(&self, node: &Node) -> Vec<Happening> {
        let mut all = Vec::new();
        self.of_clients(node, &mut all);
        of_workers(node, &mut all);
        self.of_owners(node, &mut all);
        all.retain(|happening| {
            (self.may)(*happening) && (node.trouble > 0 || !happening.is_trouble())
        });
        all
    }

    fn of_clients(&self, node: &Node, all: &mut Vec<Happening>) {
        let open = |s: &usize| node.mirror.sessions[*s].is_some();
        let sessions: Vec<usize> = (0..self.sessions).filter(open).collect();
        for (c, client) in node.mirror.clients.iter().enumerate() {
            match client {
                // Clients are alike, so only the first free one comes.
                Client::Free if node.mirror.clients[..c].contains(&Client::Free) => {}
                Client::Free => {
                    all.push(Happening::Checkout(c, None));
                    let of_sessions = sessions.iter().map(|s| Happening::Checkout(c, Some(*s)));
                    all.extend(of_sessions);
                }
                Client::Waits(..) => all.push(Happening::GiveUp(c)),
                Client::Holds(..) => {
                    all.extend([Happening::Checkin(c), Happening::Fault(c)]);
                    if node.supervisor.policy().cancel_grace.is_some() {
                        all.push(Happening::Cancel(c));
                    }
                }
                Client::Outside(_) => unreachable!("a rejected client is refused at once"),
            }
        }
        all.extend(sessions.iter().map(|s| Happening::EndSession(*s)));
        // The specification reuses a session's name once no client uses it.
        let free = |s: &usize| {
            let names = |client: &Client| match client {
                Client::Free | Client::Outside(_) => false,
                Client::Waits(_, session) | Client::Holds(_, session) => *session == Some(*s),
            };
            !open(s) && !node.mirror.clients.iter().any(names)
        };
        // Sessions are alike, too.
        let closed = (0..self.sessions).find(free);
        all.extend(closed.map(Happening::OpenSession));
        if !sessions.is_empty() {
            all.push(Happening::Sweeps);
        }
    }

    fn of_owners(&self, node: &Node, all: &mut Vec<Happening>) {
        let serving: Vec<_> = (node.supervisor.workers())
            .filter(|view| matches!(view.phase, Phase::Ready | Phase::Busy))
            .collect();
        let choosable = serving.iter().filter(|view| view.replacing.is_none());
        all.extend(choosable.map(|view| Happening::Recycle(view.worker)));
        let starting = node.supervisor.workers();
        let starting = starting.filter(|view| view.phase == Phase::Initializing);
        all.extend(starting.map(|view| Happening::Recycle(view.worker)));
        if node.mirror.grace {
            all.push(Happening::GraceElapses);
        }
        if !serving.is_empty() || node.supervisor.is_closing() {
            all.push(Happening::RecycleAll);
        }
        if node.supervisor.is_draining() {
            all.push(Happening::Resume);
        }
        // After its end, a drain can be requested again.
        if node.mirror.intake != "Draining" {
            all.push(Happening::Drain);
        }
        let size = node.supervisor.policy().size;
        let others = self.sizes.iter().filter(|other| **other != size);
        all.extend(others.map(|other| Happening::Resize(*other)));
        if !node.supervisor.is_closing() {
            all.push(Happening::Shutdown);
        }
        all.push(Happening::ShutdownNow);
    }
}

fn of_workers(node: &Node, all: &mut Vec<Happening>) {
    for worker in node.mirror.workers.iter().flatten() {
        let (id, phase) = (worker.id, node.phase(worker.id));
        let fact = |fact| Happening::Port(id, fact);
        match (worker.port, phase) {
            ("opening", Phase::Initializing) => all.extend([
                fact(PortFact::Started),
                fact(PortFact::StartFailed { is_final: false }),
                fact(PortFact::StartFailed { is_final: true }),
                fact(PortFact::Exited),
            ]),
            ("open", phase) if !matches!(phase, Phase::Stopping | Phase::Terminated) => {
                all.extend([fact(PortFact::Exited), fact(PortFact::Broke)]);
            }
            ("opening" | "open" | "broken", _) => all.push(fact(PortFact::Exited)),
            ("exited", Phase::Terminated) => all.push(fact(PortFact::Released)),
            ("exited", _) if node.rung(id) == Rung::Reap.name() => {
                all.push(fact(PortFact::Released));
            }
            _ => {}
        }
        all.extend(worker.timer.map(|timer| Happening::Deadline(id, timer)));
        if phase == Phase::Ready && node.supervisor.policy().enable_health_monitoring {
            all.push(Happening::Check(id));
        }
    }
    for &lease in &node.mirror.probes {
        all.extend([
            Happening::Probed(lease, true),
            Happening::Probed(lease, false),
            Happening::ProbeElapses(lease),
        ]);
    }
    for &lease in &node.mirror.cancels {
        all.extend([
            Happening::CancelEnded(lease, true),
            Happening::CancelEnded(lease, false),
            Happening::CancelElapses(lease),
        ]);
    }
    let backoffs = node.mirror.backoffs.iter();
    all.extend(backoffs.map(|backoff| Happening::BackoffElapses(*backoff)));
}

impl Node {
    /// A hash of everything in this node except ids and counters that only grow, and the reasons
    /// why workers leave, by which nothing is decided. Worker ids are included: a lease that is
    /// returned late names one of several workers that had the same slot.
    pub(crate) fn fingerprint(&self) -> u64 {
        const LEFT_OUT: [&str; 10] = [
            "counters",
            "random",
            "timers",
            "leases",
            "serial",
            "calls",
            "names",
            "generation",
            "replaces",
            "reason",
        ];
        let text = format!("{self:?}");
        let mut hasher = DefaultHasher::new();
        let (mut kept, mut start) = (0, 0);
        for (at, byte) in text.bytes().enumerate() {
            if !matches!(byte, b' ' | b'(' | b'[' | b'{' | b':') {
                continue;
            }
            let (name, before) = (&text[start..at], start);
            start = at + 1;
            let value = match byte {
                b':' if LEFT_OUT.contains(&name) => at + ": ".len(),
                b'(' if matches!(name, "WaiterId" | "SessionId") => at + "(".len(),
                _ => continue,
            };
            if before < kept || (name == "generation" && ends_with_a_slot(&text[..before])) {
                continue;
            }
            let end = match text[value..].find(['{', ',', ')', '}']) {
                Some(end) if text[value + end..].starts_with('{') => text[value..].find('}'),
                end => end,
            };
            text[kept..value].hash(&mut hasher);
            kept = end.map_or(text.len(), |end| value + end);
        }
        text[kept..].hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether the next field is the generation of a worker.
fn ends_with_a_slot(text: &str) -> bool {
    let number = text
        .strip_suffix(", ")
        .and_then(|text| text.rsplit_once("slot: "));
    number.is_some_and(|(_, slot)| slot.parse::<usize>().is_ok())
}
