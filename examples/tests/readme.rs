//! What README shows is what runs.
#![allow(clippy::unwrap_used, reason = "tests")]

#[test]
fn the_program_in_readme_is_the_example() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = after.split_once("```").unwrap();
    let (head, code) = include_str!("../embed.rs").split_once("\n\n").unwrap();
    assert!(head.lines().all(|line| line.starts_with("//!")), "{head}");
    assert_eq!(shown, code);
}
