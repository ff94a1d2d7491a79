//! What changed from one JSON text to another: as operations that make the second of the first (RFC 6902), and as
//! lines for people.
//!
//! Members of objects are matched by name. Elements of arrays are matched where both arrays hold objects that
//! a member names (`id`, `name` or `key`, unique in each), by that name; else where they are equal. What lies between
//! two matches is compared in order. Of two ways to tell a change, the one found first is told: a diff is sound,
//! and not always the shortest.

mod lines;
mod matching;

use serde::Serialize;
use serde_json::Value;

use crate::json::Json;

pub use lines::{Line, LineKind};

/// An operation of RFC 6902. Those of a diff are applied in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts a value where there was none, before what stands there in an array.
    Add {
        /// Where: a JSON Pointer (RFC 6901).
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value away.
    Remove {
        /// Where.
        path: String,
    },
    /// Puts a value in the place of another.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
}

/// What changed from one JSON text to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    root: Node,
}

/// Both texts in one: what they share, and what only one of them has.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// In both.
    Same(Value),
    /// In the second alone.
    Added(Value),
    /// In the first alone.
    Removed(Value),
    /// In the same place of both, and different.
    Replaced(Value, Value),
    /// Objects that differ, their members by name.
    Object(Vec<(String, Node)>),
    /// Arrays that differ, their elements in an order that is that of both.
    Array(Vec<Node>),
}

impl Diff {
    /// What changed from `before` to `after`.
    pub fn of(before: &Json, after: &Json) -> Self {
        Self { root: matching::compare(before.to_value(), after.to_value()) }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        matches!(self.root, Node::Same(_))
    }

    /// The operations that make the second text of the first, in order; none where they are equal.
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        self.root.write_operations("", &mut operations);
        operations
    }

    /// The change as lines, each with the `context` lines around it that did not change; what else did not is
    /// counted. What is equal is never opened: an object or an array of which nothing changed is one line.
    pub fn lines(&self, context: usize) -> Vec<Line> {
        lines::of(&self.root, context)
    }
}

impl Node {
    fn write_operations(&self, path: &str, operations: &mut Vec<Operation>) {
        let path_of = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        match self {
            Self::Same(_) => {}
            Self::Added(value) => {
                operations.push(Operation::Add { path: path.to_owned(), value: value.clone() });
            }
            Self::Removed(_) => operations.push(Operation::Remove { path: path.to_owned() }),
            Self::Replaced(_, value) => {
                operations.push(Operation::Replace { path: path.to_owned(), value: value.clone() });
            }
            Self::Object(members) => {
                for (name, node) in members {
                    node.write_operations(&path_of(name), operations);
                }
            }
            Self::Array(elements) => {
                // The operations before have made everything up to here as it will be.
                let mut at = 0_usize;
                for node in elements {
                    node.write_operations(&path_of(&at.to_string()), operations);
                    at += usize::from(!matches!(node, Self::Removed(_)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn diff(before: &Value, after: &Value) -> Diff {
        let json = |value: &Value| Json::parse(&value.to_string()).unwrap();
        Diff::of(&json(before), &json(after))
    }

    /// What the operations make of `before`, by an implementation of RFC 6902 that is not ours.
    fn applied(diff: &Diff, before: &Value) -> Value {
        let patch = serde_json::to_value(diff.operations()).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let mut made = before.clone();
        json_patch::patch(&mut made, &patch).unwrap();
        made
    }

    #[test]
    fn operations_name_what_changed() {
        let before =
            json!({"ttl": 300, "soa": {"serial": 1, "mname": "a"}, "a/b~c": 1, "gone": []});
        let after =
            json!({"ttl": 300, "soa": {"serial": 2, "mname": "a"}, "a/b~c": null, "new": {}});
        let operations = serde_json::to_value(diff(&before, &after).operations()).unwrap();
        let expected = json!([
            {"op": "replace", "path": "/a~1b~0c", "value": null},
            {"op": "remove", "path": "/gone"},
            {"op": "add", "path": "/new", "value": {}},
            {"op": "replace", "path": "/soa/serial", "value": 2},
        ]);
        assert_eq!(operations, expected);
        assert!(
            diff(&before, &before).operations().is_empty() && diff(&before, &before).is_empty()
        );
    }

    #[test]
    fn keyed_objects_are_matched_by_their_key_wherever_they_stand() {
        let before = json!([{"name": "a", "v": 1}, {"name": "b", "v": 1}, {"name": "c", "v": 1}]);
        let after = json!([{"name": "b", "v": 2}, {"name": "c", "v": 1}, {"name": "d", "v": 1}]);
        let operations = serde_json::to_value(diff(&before, &after).operations()).unwrap();
        let expected = json!([
            {"op": "remove", "path": "/0"},
            {"op": "replace", "path": "/0/v", "value": 2},
            {"op": "add", "path": "/2", "value": {"name": "d", "v": 1}},
        ]);
        assert_eq!(operations, expected);
    }

    #[test]
    fn an_element_that_is_new_changes_no_other() {
        let (before, after) = (json!([1, 2, 3, 4]), json!([0, 1, 2, 4, 5]));
        let operations = serde_json::to_value(diff(&before, &after).operations()).unwrap();
        let expected = json!([
            {"op": "add", "path": "/0", "value": 0},
            {"op": "remove", "path": "/3"},
            {"op": "add", "path": "/4", "value": 5},
        ]);
        assert_eq!(operations, expected);
    }

    /// A small value of any kind, often one with a key that others have too.
    fn any_value(seed: &mut u64, depth: u32) -> Value {
        let mut below = |end: usize| {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(*seed >> 33).unwrap() % end
        };
        let kind = below(if depth == 0 { 4 } else { 7 });
        let (count, word) = (below(5), ["a", "b", "name", "id", "x/y", "~"][below(6)]);
        match kind {
            0 => Value::Null,
            1 => json!(below(4)),
            2 => json!(word),
            3 => json!(below(2) == 0),
            4 => (0..count).map(|_| any_value(seed, depth - 1)).collect(),
            5 => {
                let named = |nth: usize| json!({"name": format!("n{}", nth * 7 % 5), "v": nth % 2});
                let from = below(4);
                (from..from + count).map(named).collect()
            }
            _ => {
                let names = ["a", "b", "name", "id", "x/y", "~"];
                let taken: Vec<_> = names.iter().take(count).collect();
                let members =
                    taken.into_iter().map(|name| ((*name).to_owned(), any_value(seed, depth - 1)));
                Value::Object(members.collect())
            }
        }
    }

    #[test]
    fn the_operations_make_the_second_text_of_the_first() {
        let mut seed = 71;
        for nth in 0..20_000 {
            let (before, after) = (any_value(&mut seed, 3), any_value(&mut seed, 3));
            let found = diff(&before, &after);
            assert_eq!(applied(&found, &before), after, "{nth}: {before} {after}");
            assert_eq!(found.is_empty(), before == after, "{nth}: {before} {after}");
            let changed = found
                .lines(3)
                .iter()
                .any(|line| matches!(line.kind, LineKind::Added | LineKind::Removed));
            assert_eq!(changed, before != after, "{nth}: {before} {after}");
        }
    }

    #[test]
    fn arrays_too_long_to_be_matched_are_compared_in_order() {
        let before: Value = (0..5000).collect::<Vec<_>>().into();
        let after: Value = (2500..7500).map(|nth| nth * 2).collect::<Vec<_>>().into();
        assert_eq!(applied(&diff(&before, &after), &before), after);
    }
}
