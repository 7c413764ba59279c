//! Propositional formulas, and the search for their models.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use batsat::{BasicSolver, SolverInterface, lbool};

use crate::induct_linear::{Linear, conflict, negated};

/// A formula or its negation. Equal formulas have equal literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lit(u32);

pub(crate) const TRUE: Lit = Lit(0);
pub(crate) const FALSE: Lit = Lit(1);

impl std::ops::Not for Lit {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0 ^ 1)
    }
}

impl From<bool> for Lit {
    fn from(known: bool) -> Self {
        if known { TRUE } else { FALSE }
    }
}

impl Lit {
    pub(crate) fn known(self) -> Option<bool> {
        (self.0 < 2).then_some(self == TRUE)
    }
}

enum Node {
    True,
    /// A bit of the state, or an unknown one.
    Leaf,
    And(Lit, Lit),
    /// The sum is at most 0.
    AtMost(Linear),
}

/// All formulas of a proof, and the facts about their leaves.
pub(crate) struct Formulas {
    nodes: Vec<Node>,
    /// For each node, whether it may say something about the witness of each sort.
    about: Vec<[bool; 3]>,
    ands: HashMap<(Lit, Lit), Lit>,
    comparisons: HashMap<Linear, Lit>,
    facts: Vec<Lit>,
    /// For each number, what `about` is for a node.
    numbers: Vec<[bool; 3]>,
}

impl Formulas {
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Node::True],
            about: vec![[false; 3]],
            ands: HashMap::new(),
            comparisons: HashMap::new(),
            facts: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn node(&mut self, node: Node, about: [bool; 3]) -> Lit {
        self.nodes.push(node);
        self.about.push(about);
        Lit(2 * u32::try_from(self.nodes.len() - 1).expect("few formulas"))
    }

    /// A new bit. `about` tells of which sorts it may say something about the witness.
    pub(crate) fn leaf(&mut self, about: [bool; 3]) -> Lit {
        self.node(Node::Leaf, about)
    }

    pub(crate) fn about(&self, lit: Lit) -> [bool; 3] {
        self.about[lit.0 as usize / 2]
    }

    /// The two parts of a disjunction.
    pub(crate) fn disjuncts(&self, lit: Lit) -> Option<(Lit, Lit)> {
        match self.nodes[lit.0 as usize / 2] {
            Node::And(a, b) if lit.0 & 1 == 1 => Some((!a, !b)),
            _ => None,
        }
    }

    /// The conjuncts of a formula, each once.
    pub(crate) fn conjuncts(&self, lit: Lit, found: &mut BTreeSet<Lit>) {
        match self.nodes[lit.0 as usize / 2] {
            Node::And(a, b) if lit.0 & 1 == 0 => {
                self.conjuncts(a, found);
                self.conjuncts(b, found);
            }
            _ => {
                found.insert(lit);
            }
        }
    }

    /// A new natural number.
    pub(crate) fn number(&mut self, about: [bool; 3]) -> Linear {
        self.numbers.push(about);
        Linear::unknown(self.numbers.len() - 1)
    }

    /// Adds what holds of the leaves in every state.
    pub(crate) fn fact(&mut self, fact: Lit) {
        self.facts.push(fact);
    }

    pub(crate) fn and(&mut self, a: Lit, b: Lit) -> Lit {
        match (a.min(b), a.max(b)) {
            (FALSE, _) | (_, FALSE) => FALSE,
            (TRUE, other) => other,
            (a, b) if a == b => a,
            (a, b) if a == !b => FALSE,
            pair => match self.ands.get(&pair) {
                Some(found) => *found,
                None => {
                    let (a, b) = (self.about(pair.0), self.about(pair.1));
                    let and = self.node(Node::And(pair.0, pair.1), either(a, b));
                    self.ands.insert(pair, and);
                    and
                }
            },
        }
    }

    pub(crate) fn or(&mut self, a: Lit, b: Lit) -> Lit {
        !self.and(!a, !b)
    }

    pub(crate) fn implies(&mut self, a: Lit, b: Lit) -> Lit {
        !self.and(a, !b)
    }

    pub(crate) fn choose(&mut self, condition: Lit, yes: Lit, no: Lit) -> Lit {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.and(condition, yes), self.and(!condition, no));
        self.or(yes, no)
    }

    pub(crate) fn iff(&mut self, a: Lit, b: Lit) -> Lit {
        self.choose(a, b, !b)
    }

    pub(crate) fn all(&mut self, of: impl IntoIterator<Item = Lit>) -> Lit {
        of.into_iter().fold(TRUE, |all, next| self.and(all, next))
    }

    /// `sum <= 0`.
    pub(crate) fn at_most_zero(&mut self, sum: Linear) -> Lit {
        if let Some(known) = sum.known() {
            return (known <= 0).into();
        }
        if sum.leads_negative() {
            return !self.at_most_zero(negated(&sum));
        }
        match self.comparisons.get(&sum) {
            Some(found) => *found,
            None => {
                let numbers = sum.unknowns().map(|number| self.numbers[number]);
                let about = numbers.fold([false; 3], either);
                let lit = self.node(Node::AtMost(sum.clone()), about);
                self.comparisons.insert(sum, lit);
                lit
            }
        }
    }
}

