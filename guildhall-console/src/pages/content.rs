//! JSON for people.

use guildhall_core::Json;
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

/// The same of a row, unless there is nothing to show.
pub(crate) fn on_demand(row: &str, json: &Json, name: &str) -> Markup {
    html! {
        @if json.as_str() != "null" && json.as_str() != "{}" {
            details.evidence id={ (row) "-" (name) } { summary { (name) } (readable(json, name)) }
        }
    }
}
