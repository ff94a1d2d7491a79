//! Export and import between two Chronicles (DESIGN sections 3 and 5).

use guildhall_core::jsonl::{self, ImportError, ImportOptions, Noted};
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{Append, AppendError, Chronicle, Entry, Position, ReadLimit};

use crate::harness::Harness;
use crate::random::Random;
use crate::workload::{Hostile, Mix};

super::scenarios! { $ __jsonl = jsonl:
    export_then_import_gives_the_same_chronicle_leaf_by_leaf,
    a_second_import_appends_what_is_missing,
    lines_recorded_before_with_another_time_or_metadata_are_counted,
    a_line_of_ours_goes_to_its_place_or_is_refused,
    lines_changed_at_random_are_taken_by_every_store_alike,
}

/// Sound entries, strange ones and such as a projector refuses; all of them decode.
async fn fill(chronicle: &dyn Chronicle) {
    let hostile = Hostile::new(21, Mix::DENSE).take(400).map(|hostile| hostile.entry);
    let decodes = |entry: &guildhall_core::NewEntry| {
        let payload = entry.payload.as_str();
        guildhall_core::event::decode(&entry.event_type, entry.stream_id, payload).is_ok()
    };
    chronicle.append(Append::of(hostile.filter(decodes))).await.unwrap();
}

async fn all(chronicle: &dyn Chronicle) -> Vec<Entry> {
    chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap()
}

async fn export(chronicle: &dyn Chronicle) -> Vec<u8> {
    let mut lines = Vec::new();
    jsonl::export(chronicle, &mut lines, |_| {}).await.unwrap();
    lines
}

pub async fn export_then_import_gives_the_same_chronicle_leaf_by_leaf<H: Harness>(harness: H) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = export(&*source).await;
    let options = ImportOptions::default().batch_entries(37);
    let imported = jsonl::import(&*copy.chronicle(), &*lines, &options, |_| {}).await.unwrap();
    let entries = all(&*source).await;
    assert_eq!(imported.appended, entries.len() as u64);
    assert_eq!(copy.chronicle().origin().await.unwrap(), source.origin().await.unwrap());
    assert_eq!(all(&*copy.chronicle()).await, entries);
    assert_eq!(export(&*copy.chronicle()).await, lines);
}

pub async fn a_second_import_appends_what_is_missing<H: Harness>(harness: H) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = export(&*source).await;
    let half = lines.iter().take(lines.len() / 2).rposition(|byte| *byte == b'\n').unwrap() + 1;
    let (options, chronicle) = (ImportOptions::default(), copy.chronicle());
    let first = jsonl::import(&*chronicle, &lines[..half], &options, |_| {}).await.unwrap();
    let second = jsonl::import(&*chronicle, &*lines, &options, |_| {}).await.unwrap();
    assert_eq!(second.recorded_before, first.appended);
    assert_eq!(all(&*chronicle).await, all(&*source).await);
    let third = jsonl::import(&*chronicle, &*lines, &options, |_| {}).await.unwrap();
    assert_eq!(third.appended, 0);
    assert_eq!(all(&*chronicle).await, all(&*source).await);
}

pub async fn lines_recorded_before_with_another_time_or_metadata_are_counted<H: Harness>(
    harness: H,
) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = String::from_utf8(export(&*source).await).unwrap();
    let (options, chronicle) = (ImportOptions::default(), copy.chronicle());
    let imported = jsonl::import(&*chronicle, lines.as_bytes(), &options, |_| {}).await.unwrap();
    assert_eq!(imported.differing, Noted::default());
    // Without their leaf hashes, which hold lines of the Chronicle's own to their times.
    let changed = |(number, line): (usize, &str)| {
        let line = line.replacen("\"leafhash\"", "\"wasleafhash\"", 1) + "\n";
        let cause = "\"causationid\":\"";
        match number {
            3 => line.replacen("\"time\":\"2", "\"time\":\"1", 1),
            5 if line.contains(cause) => line.replacen(cause, &format!("{cause}another "), 1),
            5 => line.replacen('{', &format!("{{{cause}another\","), 1),
            _ => line,
        }
    };
    let changed: String = lines.lines().take(10).enumerate().map(changed).collect();
    let imported = jsonl::import(&*chronicle, changed.as_bytes(), &options, |_| {}).await.unwrap();
    assert_eq!((imported.recorded_before, imported.appended), (10, 0));
    assert_eq!(imported.differing, Noted { lines: 2, first_line: Some(4) });
    assert_eq!(all(&*chronicle).await, all(&*source).await);
}

