//! Witnesses: if some of the rest has a property, let the witness be such an element.
//!
//! In a formula, "some of the rest has this property" is a bit, and "how many have it" is a number.
//! Call it a *claim* that the bit is true, or that the number is positive. The formula alone allows
//! a claim to hold although no element can have the property. Here such claims are found and
//! excluded:
//!
//! - At first all claims are denied. If that leaves no model, the solver names the claims that it
//!   needs. These may hold.
//! - If it leaves a model, each needed claim that holds in it is tried: let the witness be an
//!   element that has the property. If no model is left, the claim is false wherever the
//!   assumptions that exclude it hold.
//!
//! That is sound because no assumption says anything of a witness that is still to be chosen: what
//! is assumed has the same truth value for each choice. So the witness of a sort is chosen once,
//! and from then on it is *taken*.

use std::collections::BTreeSet;

use crate::induct_formula::{Lit, Model, Prover};
use crate::induct_state::Translator;
use crate::induct_value::Sort;

/// That some of the rest has a property.
struct Claim {
    lit: Lit,
    rest: Vec<Sort>,
    property: Lit,
}

impl Translator<'_> {
    /// A model in which all of `assumed` hold, and in which each claim that holds has a witness. If
    /// there is none, some of `assumed` that exclude each other.
    pub(crate) fn witnessed(
        &mut self,
        prover: &mut Prover,
        assumed: &[Lit],
    ) -> Result<Model, Vec<Lit>> {
        self.with_witnesses(prover, assumed, [false; 3], &[])
    }

    /// The same, when the witnesses of some sorts are `taken`, those of `last` just before.
    fn with_witnesses(
        &mut self,
        prover: &mut Prover,
        assumed: &[Lit],
        taken: [bool; 3],
        last: &[Sort],
    ) -> Result<Model, Vec<Lit>> {
        let mut claims = self.claims(taken, last);
        let mut needed = BTreeSet::new();
        'model: loop {
            let denied = claims.iter().map(|claim| claim.lit);
            let denied = denied.filter(|lit| !needed.contains(lit)).map(|lit| !lit);
            let all: Vec<Lit> = assumed.iter().copied().chain(denied).collect();
            let model = match prover.model_or_core(&self.formulas, &all) {
                Ok(model) => model,
                Err(core) => {
                    let more = core.iter().filter(|lit| !assumed.contains(lit));
                    let before = needed.len();
                    needed.extend(more.map(|lit| !*lit));
                    if needed.len() == before {
                        return Err(core);
                    }
                    // These are the first to try.
                    claims.sort_by_key(|claim| !core.contains(&!claim.lit));
                    continue;
                }
            };
            for tried in 0..claims.len() {
                let claim = &claims[tried];
                if !needed.contains(&claim.lit) || !model.holds(&self.formulas, claim.lit) {
                    continue;
                }
                let mut chosen = taken;
                for sort in &claim.rest {
                    chosen[*sort as usize] = true;
                }
                let with = [&all, &[claim.property][..]].concat();
                if let Err(core) = self.with_witnesses(prover, &with, chosen, &claim.rest) {
                    let core = self.smallest(prover, core);
                    let condition = core.into_iter().filter(|lit| *lit != claim.property);
                    let condition = self.formulas.all(condition);
                    let fact = self.formulas.implies(condition, !claim.lit);
                    prover.assume(&self.formulas, fact);
                    claims[..=tried].rotate_right(1);
                    continue 'model;
                }
            }
            return Ok(model);
        }
    }

    /// Of assumptions that exclude each other, some that still do, none of which can be left out.
    fn smallest(&self, prover: &mut Prover, mut core: Vec<Lit>) -> Vec<Lit> {
        let mut at = 0;
        while at < core.len() {
            let mut fewer = core.clone();
            fewer.remove(at);
            match prover.model_or_core(&self.formulas, &fewer) {
                Ok(_) => at += 1,
                Err(smaller) => core = smaller,
            }
        }
        core
    }

    /// The claims to try: of sorts whose witness is not taken, and about the witnesses that were
    /// taken last. The others were tried before.
    fn claims(&mut self, taken: [bool; 3], last: &[Sort]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for ((rest, property), some) in &self.some {
            claims.push((*some, rest.clone(), *property));
        }
        for ((rest, property), count) in &self.counts {
            let none = self.formulas.at_most_zero(count.clone());
            claims.push((!none, rest.clone(), *property));
        }
        // In a fixed order.
        claims.sort();
        let formulas = &self.formulas;
        claims.retain(|(lit, rest, _)| {
            let about = formulas.about(*lit);
            rest.iter().all(|sort| !taken[*sort as usize])
                && (0..3).all(|sort| taken[sort] || !about[sort])
                && (last.is_empty() || last.iter().any(|sort| about[*sort as usize]))
        });
        let claims = claims.into_iter().map(|(lit, rest, property)| Claim {
            lit,
            rest,
            property,
        });
        claims.collect()
    }
}
