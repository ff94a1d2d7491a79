//! Files as people have them: cut off, edited, mended and read again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, BufReader, ReadBuf};

use super::*;
use crate::chronicle::{Append, AppendError, Chronicle, NewEntry, ReadLimit};
use crate::event::Event;
use crate::event::wire::LineError;
use crate::fixtures::{bound, registered, verified};
use crate::ids::Position;
use crate::json::JsonError;
use crate::memory::MemoryChronicle;

/// The n-th of some lines that differ.
fn line(n: u32) -> String {
    format!(
        concat!(
            r#"{{"specversion":"1.0","id":"0193a1b2-c3d4-7e5f-8a6b-{:012x}","source":"guildhall/demo","#,
            r#""type":"com.example.note.v1","subject":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c","#,
            r#""time":"2026-11-23T10:05:00Z","data":{{"n":{}}}}}"#,
        ),
        n, n
    )
}

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(|n| line(n) + "\n").collect()
}

async fn import_text(chronicle: &MemoryChronicle, text: &str) -> Result<Imported, ImportError> {
    import(chronicle, text.as_bytes(), &ImportOptions::default(), |_| {}).await
}

async fn payloads(chronicle: &MemoryChronicle) -> Vec<String> {
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(10_000)).await.unwrap();
    entries.iter().map(|entry| entry.payload.to_string()).collect()
}

#[tokio::test]
async fn an_export_imports_as_the_same_entries() {
    let chronicle = MemoryChronicle::new();
    let events =
        [Event::from(bound()), registered().into(), verified(crate::Outcome::Failed, 3).into()];
    chronicle.append(Append::of(events.iter().map(NewEntry::new))).await.unwrap();
    let mut text = Vec::new();
    let mut reached = Vec::new();
    let count =
        export(&chronicle, &mut text, |position| reached.push(position.get())).await.unwrap();
    assert_eq!((count, reached), (3, vec![3]));

    let copy = MemoryChronicle::new();
    let imported = import(&copy, &text[..], &ImportOptions::default(), |_| {}).await.unwrap();
    assert_eq!((imported.lines, imported.appended, imported.position.get()), (3, 3, 3));
    // The origin, the times and so the leaf hashes are those of the first.
    assert_eq!(copy.origin().await.unwrap(), chronicle.origin().await.unwrap());
    let all = ReadLimit::entries(10);
    assert_eq!(
        copy.read(Position::ZERO, all).await.unwrap(),
        chronicle.read(Position::ZERO, all).await.unwrap()
    );
}

#[tokio::test]
async fn an_index_comes_back_in_its_place_and_is_left_out_anywhere_else() {
    let chronicle = MemoryChronicle::new();
    let origin = chronicle.fix_origin("guildhall/demo".parse().unwrap()).await.unwrap();
    let index = crate::ChronicleIndexed {
        index_root: crate::TreeHash::from_bytes([1; 32]),
        streams: 1,
        tree_size: Position::new(1),
    };
    let entries = [
        NewEntry::new(&bound().into()),
        NewEntry::indexed(&index, &origin),
        NewEntry::new(&registered().into()),
    ];
    chronicle.append(Append::of(entries)).await.unwrap();
    let mut text = Vec::new();
    export(&chronicle, &mut text, |_| {}).await.unwrap();
    let text = String::from_utf8(text).unwrap();

    // In its own Chronicle, new or not, it is an entry as any other.
    let copy = MemoryChronicle::new();
    let imported = import_text(&copy, &text).await.unwrap();
    assert_eq!((imported.appended, imported.left_out), (3, Noted::default()));
    let all = ReadLimit::entries(10);
    let whole = chronicle.read(Position::ZERO, all).await.unwrap();
    assert_eq!(copy.read(Position::ZERO, all).await.unwrap(), whole);
    let again = import_text(&copy, &text).await.unwrap();
    assert_eq!((again.recorded_before, again.left_out), (3, Noted::default()));

    // In another one, or where it does not say where it stood, what it says would not hold.
    let left_out = Noted { lines: 1, first_line: Some(2) };
    let elsewhere = MemoryChronicle::new();
    elsewhere.fix_origin("guildhall/other".parse().unwrap()).await.unwrap();
    let imported = import_text(&elsewhere, &text).await.unwrap();
    assert_eq!((imported.appended, imported.foreign.lines, imported.left_out), (2, 2, left_out));
    let mut placeless = text.clone();
    for number in 1..=3 {
        placeless = placeless.replacen(&format!("\"position\":{number},\"version\":1,"), "", 1);
    }
    let placeless = placeless.replace("leafhash", "wasleafhash");
    let copy = MemoryChronicle::new();
    let imported = import_text(&copy, &placeless).await.unwrap();
    assert_eq!((imported.lines, imported.appended, imported.left_out), (3, 2, left_out));
}

