//! Expressions that the translator reads as a whole, because it knows no positions of a queue.

use tla_checker::ast::Expr;

/// The queue in `1..Len(queue)`.
fn positions(set: &Expr) -> Option<&Expr> {
    match set {
        Expr::SetRange(_, to) => match &**to {
            Expr::Len(queue) => Some(queue),
            _ => None,
        },
        _ => None,
    }
}

/// The queue in `{ queue[n] : n \in 1..Len(queue) }`.
pub(crate) fn members<'e>(set: &'e Expr, body: &Expr) -> Option<&'e Expr> {
    let queue = positions(set)?;
    matches!(body, Expr::FnApp(of, _) if **of == *queue).then_some(queue)
}

/// The queue in `\A m, n \in 1..Len(queue) : queue[m] = queue[n] => m = n`.
pub(crate) fn distinct<'e>(set: &'e Expr, name: &str, body: &Expr) -> Option<&'e Expr> {
    let queue = positions(set)?;
    let Expr::Forall(other, also, body) = body else {
        return None;
    };
    let Expr::Implies(same, equal) = &**body else {
        return None;
    };
    let (m, n) = (
        Box::new(Expr::Var(name.into())),
        Box::new(Expr::Var(other.clone())),
    );
    let at = |index: &Expr| {
        Box::new(Expr::FnApp(
            Box::new(queue.clone()),
            Box::new(index.clone()),
        ))
    };
    let expected =
        (**also == *set) && **same == Expr::Eq(at(&m), at(&n)) && **equal == Expr::Eq(m, n);
    expected.then_some(queue)
}

/// Whether this is `CHOOSE n \in S : \A m \in S : m <= n`.
pub(crate) fn maximum(set: &Expr, name: &str, body: &Expr) -> bool {
    let Expr::Forall(other, also, body) = body else {
        return false;
    };
    let var = |name: &str| Box::new(Expr::Var(name.into()));
    **also == *set && **body == Expr::Le(var(other), var(name))
}
