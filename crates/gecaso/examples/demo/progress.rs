//! How far a step has come, on stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// A bar on a terminal, one line a step elsewhere. On stderr: the table alone is output.
pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    drawn: Option<Instant>,
    done: u64,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: Option<usize>) -> Self {
        Progress { what, total: total.map(|total| total as u64), drawn: None, done: 0 }
    }

    pub(crate) fn at(&mut self, done: u64) {
        self.done = done;
        // The clock is read once in 64 files: the bar must not be what is measured.
        let due = |drawn: Instant| drawn.elapsed() > Duration::from_millis(50);
        if done.is_multiple_of(64) && io::stderr().is_terminal() && self.drawn.is_none_or(due) {
            self.drawn = Some(Instant::now());
            self.draw();
        }
    }

    fn draw(&self) {
        let mut line = format!("\r\x1b[K{:<24}", self.what);
        if let Some(total) = self.total.filter(|&total| total > 0) {
            let full = (self.done * 30 / total) as usize;
            let percent = self.done * 100 / total;
            let _ = write!(line, "[{:<30}] {percent:>3} % ", "#".repeat(full));
        }
        let _ = write!(io::stderr(), "{line}{} files", grouped(self.done));
    }

    pub(crate) fn end(self) {
        if io::stderr().is_terminal() {
            self.draw();
            let _ = writeln!(io::stderr());
        } else {
            let _ = writeln!(io::stderr(), "{}: {} files", self.what, grouped(self.done));
        }
    }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