pub async fn a_line_of_ours_goes_to_its_place_or_is_refused<H: Harness>(harness: H) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = String::from_utf8(export(&*source).await).unwrap();
    let lines: Vec<_> = lines.split_inclusive('\n').collect();
    let (options, chronicle) = (ImportOptions::default(), copy.chronicle());
    let first = lines[..10].concat();
    jsonl::import(&*chronicle, first.as_bytes(), &options, |_| {}).await.unwrap();
    // The eleventh is left out, so that each that follows would come to stand one before its place.
    let rest = lines[11..].concat();
    let error = jsonl::import(&*chronicle, rest.as_bytes(), &options, |_| {}).await.unwrap_err();
    let ImportError::Refused { line: 1, reason, .. } = error else { panic!("{error}") };
    let AppendError::Misplaced { found, expected, .. } = reason else { panic!("{reason}") };
    assert_eq!((found.position.get(), expected.position.get()), (11, 12));
    assert_eq!(all(&*chronicle).await, all(&*source).await[..10]);
    let rest = lines[10..].concat();
    jsonl::import(&*chronicle, rest.as_bytes(), &options, |_| {}).await.unwrap();
    assert_eq!(all(&*chronicle).await, all(&*source).await);
}

/// A line with a byte or so changed, as whoever edits a file by hand or a bad disk does.
fn changed(line: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    for _ in 0..=random.below(2) {
        let at = random.index(bytes.len());
        match random.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, random.pick(b"\"\\{}[]:,0e-u\r \0")),
            2 => bytes[at] = random.pick(b"\"\\{}[]:,0123456789abcdef\xff"),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes.retain(|byte| *byte != b'\n');
    bytes
}

pub async fn lines_changed_at_random_are_taken_by_every_store_alike<H: Harness>(harness: H) {
    let source = H::fresh().await;
    fill(&*source.chronicle()).await;
    let text = String::from_utf8(export(&*source.chronicle()).await).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (chronicle, reference) = (harness.chronicle(), MemoryChronicle::new());
    let (options, mut random) = (ImportOptions::default(), Random::seeded(1974));
    let mut refused = 0;
    for case in 0..400 {
        let mut file = Vec::new();
        // Lines that state no place may stand anywhere.
        let states_places = random.once_in(4);
        for _ in 0..3 {
            let mut line = random.pick(&lines).to_owned();
            if !states_places {
                for name in ["position", "version", "leafhash"] {
                    line = line.replacen(&format!("\"{name}\""), &format!("\"was{name}\""), 1);
                }
            }
            if random.once_in(4) {
                file.extend(changed(&line, &mut random));
            } else {
                file.extend(line.as_bytes());
            }
            file.push(b'\n');
        }
        let found = jsonl::import(&*chronicle, &*file, &options, |_| {}).await;
        let expected = jsonl::import(&reference, &*file, &options, |_| {}).await;
        refused += u32::from(found.is_err());
        let (found, expected) =
            (found.map_err(|error| error.to_string()), expected.map_err(|error| error.to_string()));
        assert_eq!(found, expected, "case {case}: {}", String::from_utf8_lossy(&file));
    }
    assert!((40..380).contains(&refused), "{refused} of 400 are refused");
    assert_eq!(all(&*chronicle).await, all(&reference).await);
}
