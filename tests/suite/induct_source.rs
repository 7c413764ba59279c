//! The text of the specification and of its proof, parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tla_checker::ast::{Env, Expr, Spec, Value as Ground};
use tla_checker::{eval, parser};

use crate::spec_files::disjuncts;

/// `WorkerTable`, `WorkerPool` and `WorkerPoolProof`, read as one module.
pub(crate) struct Source {
    spec: Spec,
    tables: BTreeMap<Arc<str>, Ground>,
    /// The disjuncts of `Next`, such as `\E w \in Staff : RetireSurplus(w)`.
    pub(crate) actions: Vec<String>,
    texts: Vec<(String, String)>,
}

impl Source {
    /// Parses the three modules. The parser replaces each name by its definition, and primes the
    /// clauses of the invariant.
    pub(crate) fn of(table: &str, pool: &str, proof: &str) -> Result<Self, String> {
        let mut texts = vec![
            ("pool".to_owned(), pool.to_owned()),
            ("proof".to_owned(), proof.to_owned()),
        ];
        let mut joined = body(pool).to_owned() + body(proof);
        for clause in conjuncts(&texts, "Inductive")? {
            joined += &format!("\n{} == {clause}'\n", after(&clause));
        }
        let joined = format!("---- MODULE Joined ----\n{joined}\n====\n");
        let (spec, warnings) = parser::parse_with_warnings(&joined).map_err(|e| e.to_string())?;
        if let Some(warning) = warnings.first() {
            return Err(warning.value.clone());
        }
        let mut actions = Vec::new();
        for part in ["Settle", "Notice", "Input"] {
            actions.extend(disjuncts(&texts, part).ok_or_else(|| format!("there is no {part}"))?);
        }
        texts.push(("table".to_owned(), table.to_owned()));
        let tables = parser::parse(table).map_err(|e| e.to_string())?.definitions;
        let values = tables
            .iter()
            .filter(|(_, (parameters, _))| parameters.is_empty());
        let values = values.filter_map(|(name, (_, body))| {
            let value = eval::eval(body, &mut Env::new(), &tables).ok()?;
            Some((name.clone(), value))
        });
        Ok(Self {
            tables: values.collect(),
            spec,
            actions,
            texts,
        })
    }

    pub(crate) fn variables(&self) -> &[Arc<str>] {
        &self.spec.vars
    }

    pub(crate) fn is_variable(&self, name: &str) -> bool {
        self.spec.vars.iter().any(|variable| **variable == *name)
    }

    pub(crate) fn is_constant(&self, name: &str) -> bool {
        self.spec
            .constants
            .iter()
            .any(|constant| **constant == *name)
    }

    pub(crate) fn constants(&self) -> &[Arc<str>] {
        &self.spec.constants
    }

    /// The definition of a name without parameters.
    pub(crate) fn definition(&self, name: &str) -> &Expr {
        match self.spec.definitions.get(name) {
            Some((_, body)) => body,
            None => panic!("{name} is not defined"),
        }
    }

    /// A definition of `WorkerTable`. The configurations bind three constants to such.
    pub(crate) fn table(&self, name: &str) -> Option<&Ground> {
        let name = match name {
            "Cell" => "Table",
            "EntryRung" => "EntryRungs",
            "NextRung" => "NextRungs",
            other => other,
        };
        self.tables.get(name)
    }

    /// The names in a conjunction of names, such as `Inductive`.
    pub(crate) fn conjuncts(&self, name: &str) -> Vec<String> {
        conjuncts(&self.texts, name).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The properties of the form `[][A]_vars`.
    pub(crate) fn step_properties(&self) -> Vec<String> {
        let definitions = self.spec.definitions.iter();
        let steps = definitions.filter(|(_, (_, body))| matches!(**body, Expr::BoxAction(..)));
        steps.map(|(name, _)| name.to_string()).collect()
    }

    /// The action in a property of every step.
    pub(crate) fn step_property(&self, name: &str) -> &Expr {
        match self.definition(name) {
            Expr::BoxAction(action, _) => action,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// A clause of the invariant in the state after a step.
    pub(crate) fn primed(&self, clause: &str) -> &Expr {
        self.definition(&after(clause))
    }
}

fn after(clause: &str) -> String {
    format!("{clause}After")
}

/// A module without its first and last lines and without EXTENDS.
fn body(module: &str) -> &str {
    let start = module.find("\nEXTENDS ").map_or(0, |at| at + 1);
    let start = start + module[start..].find('\n').unwrap_or_default();
    let end = module.find("\n====").unwrap_or(module.len());
    &module[start..end]
}

fn conjuncts(texts: &[(String, String)], name: &str) -> Result<Vec<String>, String> {
    let head = format!("\n{name} ==");
    let text = texts
        .iter()
        .find_map(|(_, text)| Some(text.split_once(&head)?.1));
    let text = text.ok_or_else(|| format!("{name} is not defined"))?;
    let lines = text
        .lines()
        .take_while(|line| !line.is_empty() && !line.starts_with("===="));
    let lines = lines.map(|line| line.split("\\*").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join(" ");
    let names = text.split("/\\").map(|name| name.trim().to_owned());
    Ok(names.filter(|name| !name.is_empty()).collect())
}
