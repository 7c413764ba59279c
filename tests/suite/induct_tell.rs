//! Counterexamples to induction, in the words of the specification.

use std::fmt::Write as _;

use crate::induct_actions::Step;
use crate::induct_formula::Model;
use crate::induct_state::{Shape, Translator};
use crate::induct_value::{Atom, Value};

impl<'a> Translator<'a> {
    /// What a model says of the named elements before a step, and what the step changes.
    pub(crate) fn tell(&mut self, model: &Model, step: &Step<'a>) -> String {
        let mut out = String::new();
        let parameters: Vec<String> = step
            .parameters
            .iter()
            .map(|value| self.text(model, value))
            .collect();
        if !parameters.is_empty() {
            writeln!(out, "  with {}", parameters.join(", ")).expect("a string can be written to");
        }
        let mut before: Vec<_> = self
            .state
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        before.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((variable, at), value) in before {
            let exist = at.iter().all(|atom| match atom {
                Atom::Element(sort, index) => {
                    let is_named = *index < self.names[*sort as usize];
                    is_named && model.holds(&self.formulas, self.exists[*sort as usize][*index])
                }
                Atom::Other(..) => false,
                _ => true,
            });
            if !exist || at.is_empty() && variable.as_ref() == "queue" {
                continue;
            }
            let is = self.text(model, &value);
            let after = self.after_at(&variable, &at);
            let becomes = after.map(|after| self.text(model, &after));
            let changes = becomes.filter(|becomes| *becomes != is);
            // What is not so, and stays so, is left out.
            let says_nothing = is == "FALSE" || is == "(a number)";
            if says_nothing && changes.is_none() {
                continue;
            }
            let at: Vec<String> = at.iter().map(ToString::to_string).collect();
            let name = match &self.shapes[&*variable] {
                Shape::Set(_) if at.len() == 2 => {
                    format!("<< {} >> \\in {variable}", at.join(", "))
                }
                Shape::Set(_) | Shape::Queue => format!("{} \\in {variable}", at.join(", ")),
                Shape::Function(..) => format!("{variable}[{}]", at.join(", ")),
                Shape::Atom(_) | Shape::Number | Shape::Truth => variable.to_string(),
            };
            let change = changes.map(|to| format!(", then {to}")).unwrap_or_default();
            writeln!(out, "  {name}: {is}{change}").expect("a string can be written to");
        }
        out
    }

    /// The value after the step, where there is one.
    fn after_at(&mut self, variable: &str, at: &[Atom]) -> Option<Value<'a>> {
        let after = self.after.get(variable)?.clone();
        let element = match at {
            [one] => Value::atom(one.clone()),
            many => Value::Tuple(
                many.iter()
                    .cloned()
                    .map(Value::atom)
                    .collect::<Vec<_>>()
                    .into(),
            ),
        };
        Some(match after {
            Value::Function(function) => self.apply(&function, &element),
            Value::Set(set) => Value::Truth(self.contains(&set, &element)),
            Value::Queue(queue) => Value::Truth(self.is_waiting(&queue, &at[0])),
            other => other,
        })
    }

    fn text(&self, model: &Model, value: &Value<'a>) -> String {
        let holds = |lit| model.holds(&self.formulas, lit);
        match value {
            Value::Truth(lit) => if holds(*lit) { "TRUE" } else { "FALSE" }.into(),
            Value::Atom(cases) => {
                let case = cases.iter().find(|(_, lit)| holds(*lit));
                case.map_or("(unknown)".into(), |(atom, _)| atom.to_string())
            }
            Value::Number(cases) => {
                let case = cases.iter().find(|(_, lit)| holds(*lit));
                case.and_then(|(sum, _)| sum.known())
                    .map_or("(a number)".into(), |n| n.to_string())
            }
            _ => "(a value with parts)".into(),
        }
    }
}
