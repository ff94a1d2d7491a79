//! Figures as people read them.

/// The middle one, or the lower of the two in the middle.
///
/// # Panics
/// Where there is none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() - 1) / 2]
}

/// A Markdown table, its columns aligned.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} "));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut table = line(header.to_vec());
    table += &line(rule.iter().map(String::as_str).collect());
    for row in rows {
        table += &line(row.iter().map(String::as_str).collect());
    }
    table
}

/// `412k`, `3.1k` or `87`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 10_000.0 => format!("{:.0}k", rate / 1000.0),
        rate if rate >= 1000.0 => format!("{:.1}k", rate / 1000.0),
        rate => format!("{rate:.0}"),
    }
}

/// What was aimed at, and whether it was reached.
pub fn aim(what: &str, found: f64, least: f64) -> Vec<String> {
    verdict(what, found, format!("≥ {least}"), found >= least)
}

/// What was not to be exceeded, and whether that was reached.
pub fn at_most(what: &str, found: f64, most: f64) -> Vec<String> {
    verdict(what, found, format!("≤ {most}"), found <= most)
}

fn verdict(what: &str, found: f64, wanted: String, is_reached: bool) -> Vec<String> {
    let verdict = if is_reached { "reached" } else { "not reached" };
    vec![what.to_owned(), format!("{found:.2}"), wanted, verdict.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.0);
    }

    #[test]
    fn a_table_is_aligned() {
        let rows = [vec!["Überlingen".to_owned(), "1".to_owned()]];
        let expected = "| way        | rate |\n| ---------- | ---- |\n| Überlingen | 1    |\n";
        assert_eq!(table(&["way", "rate"], &rows), expected);
    }
}