#[tokio::test]
async fn an_empty_chronicle_exports_nothing_and_nothing_imports_nothing() {
    let chronicle = MemoryChronicle::new();
    let mut text = Vec::new();
    assert_eq!(export(&chronicle, &mut text, |_| {}).await.unwrap(), 0);
    assert!(text.is_empty());
    assert_eq!(import_text(&chronicle, "").await.unwrap(), Imported::default());
    assert_eq!(chronicle.origin().await.unwrap(), None);
}

#[tokio::test]
async fn blank_lines_crlf_and_a_last_line_without_an_end_are_accepted() {
    let chronicle = MemoryChronicle::new();
    let text = format!("\n{}\r\n \t\r\n\n{}", line(1), line(2));
    let imported = import_text(&chronicle, &text).await.unwrap();
    assert_eq!((imported.lines, imported.appended), (5, 2));
    assert_eq!(payloads(&chronicle).await, [r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_lines_before_it_stay() {
    for (bad, is_expected) in [
        (
            "{",
            (|reason| matches!(reason, LineError::Json(JsonError::Syntax { .. })))
                as fn(&LineError) -> bool,
        ),
        ("[]", |reason| matches!(reason, LineError::NotAnObject)),
        ("{}", |reason| matches!(reason, LineError::Missing { name: "specversion" })),
        ("\u{feff}{}", |reason| matches!(reason, LineError::ByteOrderMark)),
    ] {
        let chronicle = MemoryChronicle::new();
        let text = format!("{}\n{bad}\n{}", lines(1..=2), lines(3..=3));
        let error = import_text(&chronicle, &text).await.unwrap_err();
        let ImportError::Line { line, reason, imported } = &error else { panic!("{error}") };
        assert!(is_expected(reason), "{error}");
        // Blank lines count: the number is that of an editor.
        assert_eq!((*line, imported.appended, imported.lines), (4, 2, 2));
        assert_eq!(error.to_string(), format!("line 4: {reason}"));
        assert_eq!(payloads(&chronicle).await.len(), 2);
    }
}

#[tokio::test]
async fn a_line_that_is_not_utf8_is_refused() {
    let chronicle = MemoryChronicle::new();
    let mut text = lines(1..=1).into_bytes();
    text.extend_from_slice(b"{\"a\":\"\xff\"}\n");
    let options = ImportOptions::default();
    let error = import(&chronicle, &text[..], &options, |_| {}).await.unwrap_err();
    let ImportError::Line { line: 2, reason, .. } = error else { panic!("{error}") };
    assert_eq!(reason, LineError::NotUtf8 { valid_bytes: 6 });
}

#[tokio::test]
async fn a_mended_file_appends_only_what_is_missing() {
    let chronicle = MemoryChronicle::new();
    let broken =
        lines(1..=2) + &line(3).replace("specversion", "specversio") + "\n" + &lines(4..=5);
    assert!(import_text(&chronicle, &broken).await.is_err());
    let imported = import_text(&chronicle, &lines(1..=5)).await.unwrap();
    assert_eq!((imported.appended, imported.recorded_before), (3, 2));
    let again = import_text(&chronicle, &lines(1..=5)).await.unwrap();
    assert_eq!((again.appended, again.recorded_before, again.position.get()), (0, 5, 5));
    let expected: Vec<_> = (1..=5).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    assert_eq!(payloads(&chronicle).await, expected);
}

#[tokio::test]
async fn a_line_whose_id_is_another_events_is_refused_and_named() {
    let chronicle = MemoryChronicle::new();
    let changed = line(2).replace(r#"{"n":2}"#, r#"{"n":20}"#);
    let text = format!("{}{changed}\n{}", lines(1..=3), line(4));
    let error = import_text(&chronicle, &text).await.unwrap_err();
    let ImportError::Refused { line: 4, reason, imported } = error else { panic!("{error}") };
    assert!(matches!(reason, AppendError::IdReused { differs: "data", .. }), "{reason}");
    assert_eq!((imported.lines, imported.appended), (3, 3));
    assert_eq!(payloads(&chronicle).await.len(), 3);
}

#[tokio::test]
async fn batches_do_not_change_what_is_recorded() {
    for (batch_entries, batch_bytes, batches) in [(1, 1 << 20, 7), (3, 1 << 20, 3), (1000, 1, 7)] {
        let chronicle = MemoryChronicle::new();
        let options = ImportOptions { batch_entries, batch_bytes, ..ImportOptions::default() };
        let mut heard = Vec::new();
        let text = lines(1..=7);
        let imported = import(&chronicle, text.as_bytes(), &options, |so_far| heard.push(*so_far));
        assert_eq!(imported.await.unwrap().appended, 7);
        assert!(heard.len() >= batches && heard.is_sorted_by_key(|so_far| so_far.lines));
        assert_eq!(heard.last().unwrap().lines, 7);
        assert_eq!(payloads(&chronicle).await.len(), 7);
    }
}

/// Endlessly many `x`, without a line feed; counts what was taken.
struct Endless {
    read_bytes: usize,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = buffer.initialize_unfilled();
        bytes.fill(b'x');
        let length = bytes.len();
        buffer.advance(length);
        self.read_bytes += length;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_line_that_never_ends_is_refused_in_bounded_memory() {
    let chronicle = MemoryChronicle::new();
    let options = ImportOptions { line_limit_bytes: 10_000, ..ImportOptions::default() };
    let mut reader = BufReader::with_capacity(4096, Endless { read_bytes: 0 });
    let error = import(&chronicle, &mut reader, &options, |_| {}).await.unwrap_err();
    let ImportError::Line { line: 1, reason, .. } = error else { panic!("{error}") };
    assert_eq!(reason, LineError::TooLong { limit_bytes: 10_000 });
    assert!(reader.get_ref().read_bytes <= 10_000 + 2 * 4096);
}

#[tokio::test]
async fn a_line_of_exactly_the_limit_is_accepted_with_either_end() {
    let options = ImportOptions { line_limit_bytes: line(1).len(), ..ImportOptions::default() };
    for end in ["", "\n", "\r\n"] {
        let chronicle = MemoryChronicle::new();
        let text = line(1) + end;
        let imported = import(&chronicle, text.as_bytes(), &options, |_| {}).await.unwrap();
        assert_eq!(imported.appended, 1);
        let longer = format!(" {text}");
        let error = import(&chronicle, longer.as_bytes(), &options, |_| {}).await.unwrap_err();
        let is_too_long =
            matches!(error, ImportError::Line { reason: LineError::TooLong { .. }, .. });
        assert!(is_too_long, "{error}");
    }
}

/// Gives what it has and fails then.
struct Failing<'t>(&'t [u8]);

impl AsyncRead for Failing<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let text = std::mem::take(&mut self.0);
        if text.is_empty() {
            return Poll::Ready(Err(io::Error::other("the cable was pulled")));
        }
        buffer.put_slice(text);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_was_read_before_the_reader_failed_is_recorded() {
    let chronicle = MemoryChronicle::new();
    let text = lines(1..=3) + &line(4)[..40];
    let reader = BufReader::new(Failing(text.as_bytes()));
    let error = import(&chronicle, reader, &ImportOptions::default(), |_| {}).await.unwrap_err();
    assert!(matches!(error, ImportError::Read { line: 3, .. }), "{error}");
    assert_eq!(payloads(&chronicle).await.len(), 3);
}

#[tokio::test]
async fn times_are_normalised_and_unknown_fields_are_kept() {
    let chronicle = MemoryChronicle::new();
    let text = line(1)
        .replace("10:05:00Z", "12:05:00.1234567+02:00")
        .replace(r#"{"n":1}"#, r#"{ "z": {"deep": 1e2}, "n": 1.0 }"#);
    import_text(&chronicle, &text).await.unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(1)).await.unwrap();
    assert_eq!(entries[0].recorded_at.to_string(), "2026-11-23T10:05:00.123456Z");
    assert_eq!(&*entries[0].payload, r#"{"n":1,"z":{"deep":100}}"#);
}

#[tokio::test]
async fn only_a_chronicle_without_an_origin_takes_the_first_source() {
    let chronicle = MemoryChronicle::new();
    let second = line(2).replace("guildhall/demo", "guildhall/other");
    import_text(&chronicle, &format!("\n{}{second}", lines(1..=1))).await.unwrap();
    assert_eq!(chronicle.origin().await.unwrap().unwrap().as_str(), "guildhall/demo");
    import_text(&chronicle, &line(3).replace("guildhall/demo", "\\u0007")).await.unwrap();
    assert_eq!(chronicle.origin().await.unwrap().unwrap().as_str(), "guildhall/demo");

    let fresh = MemoryChronicle::new();
    let error =
        import_text(&fresh, &line(1).replace("guildhall/demo", "\\u0007")).await.unwrap_err();
    let is_source = matches!(
        error,
        ImportError::Line { line: 1, reason: LineError::Wrong { name: "source", .. }, .. }
    );
    assert!(is_source, "{error}");
    assert_eq!(fresh.head().await.unwrap().position, Position::ZERO);
}

#[tokio::test]
async fn an_import_appends_what_decodes_whatever_the_chain_says() {
    let chronicle = MemoryChronicle::new();
    let event = Event::from(registered());
    let source = MemoryChronicle::new();
    source.append(Append::of([NewEntry::new(&event)])).await.unwrap();
    let mut text = Vec::new();
    export(&source, &mut text, |_| {}).await.unwrap();
    // Its accord does not exist.
    import(&chronicle, &text[..], &ImportOptions::default(), |_| {}).await.unwrap();
    assert_eq!(chronicle.head().await.unwrap().position, Position::FIRST);
}

/// Five entries in two streams as their Chronicle exports them, a line each.
async fn exported() -> Vec<String> {
    let chronicle = MemoryChronicle::new();
    chronicle.fix_origin("guildhall/ours".parse().unwrap()).await.unwrap();
    let events = [
        Event::from(bound()),
        registered().into(),
        verified(crate::Outcome::Failed, 3).into(),
        verified(crate::Outcome::Passed, 4).into(),
        verified(crate::Outcome::Failed, 5).into(),
    ];
    chronicle.append(Append::of(events.iter().map(NewEntry::new))).await.unwrap();
    let mut text = Vec::new();
    export(&chronicle, &mut text, |_| {}).await.unwrap();
    String::from_utf8(text).unwrap().lines().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_line_of_ours_that_was_changed_is_named_and_not_recorded() {
    for (was, is) in [
        (r#""outcome":"failed""#, r#""outcome":"passed""#),
        (r#""version":2"#, r#""version":3"#),
        (r#""leafhash":""#, r#""leafhash":"00"#),
        (r#""id":""#, r#""id":"x"#),
        (r#""time":"2"#, r#""time":"1"#),
    ] {
        let mut lines = exported().await;
        assert!(lines[2].contains(was), "{was} in {}", lines[2]);
        lines[2] = lines[2].replacen(was, is, 1);
        let chronicle = MemoryChronicle::new();
        let error = import_text(&chronicle, &lines.concat()).await.unwrap_err();
        assert!(matches!(error, ImportError::Line { line: 3, .. }), "{is}: {error}");
        assert_eq!(payloads(&chronicle).await.len(), 2);
    }
    let mut lines = exported().await;
    lines[2] = lines[2].replacen("failed", "passed", 1);
    let error = import_text(&MemoryChronicle::new(), &lines.concat()).await.unwrap_err();
    let is_altered = matches!(error, ImportError::Line { reason: LineError::Altered { .. }, .. });
    assert!(is_altered, "{error}");
}

#[tokio::test]
async fn lines_of_ours_that_are_missing_doubled_or_exchanged_are_named() {
    let all = exported().await;
    let pick = |numbers: &[usize]| numbers.iter().map(|n| all[n - 1].as_str()).collect::<String>();
    for (numbers, at, found, expected) in
        [([1, 2, 4, 5], 3, 4, 3), ([1, 3, 2, 4], 2, 3, 2), ([1, 2, 2, 3], 3, 2, 3)]
    {
        let chronicle = MemoryChronicle::new();
        let error = import_text(&chronicle, &pick(&numbers)).await.unwrap_err();
        let ImportError::Line { line, reason, .. } = error else { panic!("{error}") };
        let (found, expected) = (Position::new(found), Position::new(expected));
        assert_eq!((line, reason), (at, LineError::OutOfOrder { found, expected }));
    }
    // A part from the middle follows itself, but is not at its place in an empty Chronicle.
    let chronicle = MemoryChronicle::new();
    let error = import_text(&chronicle, &pick(&[2, 3])).await.unwrap_err();
    let ImportError::Refused { line: 1, reason, .. } = error else { panic!("{error}") };
    let AppendError::Misplaced { found, expected, .. } = reason else { panic!("{reason}") };
    assert_eq!((found.position.get(), expected.position.get()), (1, 2));
    assert_eq!(chronicle.head().await.unwrap().position, Position::ZERO);
}

#[tokio::test]
async fn an_export_of_ours_goes_back_to_its_places_or_not_at_all() {
    let all = exported().await;
    let chronicle = MemoryChronicle::new();
    import_text(&chronicle, &all[..2].concat()).await.unwrap();
    // A tail from where the log ends, and the whole again.
    assert_eq!(import_text(&chronicle, &all[2..4].concat()).await.unwrap().appended, 2);
    // Something else was recorded meanwhile at the place of the fifth.
    chronicle.append(Append::of([NewEntry::new(&Event::from(bound()))])).await.unwrap();
    let error = import_text(&chronicle, &all.concat()).await.unwrap_err();
    let ImportError::Refused { line: 5, reason, .. } = error else { panic!("{error}") };
    let AppendError::Misplaced { found, expected, .. } = reason else { panic!("{reason}") };
    assert_eq!((found.position.get(), expected.position.get()), (6, 5));
    assert_eq!(chronicle.head().await.unwrap().position.get(), 5);
}

#[tokio::test]
async fn lines_of_others_take_places_of_their_own_and_are_counted() {
    let chronicle = MemoryChronicle::new();
    chronicle.append(Append::of([NewEntry::new(&Event::from(bound()))])).await.unwrap();
    let theirs = exported().await;
    let text = format!("\n{}{}", theirs[4], theirs[1]);
    let imported = import_text(&chronicle, &text).await.unwrap();
    assert_eq!((imported.appended, imported.position.get()), (2, 3));
    assert_eq!(imported.foreign, Noted { lines: 2, first_line: Some(2) });
    // Half way through a file, too.
    let fresh = MemoryChronicle::new();
    let second = theirs[1].replacen("guildhall/ours", "guildhall/other", 1);
    let text = format!("{}{second}", theirs[0]);
    let imported = import_text(&fresh, &text).await.unwrap();
    assert_eq!(imported.foreign, Noted { lines: 1, first_line: Some(2) });
}

#[tokio::test]
async fn lines_recorded_before_with_another_time_or_metadata_are_counted() {
    let later = |n: u32| line(n).replace("10:05:00Z", "10:06:00Z") + "\n";
    let caused = |n: u32| line(n).replace(r#","data""#, r#","causationid":"x","data""#) + "\n";
    let same = |n: u32| line(n).replace("10:05:00Z", "11:05:00.000000+01:00") + "\n";
    let chronicle = MemoryChronicle::new();
    import_text(&chronicle, &lines(1..=4)).await.unwrap();
    let before = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
    // The fifth is new, and stands twice, with two times.
    let text = [same(1), "\n".to_owned(), caused(2), later(3), lines(4..=5), later(5)].concat();
    let imported = import_text(&chronicle, &text).await.unwrap();
    assert_eq!((imported.recorded_before, imported.appended), (5, 1));
    assert_eq!(imported.differing, Noted { lines: 3, first_line: Some(3) });
    let after = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
    assert_eq!(after[..4], before);
    // What an import stops at leaves the count as true as one that ends.
    let bad = line(1).replace(r#""n":1"#, r#""n":2"#);
    let error = import_text(&chronicle, &format!("{text}{bad}")).await.unwrap_err();
    let ImportError::Refused { line: 8, imported, .. } = error else { panic!("{error}") };
    assert_eq!(imported.differing, Noted { lines: 3, first_line: Some(3) });
}

/// Each on a thread of its own: whichever is done first.
fn on_threads(work: Work) {
    drop(std::thread::spawn(work));
}

#[tokio::test]
async fn work_on_other_threads_changes_neither_order_nor_errors() {
    let options = ImportOptions::default().batch_entries(2);
    let sound: Vec<_> = (1..=23).map(|n| line(n) + "\n").collect();
    for bad in [None, Some(1), Some(2), Some(12), Some(23)] {
        let mut lines = sound.clone();
        if let Some(bad) = bad {
            lines[bad - 1].insert(0, 'x');
            // Nobody comes to see it.
            lines.push("also bad\n".to_owned());
        }
        let text = lines.concat();
        let (here, elsewhere) = (MemoryChronicle::new(), MemoryChronicle::new());
        let expected = import(&here, text.as_bytes(), &options, |_| {}).await;
        let found = import_on(&elsewhere, text.as_bytes(), &options, on_threads, |_| {}).await;
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        assert_eq!(found.is_ok(), bad.is_none());
        assert_eq!(payloads(&elsewhere).await, payloads(&here).await);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        export(&here, &mut expected, |_| {}).await.unwrap();
        export_on(&elsewhere, &mut found, on_threads, |_| {}).await.unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn work_that_is_not_done_is_an_error() {
    let chronicle = MemoryChronicle::new();
    let (text, options) = (lines(1..=3), ImportOptions::default());
    let error = import_on(&chronicle, text.as_bytes(), &options, drop, |_| {}).await.unwrap_err();
    assert!(matches!(error, ImportError::Store(_)), "{error}");
    assert_eq!(payloads(&chronicle).await.len(), 0);
    import_text(&chronicle, &text).await.unwrap();
    let error = export_on(&chronicle, &mut Vec::new(), drop, |_| {}).await.unwrap_err();
    assert!(matches!(error, ExportError::Store(_)), "{error}");
}
