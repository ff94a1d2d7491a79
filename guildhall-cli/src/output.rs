//! What a command prints: rows in one of five forms, one document, or text; on standard output.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::slice;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use guildhall_core::Cursor;
use guildhall_core::text::escape_for_terminal;
use serde::Serialize;

use crate::progress::say;
use crate::target::print;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people, as wide as the terminal
    Table,
    /// One document: the rows, and the cursor after them
    Json,
    /// One row a line, as JSON
    Jsonl,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
    /// What names each row, one a line
    Name,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// The form of its rows.
    pub format: Format,
    /// Whether nothing but errors is said.
    pub quiet: bool,
}

/// A row that a list can show.
pub trait Row: Serialize {
    /// The names of a table's columns, in upper case; CSV has them in lower case.
    const COLUMNS: &'static [&'static str];

    /// The values of the columns, whole: a table cuts what does not fit.
    fn cells(&self) -> Vec<String>;

    /// What names the row, for the next command.
    fn name(&self) -> String;
}

/// A list as one JSON document.
#[derive(Serialize)]
struct Document<'r, R> {
    rows: &'r [R],
    next: Option<&'r Cursor>,
}

/// Prints rows. `next` is where the next page begins: a document contains it; otherwise a note says that
/// there are more.
///
/// # Errors
/// Writing to standard output fails.
pub fn print_rows<R: Row>(listing: Listing, rows: &[R], next: Option<&Cursor>) -> Result<()> {
    let text = match listing.format {
        Format::Table => table_text(rows, terminal_width(), Style::of_stdout()),
        Format::Json => return print_document(true, &Document { rows, next }, |_| String::new()),
        Format::Jsonl => {
            rows.iter().map(|row| Ok(serde_json::to_string(row)? + "\n")).collect::<Result<_>>()?
        }
        Format::Csv => csv_text(rows, true)?,
        Format::Name => {
            rows.iter().map(|row| escape_for_terminal(&row.name()).into_owned() + "\n").collect()
        }
    };
    print(&text)?;
    if next.is_some() && !listing.quiet {
        say(
            "there are more rows: ask for more with --limit, or go on after these with --after and \
             the cursor that -o json prints",
        );
    }
    Ok(())
}

/// Prints one row of a list that goes on: in a table as a line, its values separated by two spaces, and
/// in JSON as one a line. `is_first` prints the header of a CSV.
///
/// # Errors
/// Writing to standard output fails.
pub fn print_row<R: Row>(listing: Listing, row: &R, is_first: bool) -> Result<()> {
    let text = match listing.format {
        Format::Table => escape_for_terminal(&row.cells().join("  ")).into_owned(),
        Format::Json | Format::Jsonl => serde_json::to_string(row)?,
        Format::Csv => return Ok(print(&csv_text(slice::from_ref(row), is_first)?)?),
        Format::Name => escape_for_terminal(&row.name()).into_owned(),
    };
    Ok(print(&(text + "\n"))?)
}

fn csv_text<R: Row>(rows: &[R], has_header: bool) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if has_header {
        let names = R::COLUMNS.iter().map(|column| column.to_lowercase().replace(' ', "_"));
        writer.write_record(names)?;
    }
    for row in rows {
        writer.write_record(row.cells())?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Rows as columns, a line each, cut where the terminal ends. Empty without rows.
fn table_text<R: Row>(rows: &[R], width: Option<u16>, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(R::COLUMNS.iter().copied());
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_truncation_indicator("…");
    for row in rows {
        let cells = row.cells().into_iter().map(|cell| escape_for_terminal(&cell).into_owned());
        let mut row = comfy_table::Row::from(cells);
        row.max_height(1);
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        column.set_cell_alignment(CellAlignment::Left);
    }
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let mut text = style.strong(header.trim_end()) + "\n";
    for line in lines {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Prints one document with --json, else text.
///
/// # Errors
/// Writing to standard output fails.
pub fn print_document<T: Serialize>(
    is_json: bool,
    document: &T,
    text: impl FnOnce(Style) -> String,
) -> Result<()> {
    if is_json {
        return Ok(print(&(serde_json::to_string(document)? + "\n"))?);
    }
    Ok(print(&text(Style::of_stdout()))?)
}

/// A line of text: what it is called, and its value, which a terminal does not obey.
pub(crate) fn field(text: &mut String, name: &str, value: &str) {
    field_in(text, name, value, str::to_owned);
}

/// The same in a colour, which is given after what a terminal would obey was taken out of the value.
pub(crate) fn field_in(
    text: &mut String,
    name: &str,
    value: &str,
    colour: impl FnOnce(&str) -> String,
) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{name:<12} {}", colour(&escape_for_terminal(value)));
}

/// The width of the terminal that standard output goes to; none if it goes elsewhere.
pub fn terminal_width() -> Option<u16> {
    terminal::Term::stdout().size_checked().map(|(_, width)| width)
}

/// Colours, where a terminal shows them and nobody asked for none (`NO_COLOR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    is_coloured: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { is_coloured: false };

    /// As standard output has it.
    pub fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// As standard error has it.
    pub fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(is_terminal: bool) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_coloured: is_terminal && !is_unwanted }
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.in_code(1, text)
    }

    /// All is well.
    pub fn good(self, text: &str) -> String {
        self.in_code(32, text)
    }

    /// What needs a look.
    pub fn doubtful(self, text: &str) -> String {
        self.in_code(33, text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.in_code(31, text)
    }

    fn in_code(self, code: u8, text: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Serialize)]
    struct Person {
        full_name: String,
        city: &'static str,
    }

    impl Row for Person {
        const COLUMNS: &'static [&'static str] = &["FULL NAME", "CITY"];

        fn cells(&self) -> Vec<String> {
            vec![self.full_name.clone(), self.city.to_owned()]
        }

        fn name(&self) -> String {
            self.full_name.clone()
        }
    }

    fn people() -> Vec<Person> {
        vec![
            Person { full_name: "Ada, \u{1b}[2J".to_owned(), city: "London" },
            Person { full_name: "g".repeat(60), city: "Oslo" },
        ]
    }

    #[test]
    fn a_table_fits_the_terminal_and_obeys_nothing() {
        let text = table_text(&people(), Some(40), Style::PLAIN);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("…") && text.contains("\\u{1b}[2J"), "{text}");
        let whole = table_text(&people(), None, Style::PLAIN);
        assert!(whole.contains(&"g".repeat(60)), "{whole}");
        let coloured = table_text(&people(), None, Style { is_coloured: true });
        assert!(coloured.starts_with("\u{1b}[1mFULL NAME"), "{coloured}");
    }

    #[test]
    fn a_coloured_field_obeys_its_colour_and_nothing_else() {
        let mut text = String::new();
        let coloured = Style { is_coloured: true };
        field_in(&mut text, "term", "over\u{1b}[2Jdue", |it| coloured.doubtful(it));
        assert_eq!(text, "term         \u{1b}[33mover\\u{1b}[2Jdue\u{1b}[0m\n");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let text = csv_text(&people()[..1], true).unwrap();
        assert_eq!(text, "full_name,city\n\"Ada, \u{1b}[2J\",London\n");
    }
}
