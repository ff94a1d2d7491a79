//! A diff as lines.

use serde::Serialize;
use serde_json::Value;

use super::Node;

/// What is equal is written out up to this many characters.
const SHORT: usize = 72;

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What became of it.
    pub kind: LineKind,
    /// How deep it stands, in objects and arrays.
    pub depth: usize,
    /// What it says.
    pub text: String,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// It is in both texts.
    Same,
    /// It is in the second alone.
    Added,
    /// It is in the first alone.
    Removed,
    /// It stands for lines that are in both.
    Skipped,
}

impl LineKind {
    /// The sign before the line: `+`, `-`, a space, or three dots.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Added => "+",
            Self::Removed => "-",
            Self::Skipped => "…",
        }
    }
}

/// The lines as a text: a sign, and the line, indented. It reads without colour.
impl std::fmt::Display for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, depth, text } = self;
        write!(formatter, "{} {:indent$}{text}", kind.sign(), "", indent = depth * 2)
    }
}

pub(super) fn of(root: &Node, context: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    write_node(root, 0, "", context, &mut lines);
    lines
}

fn write_node(node: &Node, depth: usize, label: &str, context: usize, lines: &mut Vec<Line>) {
    match node {
        Node::Same(value) => {
            push(lines, LineKind::Same, depth, format!("{label}{}", closed(value)))
        }
        Node::Added(value) => write_value(value, LineKind::Added, depth, label, lines),
        Node::Removed(value) => write_value(value, LineKind::Removed, depth, label, lines),
        Node::Replaced(before, after) => {
            write_value(before, LineKind::Removed, depth, label, lines);
            write_value(after, LineKind::Added, depth, label, lines);
        }
        Node::Object(members) => {
            push(lines, LineKind::Same, depth, format!("{label}{{"));
            let members: Vec<_> =
                members.iter().map(|(name, node)| (labelled(name), node)).collect();
            write_parts(&members, depth + 1, context, lines);
            push(lines, LineKind::Same, depth, "}".to_owned());
        }
        Node::Array(elements) => {
            push(lines, LineKind::Same, depth, format!("{label}["));
            let elements: Vec<_> = elements.iter().map(|node| (String::new(), node)).collect();
            write_parts(&elements, depth + 1, context, lines);
            push(lines, LineKind::Same, depth, "]".to_owned());
        }
    }
}

/// The parts of an object or an array, of which long runs that did not change are counted.
fn write_parts(parts: &[(String, &Node)], depth: usize, context: usize, lines: &mut Vec<Line>) {
    let is_same = |at: usize| matches!(parts[at].1, Node::Same(_));
    let mut at = 0;
    while at < parts.len() {
        let end = (at..parts.len()).find(|end| !is_same(*end)).unwrap_or(parts.len());
        // Where a run begins or ends the parts, there is no change on that side to stand beside.
        let before = if at == 0 { 0 } else { context };
        let after = if end == parts.len() { 0 } else { context };
        let run = end - at;
        let is_cut = run > before + after + 1;
        for (nth, (label, node)) in parts[at..end].iter().enumerate() {
            if is_cut && nth == before {
                let skipped = run - before - after;
                push(lines, LineKind::Skipped, depth, format!("{skipped} unchanged"));
            }
            if !is_cut || nth < before || nth >= run - after {
                write_node(node, depth, label, context, lines);
            }
        }
        if let Some((label, node)) = parts.get(end) {
            write_node(node, depth, label, context, lines);
        }
        at = end + 1;
    }
}

fn push(lines: &mut Vec<Line>, kind: LineKind, depth: usize, text: String) {
    lines.push(Line { kind, depth, text });
}

fn labelled(name: &str) -> String {
    format!("{}: ", Value::from(name))
}

/// A value on one line; of one that is long, how much it holds.
fn closed(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHORT {
        return text;
    }
    match value {
        Value::Object(members) => format!("{{ {} unchanged }}", members.len()),
        Value::Array(elements) => format!("[ {} unchanged ]", elements.len()),
        _ => text,
    }
}

/// A value in full.
fn write_value(value: &Value, kind: LineKind, depth: usize, label: &str, lines: &mut Vec<Line>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            push(lines, kind, depth, format!("{label}{{"));
            for (name, value) in members {
                write_value(value, kind, depth + 1, &labelled(name), lines);
            }
            push(lines, kind, depth, "}".to_owned());
        }
        Value::Array(elements) if !elements.is_empty() => {
            push(lines, kind, depth, format!("{label}["));
            for value in elements {
                write_value(value, kind, depth + 1, "", lines);
            }
            push(lines, kind, depth, "]".to_owned());
        }
        value => push(lines, kind, depth, format!("{label}{value}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use crate::diff::Diff;
    use crate::json::Json;

    fn text(before: &str, after: &str) -> String {
        let diff = Diff::of(&Json::parse(before).unwrap(), &Json::parse(after).unwrap());
        let lines: Vec<_> = diff.lines(1).iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_change_stands_between_what_did_not_change() {
        let before = r#"{"a":1,"b":2,"c":3,"d":{"x":1},"e":5,"f":[1,2],"g":7,"h":8}"#;
        let after = r#"{"a":1,"b":2,"c":3,"d":{"x":2,"y":{"z":[]}},"e":5,"f":[1,2],"g":7,"h":8}"#;
        assert_eq!(
            text(before, after),
            "  {\n…   2 unchanged\n    \"c\": 3\n    \"d\": {\n-     \"x\": 1\n+     \"x\": 2\n\
             +     \"y\": {\n+       \"z\": []\n+     }\n    }\n    \"e\": 5\n…   3 unchanged\n  }"
        );
    }

    #[test]
    fn what_is_equal_is_one_line() {
        let long = format!("[{}]", vec!["\"a long word\""; 20].join(","));
        assert_eq!(text(&long, &long), "  [ 20 unchanged ]");
        assert_eq!(text("{}", "{}"), "  {}");
    }
}
