//! Renders the derived table for readers: as text, Mermaid and DOT.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use ostler::worker::{Effect, Input, Phase, Superstate};

use crate::derived_table::{State, Table, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The whole table, then every transition with its effects.
    Text,
    /// The transitions as a Mermaid state diagram.
    Mermaid,
    /// The transitions as a Graphviz digraph.
    Dot,
}

/// Where an arrow of a diagram begins: at a phase, or at a superstate, for all of its phases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Phase(Phase),
    Superstate(Superstate),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(phase) => phase.fmt(f),
            Self::Superstate(superstate) => superstate.fmt(f),
        }
    }
}

impl Table {
    pub(crate) fn render(&self, format: Format) -> String {
        let mut out = String::new();
        match format {
            Format::Text => self.text(&mut out),
            Format::Mermaid => self.mermaid(&mut out),
            Format::Dot => self.dot(&mut out),
        }
        .expect("writing to a string does not fail");
        out
    }

    fn text(&self, out: &mut String) -> fmt::Result {
        write!(out, "{:15}", "")?;
        self.columns(out, |phase| phase.name())?;
        for &input in Input::ALL {
            write!(out, "{input:15}")?;
            self.columns(out, |phase| match self.verdict(phase, input) {
                Verdict::Moves(to) => to.name(),
                Verdict::Stale => "~",
                Verdict::Refused => "-",
            })?;
        }
        writeln!(
            out,
            "\n~  stale: accepted, changes nothing      -  refused: a typed rejection\n"
        )?;
        for state in self.states() {
            for &input in Input::ALL {
                let cell = self.cell(state, input).expect("the table has every cell");
                if matches!(cell.verdict, Verdict::Moves(_)) {
                    let (from, to) = (spell(state), spell(cell.after));
                    let orders: Vec<String> = cell.effects.iter().map(order).collect();
                    let line = format!("{from:15} {input:14} {to:15} {}", orders.join(", "));
                    writeln!(out, "{}", line.trim_end())?;
                }
            }
        }
        Ok(())
    }

    fn columns(&self, out: &mut String, cell: impl Fn(Phase) -> &'static str) -> fmt::Result {
        let cells: Vec<String> = Phase::ALL
            .iter()
            .map(|&p| format!("{:14}", cell(p)))
            .collect();
        writeln!(out, "{}", cells.concat().trim_end())
    }

    fn mermaid(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "stateDiagram-v2")?;
        writeln!(out, "    [*] --> {}", Phase::ALL[0])?;
        self.nest(out, |out, superstate| {
            writeln!(out, "state {superstate} {{")
        })?;
        for ((source, to), inputs) in self.arrows() {
            writeln!(out, "    {source} --> {to} : {}", inputs.join("<br>"))?;
        }
        writeln!(out, "    {} --> [*]", Phase::Terminated)
    }

    fn dot(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "digraph worker {{")?;
        writeln!(out, "    compound=true; node [shape=box, style=rounded];")?;
        self.nest(out, |out, superstate| {
            writeln!(
                out,
                "subgraph cluster_{superstate} {{ label=\"{superstate}\""
            )
        })?;
        for ((source, to), inputs) in self.arrows() {
            let label = inputs.join("\\n");
            match source {
                Source::Phase(from) => writeln!(out, "    {from} -> {to} [label=\"{label}\"]")?,
                Source::Superstate(from) => {
                    // DOT has no arrows from clusters. Graphviz cuts this one at the border of
                    // `ltail`.
                    if let Some(member) = self.members(from).last() {
                        let tail = format!("ltail=cluster_{from}");
                        writeln!(out, "    {member} -> {to} [label=\"{label}\", {tail}]")?;
                    }
                }
            }
        }
        writeln!(out, "}}")
    }

    /// Writes the superstates and their phases. `Alive` is the outermost; the others lie in it.
    fn nest(
        &self,
        out: &mut String,
        open: impl Fn(&mut String, Superstate) -> fmt::Result,
    ) -> fmt::Result {
        write!(out, "    ")?;
        open(out, Superstate::Alive)?;
        for phase in self.members(Superstate::Alive) {
            writeln!(out, "        {phase}")?;
        }
        for &inner in Superstate::ALL
            .iter()
            .filter(|&&inner| inner != Superstate::Alive)
        {
            write!(out, "        ")?;
            open(out, inner)?;
            for phase in self.members(inner) {
                writeln!(out, "            {phase}")?;
            }
            writeln!(out, "        }}")?;
        }
        writeln!(out, "    }}")
    }

    /// The arrows with their inputs. An arrow that all phases of an inner superstate share begins
    /// at the superstate.
    fn arrows(&self) -> BTreeMap<(Source, Phase), Vec<&'static str>> {
        let mut arrows: BTreeMap<(Source, Phase), Vec<&'static str>> = BTreeMap::new();
        for &from in Phase::ALL {
            for &input in Input::ALL {
                if let Verdict::Moves(to) = self.verdict(from, input) {
                    let inputs = arrows.entry((self.source(from, input), to)).or_default();
                    if !inputs.contains(&input.name()) {
                        inputs.push(input.name());
                    }
                }
            }
        }
        arrows
    }

    fn source(&self, from: Phase, input: Input) -> Source {
        let verdict = self.verdict(from, input);
        match self.superstates(from) {
            [inner, _outer]
                if self
                    .members(*inner)
                    .all(|phase| self.verdict(phase, input) == verdict) =>
            {
                Source::Superstate(*inner)
            }
            _ => Source::Phase(from),
        }
    }

    /// The phases that lie directly in `superstate`.
    fn members(&self, superstate: Superstate) -> impl Iterator<Item = Phase> {
        Phase::ALL
            .iter()
            .copied()
            .filter(move |&phase| self.superstates(phase).first() == Some(&superstate))
    }
}

fn spell((phase, rung): State) -> String {
    match rung {
        Some(rung) => format!("{phase}({rung})"),
        None => String::from(phase.name()),
    }
}

fn order(effect: &Effect) -> String {
    match effect {
        Effect::Open => String::from("Open"),
        Effect::Stop(rung) => format!("Stop({rung})"),
        Effect::StartTimer(timer) => format!("StartTimer({timer})"),
        Effect::CancelTimer(timer) => format!("CancelTimer({timer})"),
    }
}
