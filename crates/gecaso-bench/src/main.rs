//! gecaso beside its rivals, all in one process: `cargo run --release -p gecaso-bench`.
//!
//! Prints one table per group: a peer, its nanoseconds, and how many times the first row's figure
//! that is. See `docs/benchmarks.md` for how it measures.

mod far;
mod harness;
mod pauses;
mod peers;
mod rows;
mod table;
mod work;

use harness::Effort;
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "gecaso-bench [--quick] [--only GROUP] [--rounds N] [--csv FILE]";

struct Choices {
    only: String,
    effort: Effort,
    csv: Option<File>,
}

fn choices() -> Result<Choices, String> {
    let effort = Effort { rounds: 15, slice: Duration::from_millis(10) };
    let mut choices = Choices { only: String::new(), effort, csv: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--quick" => choices.effort = Effort { rounds: 3, slice: Duration::from_millis(2) },
            "--only" => choices.only = value()?,
            "--rounds" => {
                let rounds: usize = value()?.parse().map_err(|_| "--rounds wants a number")?;
                choices.effort.rounds = rounds.max(1);
            }
            "--csv" => {
                let path = value()?;
                choices.csv =
                    Some(File::create(&path).map_err(|error| format!("{path}: {error}"))?);
            }
            _ => return Err(format!("what is {word}?")),
        }
    }
    let mut names = rows::names();
    names.extend([far::GROUP, pauses::GROUP]);
    if !names.iter().any(|name| name.contains(&choices.only)) {
        return Err(format!("no group is called so; there are: {}", names.join(" ")));
    }
    Ok(choices)
}

fn main() -> ExitCode {
    let Choices { only, effort, mut csv } = match choices() {
        Ok(choices) => choices,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    let mut show = |table: &table::Table| {
        println!("{}", table.text());
        if let Some(file) = &mut csv {
            failed |= file.write_all(table.lines().as_bytes()).is_err();
        }
    };
    if rows::names().iter().any(|name| name.contains(&only)) {
        rows::run(&peers::all(), &only, effort, &mut show);
    }
    if far::GROUP.contains(&only) {
        show(&far::table(effort));
    }
    if pauses::GROUP.contains(&only) {
        show(&pauses::table(effort.rounds / 3));
    }
    if failed {
        eprintln!("the figures could not be written");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
