//! The invariants of a [`World`], checked after every input.

use std::collections::BTreeSet;

use ostler::worker::Phase;
use ostler::{SessionId, WorkerId};

use crate::world::World;

impl World {
    /// Checks every invariant.
    pub(crate) fn check(&self) {
        let policy = self.supervisor.policy();
        let phases = self.phases();
        assert_eq!(
            phases.len(),
            self.ports.len(),
            "L8: a port without a worker, or the reverse"
        );
        let starting = phases
            .iter()
            .filter(|phase| **phase == Phase::Initializing)
            .count();
        assert!(starting <= policy.max_starting, "P12: {phases:?}");
        let abandoned: Vec<WorkerId> = self.supervisor.abandoned().collect();
        let ports: Vec<WorkerId> = self.abandoned.keys().copied().collect();
        assert_eq!(abandoned, ports, "P16");
        assert_eq!(self.supervisor.waiting(), self.waiting.len());
        assert_eq!(self.supervisor.sessions(), self.sessions.len());
        assert!(self.waiting.len() <= policy.max_waiting);
        assert!(self.sessions.len() <= policy.max_sessions);
        self.check_sessions();
        self.check_positions();
        let of_pool = self.probes.iter().chain(&self.cancelling);
        let all_leases = self.leases.iter().chain(of_pool);
        let leased: Vec<WorkerId> = all_leases.map(|lease| lease.worker).collect();
        let distinct: BTreeSet<&WorkerId> = leased.iter().collect();
        assert_eq!(leased.len(), distinct.len(), "C1: a worker with two leases");
        for view in self.supervisor.workers() {
            if matches!(view.phase, Phase::Busy | Phase::Finishing) {
                assert!(
                    leased.contains(&view.worker),
                    "C2: busy without a lease: {view:?}"
                );
            }
            if view.phase == Phase::Ready {
                assert!(
                    !leased.contains(&view.worker),
                    "C1: ready while leased: {view:?}"
                );
            }
        }
    }

    /// R30: serving workers that are not to be replaced have positions of their own below `size`,
    /// and so does each worker when it is opened.
    fn check_positions(&self) {
        let size = self.supervisor.policy().size;
        let views: Vec<_> = self.supervisor.workers().collect();
        let staff = views.iter().filter(|view| {
            let phases = [Phase::Initializing, Phase::Ready, Phase::Busy];
            phases.contains(&view.phase) && view.replacing.is_none()
        });
        let staff: Vec<_> = staff.collect();
        for (worker, position) in &self.opened {
            let of_others = staff.iter().filter(|view| view.worker != *worker);
            let is_taken = of_others
                .map(|view| view.position)
                .any(|it| it == *position);
            assert!(*position < size && !is_taken, "R30: {worker} at {position}");
        }
        let serving = staff
            .iter()
            .filter(|view| view.phase != Phase::Initializing);
        let mut positions: Vec<usize> = serving.map(|view| view.position).collect();
        positions.sort_unstable();
        let ascend = positions.is_sorted_by(|one, other| one < other);
        let below = positions.last().is_none_or(|last| *last < size);
        assert!(ascend && below, "R30: {positions:?} of {size}");
    }

    /// L6, L17: no client waits beside a worker that could serve it, and no worker drains without a
    /// session or a lease.
    fn check_sessions(&self) {
        let phase = |worker: WorkerId| {
            let mut views = self.supervisor.workers();
            views.find(|view| view.worker == worker).map(|v| v.phase)
        };
        for waiter in &self.waiting {
            let session = self.for_session.get(waiter);
            match session.and_then(|session| self.homes.get(session)) {
                Some(home) => assert!(
                    matches!(phase(*home), Some(Phase::Busy | Phase::Finishing)),
                    "L6: a client waits for a worker that is not leased"
                ),
                None => {
                    let idle = self.phases().contains(&Phase::Ready);
                    assert!(!idle, "L6: a client waits beside an idle worker");
                    let closing = self.supervisor.is_closing();
                    assert!(!closing, "L18: a client waits for a pool that shuts down");
                }
            }
        }
        for view in self.supervisor.workers() {
            let at_home = |(_, home): &(&SessionId, &WorkerId)| **home == view.worker;
            let open = |(session, _): &(&SessionId, &WorkerId)| self.sessions.contains(session);
            let sessions = self.homes.iter().filter(at_home).filter(open).count();
            match view.phase {
                Phase::Lingering => {
                    assert!(sessions > 0, "L17: lingers without a session: {view:?}")
                }
                Phase::Stopping => {
                    assert_eq!(view.sessions, 0, "{view:?}");
                    continue;
                }
                _ => {}
            }
            // A shutdown takes its worker from an idle session.
            match self.supervisor.is_closing() {
                true => assert!(view.sessions <= sessions, "{view:?}"),
                false => assert_eq!(view.sessions, sessions, "{view:?}"),
            }
        }
    }
}
