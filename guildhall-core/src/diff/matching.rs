//! Which parts of two values are the same part.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Node;

/// The members that may name an element of an array, the first that names all of them.
const KEYS: [&str; 3] = ["id", "name", "key"];

/// How many pairs of elements are looked at to match two arrays; what is longer is compared in order.
const MOST_PAIRS: usize = 4_000_000;

pub(super) fn compare(before: Value, after: Value) -> Node {
    match (before, after) {
        (before, after) if before == after => Node::Same(before),
        (Value::Object(before), Value::Object(after)) => Node::Object(members(before, after)),
        (Value::Array(before), Value::Array(after)) => Node::Array(elements(before, after)),
        (before, after) => Node::Replaced(before, after),
    }
}

fn members(mut before: Map<String, Value>, mut after: Map<String, Value>) -> Vec<(String, Node)> {
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let member = |name: String| {
        let node = match (before.remove(&name), after.remove(&name)) {
            (Some(before), Some(after)) => compare(before, after),
            (Some(before), None) => Node::Removed(before),
            (None, Some(after)) => Node::Added(after),
            // It is the name of one of them.
            (None, None) => Node::Same(Value::Null),
        };
        (name, node)
    };
    names.into_iter().map(member).collect()
}

fn elements(before: Vec<Value>, after: Vec<Value>) -> Vec<Node> {
    let names = KEYS.iter().find_map(|key| Some((names(key, &before)?, names(key, &after)?)));
    let pairs = match &names {
        Some((before, after)) => pairs(before, after),
        None => pairs(&texts(&before), &texts(&after)),
    };
    let is_named = names.is_some();
    let (mut before, mut after) = (before.into_iter(), after.into_iter());
    let (mut nodes, mut left, mut right) = (Vec::new(), 0, 0);
    for (at, to) in pairs {
        between(
            before.by_ref().take(at - left),
            after.by_ref().take(to - right),
            is_named,
            &mut nodes,
        );
        nodes.extend(before.next().zip(after.next()).map(|(before, after)| compare(before, after)));
        (left, right) = (at + 1, to + 1);
    }
    between(before, after, is_named, &mut nodes);
    nodes
}

/// What lies between two matches: of two names, two things; else the first is the other's first, changed.
fn between(
    before: impl Iterator<Item = Value>,
    after: impl Iterator<Item = Value>,
    is_named: bool,
    nodes: &mut Vec<Node>,
) {
    let (mut before, mut after) = (before.peekable(), after.peekable());
    while !is_named && before.peek().is_some() && after.peek().is_some() {
        nodes.extend(before.next().zip(after.next()).map(|(before, after)| compare(before, after)));
    }
    nodes.extend(before.map(Node::Removed));
    nodes.extend(after.map(Node::Added));
}

fn texts(elements: &[Value]) -> Vec<String> {
    elements.iter().map(ToString::to_string).collect()
}

/// What the elements are called, where a member names each of them and no two alike.
fn names(key: &str, elements: &[Value]) -> Option<Vec<String>> {
    let name = |element: &Value| {
        let name = element.as_object()?.get(key)?;
        (name.is_string() || name.is_number()).then(|| name.to_string())
    };
    let names: Vec<_> = elements.iter().map(name).collect::<Option<_>>()?;
    let unique: BTreeSet<_> = names.iter().collect();
    (unique.len() == names.len()).then_some(names)
}

/// The longest run of elements that both have in one order, as places in each.
fn pairs(before: &[String], after: &[String]) -> Vec<(usize, usize)> {
    let shared = |pair: &(&String, &String)| pair.0 == pair.1;
    let head = before.iter().zip(after).take_while(shared).count();
    let (first, second) = (&before[head..], &after[head..]);
    let tail = first.iter().rev().zip(second.iter().rev()).take_while(shared).count();
    let (first, second) = (&first[..first.len() - tail], &second[..second.len() - tail]);
    let mut pairs: Vec<_> = (0..head).map(|at| (at, at)).collect();
    if first.len().saturating_mul(second.len()) <= MOST_PAIRS {
        pairs.extend(longest(first, second).into_iter().map(|(at, to)| (head + at, head + to)));
    }
    let ends = (before.len() - tail..before.len()).zip(after.len() - tail..after.len());
    pairs.extend(ends);
    pairs
}

/// The longest common subsequence.
fn longest(first: &[String], second: &[String]) -> Vec<(usize, usize)> {
    let width = second.len() + 1;
    // How long it is from a place in the first and a place in the second on.
    let mut lengths = vec![0_u32; (first.len() + 1) * width];
    for at in (0..first.len()).rev() {
        for to in (0..second.len()).rev() {
            lengths[at * width + to] = if first[at] == second[to] {
                lengths[(at + 1) * width + to + 1] + 1
            } else {
                lengths[(at + 1) * width + to].max(lengths[at * width + to + 1])
            };
        }
    }
    let (mut at, mut to, mut pairs) = (0, 0, Vec::new());
    while at < first.len() && to < second.len() {
        if first[at] == second[to] {
            pairs.push((at, to));
            (at, to) = (at + 1, to + 1);
        } else if lengths[(at + 1) * width + to] >= lengths[at * width + to + 1] {
            at += 1;
        } else {
            to += 1;
        }
    }
    pairs
}