fn either(a: [bool; 3], b: [bool; 3]) -> [bool; 3] {
    [0, 1, 2].map(|n| a[n] || b[n])
}

/// What is assumed, and a solver that knows it. Formulas reach the solver when they are needed.
pub(crate) struct Prover {
    solver: BasicSolver,
    encoded: HashMap<u32, batsat::Lit>,
    comparisons: Vec<(batsat::Lit, Linear)>,
    facts: usize,
}

/// The values of formulas under which all assumptions hold.
pub(crate) struct Model(RefCell<HashMap<u32, bool>>);

impl Model {
    /// Whether a formula holds. A bit that no assumption mentions is false.
    pub(crate) fn holds(&self, formulas: &Formulas, lit: Lit) -> bool {
        let index = lit.0 / 2;
        let known = self.0.borrow().get(&index).copied();
        let positive = known.unwrap_or_else(|| {
            let positive = match formulas.nodes[index as usize] {
                Node::True => true,
                Node::Leaf | Node::AtMost(_) => false,
                Node::And(a, b) => self.holds(formulas, a) && self.holds(formulas, b),
            };
            self.0.borrow_mut().insert(index, positive);
            positive
        });
        positive == (lit.0 & 1 == 0)
    }
}

impl Prover {
    pub(crate) fn new() -> Self {
        Self {
            solver: BasicSolver::default(),
            encoded: HashMap::new(),
            comparisons: Vec::new(),
            facts: 0,
        }
    }

    pub(crate) fn assume(&mut self, formulas: &Formulas, lit: Lit) {
        let lit = self.encode(formulas, lit);
        self.solver.add_clause_reuse(&mut vec![lit]);
    }

    fn encode(&mut self, formulas: &Formulas, lit: Lit) -> batsat::Lit {
        let (index, flip) = (lit.0 / 2, lit.0 & 1 == 1);
        if let Some(&found) = self.encoded.get(&index) {
            return if flip { !found } else { found };
        }
        let new = batsat::Lit::new(self.solver.new_var_default(), true);
        self.encoded.insert(index, new);
        match &formulas.nodes[index as usize] {
            Node::True => {
                self.solver.add_clause_reuse(&mut vec![new]);
            }
            Node::Leaf => {}
            Node::AtMost(sum) => self.comparisons.push((new, sum.clone())),
            Node::And(a, b) => {
                let (a, b) = (self.encode(formulas, *a), self.encode(formulas, *b));
                self.solver.add_clause_reuse(&mut vec![!new, a]);
                self.solver.add_clause_reuse(&mut vec![!new, b]);
                self.solver.add_clause_reuse(&mut vec![new, !a, !b]);
            }
        }
        if flip { !new } else { new }
    }

    fn prepare(&mut self, formulas: &Formulas, assumed: &[Lit]) -> Vec<batsat::Lit> {
        while let Some(&fact) = formulas.facts.get(self.facts) {
            self.facts += 1;
            self.assume(formulas, fact);
        }
        assumed
            .iter()
            .map(|lit| self.encode(formulas, *lit))
            .collect()
    }

    /// Whether the propositional part alone excludes that all of `assumed` hold.
    pub(crate) fn excludes(&mut self, formulas: &Formulas, assumed: &[Lit]) -> bool {
        let assumed = self.prepare(formulas, assumed);
        self.solver.solve_limited(&assumed) == lbool::FALSE
    }

    /// A model in which all of `assumed` hold, if there is one.
    pub(crate) fn model(&mut self, formulas: &Formulas, assumed: &[Lit]) -> Option<Model> {
        self.model_or_core(formulas, assumed).ok()
    }

    /// A model in which all of `assumed` hold; if there is none, those that exclude each other.
    ///
    /// The solver proposes which comparisons hold. If no numbers fit, the conflict becomes a
    /// clause.
    pub(crate) fn model_or_core(
        &mut self,
        formulas: &Formulas,
        assumed: &[Lit],
    ) -> Result<Model, Vec<Lit>> {
        let encoded = self.prepare(formulas, assumed);
        loop {
            if self.solver.solve_limited(&encoded) == lbool::FALSE {
                let pairs = assumed.iter().zip(&encoded);
                let core = pairs.filter(|(_, lit)| self.solver.unsat_core_contains_var(lit.var()));
                return Err(core.map(|(lit, _)| *lit).collect());
            }
            let holds = |lit: &batsat::Lit| self.solver.value_lit(*lit) == lbool::TRUE;
            let mut chosen = Vec::new();
            let mut sums = Vec::new();
            for (lit, sum) in &self.comparisons {
                let is = holds(lit);
                chosen.push(if is { *lit } else { !*lit });
                sums.push(if is { sum.clone() } else { negated(sum) });
            }
            match conflict(&sums) {
                Some(core) => {
                    let mut clause = core.into_iter().map(|n| !chosen[n]).collect();
                    self.solver.add_clause_reuse(&mut clause);
                }
                None => {
                    let values = self.encoded.iter().map(|(n, lit)| (*n, holds(lit)));
                    return Ok(Model(RefCell::new(values.collect())));
                }
            }
        }
    }
}
