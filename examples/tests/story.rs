//! The bundled Chronicle is what its source tells, byte for byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use guildhall_examples::story;

#[test]
fn the_bundled_chronicle_is_what_the_story_tells() {
    let told = story::to_jsonl();
    if std::env::var_os("UPDATE_STORY").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/data/story.jsonl"), &told).unwrap();
        return;
    }
    for (number, (told, kept)) in told.lines().zip(story::JSONL.lines()).enumerate() {
        assert_eq!(told, kept, "line {}; see the head of src/story.rs", number + 1);
    }
    assert_eq!(told.len(), story::JSONL.len(), "see the head of src/story.rs");
}
