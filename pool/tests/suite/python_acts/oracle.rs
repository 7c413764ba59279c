//! The acts, and what each does to the call and to the process that performs it.

use ostler_pool::ExitStatus;

use Effect::{
    AtExit, Block, Ends, Exits, Flush, Handle, InterruptMain, Interrupts, Parts, Quiet, Raises,
    Signals, Silent,
};
use Handler::{Default, Fails, Ignored, Leaves, Notes, Python};
use Signal::{Alarm, Int, Term};

/// What an act does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Nothing that the call or its worker's end shows.
    Quiet,
    /// It raises an exception of this type.
    Raises(&'static str),
    /// It returns a generator of this many parts, and then of an exception.
    Parts(usize, Option<&'static str>),
    /// It ends neither the call nor the worker: the client abandons it after this many parts.
    Silent(usize),
    /// It raises `SystemExit`.
    Exits(i32),
    /// It ends the process without the exit of the interpreter.
    Ends(ExitStatus),
    /// It raises `KeyboardInterrupt`.
    Interrupts,
    /// It simulates SIGINT, as far as Python handles it.
    InterruptMain,
    /// It raises a signal.
    Signals(Signal),
    Handle(Signal, Handler),
    /// It blocks all signals but SIGINT, and that of a cancel.
    Block,
    /// From now on, flushing stdout (0) or stderr (1) fails or succeeds.
    Flush(usize, bool),
    /// From now on, the exit of the interpreter ends with this code.
    AtExit(i32),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Int = 0,
    Term = 1,
    Alarm = 2,
}

impl Signal {
    fn number(self) -> i32 {
        [2, 15, 14][self as usize]
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Handler {
    /// That of the operating system.
    Default,
    /// That of Python for SIGINT.
    Python,
    Ignored,
    Notes,
    Fails,
    Leaves,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Returned,
    Raised(String),
    Exited(ExitStatus),
    /// The client abandons it.
    Abandoned,
    /// What is never expected.
    Other(String),
}

/// What a client sees of a call: the reply or parts, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) parts: Vec<String>,
    pub(super) end: End,
}

/// What is known of a worker.
pub(super) struct Oracle {
    handlers: [Handler; 3],
    blocked: bool,
    cannot_flush: [bool; 2],
    exit_code: Option<i32>,
}

impl Oracle {
    /// A worker that has just started.
    pub(super) fn new() -> Self {
        Self {
            handlers: [Python, Default, Default],
            blocked: false,
            cannot_flush: [false; 2],
            exit_code: None,
        }
    }

    /// Predicts the outcome of a call.
    pub(super) fn call(&mut self, acts: &[usize], is_stream: bool) -> Outcome {
        let numbered = |count: usize| (0..count).map(|part| part.to_string()).collect();
        let ended = |end| Outcome {
            parts: Vec::new(),
            end,
        };
        let mut result = Outcome {
            parts: vec!["\"done\"".to_owned()],
            end: End::Returned,
        };
        for &act in acts {
            result = match ACTS[act].1 {
                Parts(..) | Silent(1..) if !is_stream => ended(End::Raised("TypeError".to_owned())),
                Parts(count, error) => Outcome {
                    parts: numbered(count),
                    end: error.map_or(End::Returned, |kind| End::Raised(kind.to_owned())),
                },
                Silent(count) => Outcome {
                    parts: numbered(count),
                    end: End::Abandoned,
                },
                effect => match self.end(effect) {
                    None => continue,
                    Some(end) => ended(end),
                },
            };
            break;
        }
        result
    }

    /// How an act that returns no generator ends the call, if it does.
    fn end(&mut self, effect: Effect) -> Option<End> {
        match effect {
            Quiet | Parts(..) | Silent(_) => {}
            Raises(kind) => return Some(End::Raised(kind.to_owned())),
            Exits(code) => return Some(End::Exited(self.exit(code))),
            Ends(status) => return Some(End::Exited(status)),
            Interrupts => return Some(End::Exited(self.interrupted())),
            InterruptMain => match self.handlers[Int as usize] {
                // Python simulates only signals that it handles.
                Default => {}
                handler => return self.handled(Int, handler),
            },
            Signals(Term | Alarm) if self.blocked => {}
            Signals(signal) => return self.handled(signal, self.handlers[signal as usize]),
            Handle(signal, handler) => self.handlers[signal as usize] = handler,
            Block => self.blocked = true,
            Flush(stream, fails) => self.cannot_flush[stream] = fails,
            // The last handler runs first.
            AtExit(code) => self.exit_code = Some(code),
        }
        None
    }

    fn handled(&self, signal: Signal, handler: Handler) -> Option<End> {
        Some(match handler {
            Default => End::Exited(ExitStatus::Signal(signal.number())),
            Python => End::Exited(self.interrupted()),
            Fails => End::Raised("BufferError".to_owned()),
            Leaves => End::Exited(self.exit(5)),
            Ignored | Notes => return None,
        })
    }

    /// The status of a process that ends with `SystemExit`.
    fn exit(&self, code: i32) -> ExitStatus {
        // The interpreter reports that it could not flush by this code.
        let flushed = if self.cannot_flush.contains(&true) {
            120
        } else {
            code
        };
        ExitStatus::Code(self.exit_code.unwrap_or(flushed))
    }

    /// The status of a process that ends with `KeyboardInterrupt`.
    fn interrupted(&self) -> ExitStatus {
        let signal = ExitStatus::Signal(Int.number());
        self.exit_code.map_or(signal, ExitStatus::Code)
    }
}

/// The acts, by how the module writes them.
pub(super) const ACTS: &[(&str, Effect)] = &[
    // Exceptions.
    ("raises ValueError", Raises("ValueError")),
    ("raises BaseException", Raises("BaseException")),
    ("raises GeneratorExit", Raises("GeneratorExit")),
    ("raises StopIteration", Raises("StopIteration")),
    ("raises StopAsyncIteration", Raises("StopAsyncIteration")),
    ("raises UnicodeError", Raises("UnicodeError")),
    ("raises BrokenPipeError", Raises("BrokenPipeError")),
    ("raises Unusual", Raises("exceptions.Unusual")),
    ("raises NoText", Raises("exceptions.NoText")),
    ("raises NoCause", Raises("exceptions.NoCause")),
    (
        "raises NoName",
        Raises("<the name of the exception failed>"),
    ),
    ("raises StrangeModule", Raises("None.StrangeModule")),
    ("raises OddText", Raises("exceptions.OddText")),
    ("raises_from_handlers", Raises("LookupError")),
    ("raises_a_circle", Raises("ValueError")),
    ("raises_group", Raises("BaseExceptionGroup")),
    ("raises_with_notes", Raises("ValueError")),
    ("raises_bad_syntax", Raises("SyntaxError")),
    ("raises_much", Raises("ValueError")),
    ("recurses", Raises("RecursionError")),
    ("allocates", Raises("MemoryError")),
    ("in_a_finally", Raises("EOFError")),
    (
        "raises_cancelled",
        Raises("asyncio.exceptions.CancelledError"),
    ),
    // Ends of the process.
    ("exits 0", Exits(0)),
    ("exits 3", Exits(3)),
    ("exits_with_text", Exits(1)),
    ("raises SystemExit", Exits(1)),
    ("raises Leaves", Exits(7)),
    ("raises KeyboardInterrupt", Interrupts),
    ("raises Interrupts", Interrupts),
    ("exits_at_once 4", Ends(ExitStatus::Code(4))),
    ("thread_exits_at_once 6", Ends(ExitStatus::Code(6))),
    ("kills SIGKILL", Ends(ExitStatus::Signal(9))),
    ("exits_later 9", AtExit(9)),
    ("exit_handler_fails", Quiet),
    // Results.
    ("odd_result", Raises("TypeError")),
    ("parts 0", Parts(0, None)),
    ("parts 3", Parts(3, None)),
    ("parts_then 2 OSError", Parts(2, Some("OSError"))),
    (
        "parts_then 0 GeneratorExit",
        Parts(0, Some("GeneratorExit")),
    ),
    ("parts_then 1 StopIteration", Parts(1, Some("RuntimeError"))),
    ("bad_part", Parts(1, Some("RuntimeError"))),
    ("bad_close", Parts(1, Some("BufferError"))),
    ("child_yields", Parts(3, None)),
    ("endless", Silent(2)),
    ("sleeps", Silent(0)),
    // Signals.
    ("handle SIGINT default", Handle(Int, Default)),
    ("handle SIGINT ignore", Handle(Int, Ignored)),
    ("handle SIGINT note", Handle(Int, Notes)),
    ("handle SIGINT fail", Handle(Int, Fails)),
    ("handle SIGINT leave", Handle(Int, Leaves)),
    ("handle SIGTERM default", Handle(Term, Default)),
    ("handle SIGTERM ignore", Handle(Term, Ignored)),
    ("handle SIGTERM fail", Handle(Term, Fails)),
    ("handle SIGALRM note", Handle(Alarm, Notes)),
    ("handle SIGALRM fail", Handle(Alarm, Fails)),
    ("signals SIGINT", Signals(Int)),
    ("signals SIGTERM", Signals(Term)),
    ("signals SIGALRM", Signals(Alarm)),
    ("interrupts_main", InterruptMain),
    ("timer", Handle(Alarm, Notes)),
    ("block_signals", Block),
    ("wakeup_fd", Quiet),
    // Threads.
    ("thread daemon prints", Quiet),
    ("thread daemon fails", Quiet),
    ("thread daemon spins", Quiet),
    ("thread other prints", Quiet),
    ("thread other fails", Quiet),
    ("thread other leaves", Quiet),
    ("thread other allocates", Quiet),
    ("thread_hooks", Quiet),
    // Descriptors.
    ("close 0", Quiet),
    ("close 1", Quiet),
    ("close 2", Quiet),
    ("dup_over 0", Quiet),
    ("dup_over 1", Quiet),
    ("dup_over 2", Quiet),
    ("close_range", Quiet),
    ("close_some", Quiet),
    ("do_not_block", Quiet),
    ("open_all", Quiet),
    ("leak_files", Quiet),
    ("write_to 0", Quiet),
    ("write_to 1", Quiet),
    ("write_to 2", Quiet),
    ("read_input", Quiet),
    ("read_descriptor", Quiet),
    // The standard streams.
    ("replace stdin none", Quiet),
    ("replace stdin broken", Quiet),
    ("replace stdout none", Flush(0, false)),
    ("replace stdout memory", Flush(0, false)),
    ("replace stdout broken", Flush(0, true)),
    ("replace stderr none", Flush(1, false)),
    ("replace stderr memory", Flush(1, false)),
    ("replace stderr broken", Flush(1, true)),
    ("prints", Quiet),
    // Generators and asyncio.
    ("abandoned_generator", Quiet),
    ("generator_in_a_circle", Quiet),
    ("loop_runs", Quiet),
    ("loop_is_left", Quiet),
    ("loop_task_fails", Quiet),
    ("coroutine_is_forgotten", Quiet),
    // Processes.
    ("fork returns", Quiet),
    ("fork fails", Quiet),
    ("fork leaves", Quiet),
    ("fork ends", Quiet),
    ("fork_and_forget stays", Quiet),
    ("fork_and_forget ends", Quiet),
    // The interpreter.
    ("setting environ", Quiet),
    ("setting root", Quiet),
    ("setting path", Quiet),
    ("setting arguments", Quiet),
    ("setting finders", Quiet),
    ("setting umask", Quiet),
    ("setting locale", Quiet),
    ("setting gc_off", Quiet),
    ("setting gc_often", Quiet),
    ("setting gc_freeze", Quiet),
    ("setting switches", Quiet),
    ("setting trace", Quiet),
    ("setting profile", Quiet),
    ("setting faults", Quiet),
    ("setting traceback_later", Quiet),
    ("setting digits", Quiet),
    ("setting linger", Quiet),
    ("setting core", Quiet),
    ("setting name", Quiet),
    ("setting main", Quiet),
    ("set_recursion_limit", Quiet),
    ("forget_modules", Quiet),
    ("patch_builtins", Quiet),
    ("remove_directory", Quiet),
    ("warnings_are_errors", Quiet),
    ("trace_that_fails", Quiet),
];
