//! Exact arithmetic over unknown natural numbers: sums, and whether a set of inequalities has a
//! solution.

use std::collections::BTreeMap;

/// A sum of unknown natural numbers, each times a factor, and a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Linear {
    terms: BTreeMap<usize, i64>,
    constant: i64,
}

impl Linear {
    pub(crate) fn constant(constant: i64) -> Self {
        Self {
            terms: BTreeMap::new(),
            constant,
        }
    }

    pub(crate) fn unknown(index: usize) -> Self {
        Self {
            terms: BTreeMap::from([(index, 1)]),
            constant: 0,
        }
    }

    pub(crate) fn plus(&self, other: &Self, factor: i64) -> Self {
        let mut sum = self.clone();
        sum.constant += factor * other.constant;
        for (&index, &by) in &other.terms {
            *sum.terms.entry(index).or_default() += factor * by;
        }
        sum.terms.retain(|_, factor| *factor != 0);
        sum
    }

    pub(crate) fn unknowns(&self) -> impl Iterator<Item = usize> {
        self.terms.keys().copied()
    }

    /// Its value, when it contains no unknown.
    pub(crate) fn known(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Whether the first unknown has a negative factor. Of an inequality and its negation, one has.
    pub(crate) fn leads_negative(&self) -> bool {
        self.terms.values().next().is_some_and(|factor| *factor < 0)
    }
}

/// The negation of `sum <= 0` over integers: `1 - sum <= 0`.
pub(crate) fn negated(sum: &Linear) -> Linear {
    Linear::constant(1).plus(sum, -1)
}

/// The indices of inequalities `sum <= 0` that no natural numbers satisfy together, or `None` when
/// fractions do. So a conflict is a proof, and no conflict is not a solution.
///
/// This is the dual simplex method with Bland's rule. Each row reads "slack = constant + terms",
/// where every variable is at least 0.
pub(crate) fn conflict(inequalities: &[Linear]) -> Option<Vec<usize>> {
    let mut columns: BTreeMap<usize, usize> = BTreeMap::new();
    for index in inequalities.iter().flat_map(|sum| sum.terms.keys()) {
        let next = columns.len();
        columns.entry(*index).or_insert(next);
    }
    let width = columns.len();
    // Variables below `width` are the unknowns; the others are the slacks.
    let mut outside: Vec<usize> = (0..width).collect();
    let mut basis: Vec<usize> = (width..width + inequalities.len()).collect();
    let mut rows: Vec<Vec<Ratio>> = Vec::new();
    for sum in inequalities {
        let mut row = vec![Ratio::from(0); width + 1];
        for (index, factor) in &sum.terms {
            row[columns[index]] = Ratio::from(-factor);
        }
        row[width] = Ratio::from(-sum.constant);
        rows.push(row);
    }
    loop {
        let negative = (0..rows.len()).filter(|&r| rows[r][width].0 < 0);
        let leaving = negative.min_by_key(|&r| basis[r])?;
        let positive = (0..width).filter(|&c| rows[leaving][c].0 > 0);
        let Some(entering) = positive.min_by_key(|&c| outside[c]) else {
            let terms = (0..width).filter(|&c| rows[leaving][c].0 != 0);
            let slacks = terms.map(|c| outside[c]).chain([basis[leaving]]);
            return Some(slacks.filter_map(|v| v.checked_sub(width)).collect());
        };
        pivot(&mut rows, leaving, entering);
        std::mem::swap(&mut basis[leaving], &mut outside[entering]);
    }
}

/// Solves row `leaving` for the variable of column `entering`, and substitutes it elsewhere.
fn pivot(rows: &mut [Vec<Ratio>], leaving: usize, entering: usize) {
    let by = rows[leaving][entering];
    for value in &mut rows[leaving] {
        *value = value.times(Ratio::from(-1)).over(by);
    }
    rows[leaving][entering] = Ratio::from(1).over(by);
    let solved = rows[leaving].clone();
    for (_, row) in rows.iter_mut().enumerate().filter(|(r, _)| *r != leaving) {
        let factor = std::mem::replace(&mut row[entering], Ratio::from(0));
        if factor.0 != 0 {
            for (value, by) in row.iter_mut().zip(&solved) {
                *value = value.plus(factor.times(*by));
            }
        }
    }
}

/// A fraction in lowest terms, with a positive denominator. Overflow panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratio(i128, i128);

impl Ratio {
    fn from(n: i64) -> Self {
        Self(n.into(), 1)
    }

    fn new(above: i128, below: i128) -> Self {
        let (mut a, mut b) = (above.abs(), below.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let sign = below.signum();
        Self(sign * above / a, below.abs() / a)
    }

    fn plus(self, other: Self) -> Self {
        let above = self.0.checked_mul(other.1).zip(other.0.checked_mul(self.1));
        let (a, b) = above.expect("small factors");
        Self::new(a + b, self.1.checked_mul(other.1).expect("small factors"))
    }

    fn times(self, other: Self) -> Self {
        let product = self.0.checked_mul(other.0).zip(self.1.checked_mul(other.1));
        let (above, below) = product.expect("small factors");
        Self::new(above, below)
    }

    fn over(self, other: Self) -> Self {
        self.times(Self::new(other.1, other.0))
    }
}

/// Small systems with known answers.
#[test]
fn induct_arithmetic_refutes_exactly_what_has_no_solution() {
    let (x, y) = (Linear::unknown(0), Linear::unknown(1));
    let at_least = |sum: &Linear, n| Linear::constant(n).plus(sum, -1);
    let at_most = |sum: &Linear, n| sum.plus(&Linear::constant(n), -1);
    // 3 <= x, y <= 9, x <= y, y <= 2: the second is not needed.
    let order = x.plus(&y, -1);
    let system = [
        at_least(&x, 3),
        at_most(&y, 9),
        order.clone(),
        at_most(&y, 2),
    ];
    let mut core = conflict(&system).expect("no solution");
    core.sort_unstable();
    assert_eq!(core, [0, 2, 3]);
    assert_eq!(conflict(&system[..3]), None);
    // An unknown is never negative.
    assert_eq!(conflict(&[at_most(&x, -1)]), Some(vec![0]));
    assert_eq!(conflict(&[negated(&order), at_most(&x, 1)]), None);
    assert!(conflict(&[negated(&order), at_most(&x, 0)]).is_some());
}
