//! JSON for people.

use guildhall_core::Json;
use guildhall_core::diff::{Diff, LineKind};
use maud::{Markup, html};

/// How much of a text is shown, in bytes.
const SHOWN_BYTES: usize = 64 << 10;

/// A JSON text, indented; its beginning where it is long.
pub(crate) fn readable(json: &Json, label: &str) -> Markup {
    let whole = serde_json::to_string_pretty(&json.to_value());
    // A value that was parsed can be written.
    let whole = whole.unwrap_or_else(|_| json.as_str().to_owned());
    let mut end = whole.len().min(SHOWN_BYTES);
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    html! {
        pre.json tabindex="0" role="group" aria-label=(label) { code { (&whole[..end]) } }
        @if end < whole.len() {
            p.more { "The first " (end / 1024) " of " (whole.len() / 1024) " KiB; the API has the whole." }
        }
    }
}

/// How many lines of a diff are shown, and how many unchanged ones beside a change.
const SHOWN_LINES: usize = 2000;
const CONTEXT: usize = 3;

/// What changed, as lines: each has its sign and, for who listens, its word.
pub(crate) fn changed(diff: &Diff, label: &str) -> Markup {
    let lines = diff.lines(CONTEXT);
    html! {
        @if diff.is_empty() { p.muted { "Nothing: the contents are equal." } }
        @else {
            pre.json.diff tabindex="0" role="group" aria-label=(label) {
                @for line in lines.iter().take(SHOWN_LINES) {
                    @let (class, word) = match line.kind {
                        LineKind::Same => ("", ""),
                        LineKind::Added => ("added", "added: "),
                        LineKind::Removed => ("removed", "removed: "),
                        LineKind::Skipped => ("skipped", ""),
                    };
                    span class=(class) { span aria-hidden="true" { (line.kind.sign()) " " } span.hidden { (word) } (" ".repeat(line.depth * 2)) bdi { (line.text) } "\n" }
                }
            }
            @if lines.len() > SHOWN_LINES { p.more { "The first " (SHOWN_LINES) " of " (lines.len()) " lines; `guildhall diff` has the whole." } }
        }
    }
}

/// The same of a row, unless there is nothing to show.
pub(crate) fn on_demand(row: &str, json: &Json, name: &str) -> Markup {
    html! {
        @if json.as_str() != "null" && json.as_str() != "{}" {
            details.evidence id={ (row) "-" (name) } { summary { (name) } (readable(json, name)) }
        }
    }
}
