//! What is shown: one aligned table per group, and the same figures as lines for programs.
//!
//! Called by `main`, filled by `rows`. The first row is the one that the others are compared with.

use std::fmt::Write as _;

/// One figure of a peer.
pub(crate) struct Cell {
    /// The median, or the lower quartile (see `harness`).
    pub(crate) value: f64,
    pub(crate) min: f64,
    /// Whether a ratio to the first row makes sense.
    pub(crate) compared: bool,
    pub(crate) note: String,
}

pub(crate) struct Table {
    pub(crate) group: &'static str,
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    /// A peer and its cells; `None` where it takes no part.
    pub(crate) rows: Vec<(&'static str, Vec<Option<Cell>>)>,
}

impl Table {
    pub(crate) fn new(group: &'static str, title: String) -> Self {
        Table { group, title, columns: Vec::new(), rows: Vec::new() }
    }

    /// How many times the first row's figure this one is.
    fn ratio(&self, column: usize, cell: &Cell) -> Option<f64> {
        let first = self.rows.first()?.1.get(column)?.as_ref()?;
        (cell.compared && first.value > 0.0).then(|| cell.value / first.value)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let name_width = self.rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
        let shown: Vec<Vec<String>> = self.rows.iter().map(|row| self.shown(&row.1)).collect();
        let width = |column: usize| {
            let cells = shown.iter().filter_map(|row| row.get(column)).map(String::len);
            cells.chain([self.columns[column].len()]).max().unwrap_or(0)
        };
        let mut text = format!("{} [{}]\n{:name_width$}", self.title, self.group, "");
        for (at, column) in self.columns.iter().enumerate() {
            let _ = write!(text, "  {column:>0$}", width(at));
        }
        for (row, cells) in self.rows.iter().zip(&shown) {
            let _ = write!(text, "\n{:name_width$}", row.0);
            for (at, cell) in cells.iter().enumerate() {
                let _ = write!(text, "  {cell:>0$}", width(at));
            }
        }
        text.push('\n');
        text
    }

    fn shown(&self, cells: &[Option<Cell>]) -> Vec<String> {
        let show = |(column, cell): (usize, &Option<Cell>)| {
            let Some(cell) = cell else { return "-".to_string() };
            let value = match cell.value {
                bodies if !cell.compared => format!("{bodies:.0}"),
                large if large >= 1000.0 => format!("{large:.0}"),
                small => format!("{small:.1}"),
            };
            let note =
                if cell.note.is_empty() { String::new() } else { format!(" ({})", cell.note) };
            match self.ratio(column, cell) {
                Some(ratio) => format!("{value}{note} {:>7}", format!("{ratio:.2}x")),
                None => value + &note,
            }
        };
        cells.iter().enumerate().map(show).collect()
    }

    /// For programs: `group;column;peer;quoted;min;ratio;note`.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        for (peer, cells) in &self.rows {
            for (at, cell) in cells.iter().enumerate() {
                let Some(cell) = cell else { continue };
                let ratio =
                    self.ratio(at, cell).map_or(String::new(), |ratio| format!("{ratio:.3}"));
                let (group, column) = (self.group, self.columns[at]);
                let Cell { value, min, note, .. } = cell;
                let _ =
                    writeln!(lines, "{group};{column};{peer};{value:.2};{min:.2};{ratio};{note}");
            }
        }
        lines
    }
}
