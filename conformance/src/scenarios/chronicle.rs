//! The Chronicle: dense order, idempotence, atomicity, limits, waiting (DESIGN section 5).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{
    Append, AppendError, Chronicle, DecodedEntry, Entry, EventId, EventKind, EventType, Expected,
    Json, Metadata, NewEntry, Origin, Position, ReadLimit, StreamId, Timestamp, Version,
};

use crate::harness::Harness;
use crate::reference::leaf_hash;
use crate::workload::{Mix, Workload};

super::scenarios! { $ __chronicle = chronicle:
    an_empty_log_has_neither_head_nor_origin,
    order_is_dense_under_sixteen_writers_and_a_live_reader,
    one_expected_version_is_met_once_by_rivals,
    one_event_appended_by_rivals_is_recorded_once,
    a_known_event_is_answered_with_its_first_position,
    a_known_event_checks_no_expectation,
    a_known_id_with_anything_else_is_refused,
    a_conflict_says_what_was_found,
    an_expectation_of_a_stream_that_is_not_written_to_holds_too,
    an_append_is_all_or_nothing,
    an_append_of_nothing_changes_nothing,
    the_first_origin_holds,
    a_read_stops_at_its_limits,
    what_is_read_decoded_is_what_is_read,
    a_stream_is_read_in_the_order_of_its_versions,
    a_waiter_is_woken_by_either_handle,
    a_wait_ends_with_its_patience,
    a_payload_may_reach_the_limit_and_no_further,
    metadata_comes_back_as_it_was,
    what_is_no_metadata_or_no_type_is_refused,
    an_unknown_type_is_kept_to_the_byte,
    every_leaf_commits_to_its_entry,
    reopening_keeps_everything,
}

const ALL: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

fn note(stream: StreamId, text: &str) -> NewEntry {
    NewEntry {
        event_id: EventId::new(),
        stream_id: stream,
        event_type: EventType::new("com.example.note.v1"),
        payload: Json::parse(&format!(r#"{{"text":"{text}"}}"#)).unwrap(),
        metadata: Metadata::default(),
        recorded_at: None,
    }
}

/// An entry whose payload, a JSON string, has so many bytes.
fn long_note(stream: StreamId, bytes: usize) -> NewEntry {
    let payload = Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
    NewEntry { payload, ..note(stream, "") }
}

async fn all(chronicle: &dyn Chronicle) -> Vec<Entry> {
    chronicle.read(Position::ZERO, ALL).await.unwrap()
}

fn positions(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position.get()).collect()
}

pub async fn an_empty_log_has_neither_head_nor_origin<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let head = chronicle.head().await.unwrap();
    assert_eq!((head.position, head.leaf_hash), (Position::ZERO, None));
    assert_eq!(chronicle.origin().await.unwrap(), None);
    assert_eq!(all(&*chronicle).await, []);
    let stream = StreamId::new();
    assert_eq!(chronicle.read_stream(stream, Version::ZERO, ALL).await.unwrap(), []);
}

/// The guarantee that libraries on a plain sequence break: a reader that has seen position n has
/// seen everything before it.
pub async fn order_is_dense_under_sixteen_writers_and_a_live_reader<H: Harness>(harness: H) {
    const WRITERS: usize = 16;
    const APPENDS: usize = 12;
    // Every third append is of two entries.
    const ENTRIES: u64 = (WRITERS * (APPENDS + APPENDS / 3)) as u64;
    let handles = [harness.chronicle(), harness.other_chronicle().await];
    let streams: Vec<_> = (0..4).map(|_| StreamId::new()).collect();
    let readers = handles.clone().map(|chronicle| {
        tokio::spawn(async move {
            let (mut at, mut seen) = (Position::ZERO, Vec::new());
            while at.get() < ENTRIES {
                let head = chronicle.wait_beyond(at, Duration::from_secs(60)).await.unwrap();
                assert!(head > at, "nothing came for a minute after {at}");
                let entries = chronicle.read(at, ReadLimit::entries(7)).await.unwrap();
                for entry in entries {
                    assert_eq!(Some(entry.position), at.next());
                    at = entry.position;
                    seen.push(entry.event_id);
                }
            }
            seen
        })
    });
    let writers = (0..WRITERS).map(|writer| {
        let chronicle = Arc::clone(&handles[writer % 2]);
        let stream = streams[writer % streams.len()];
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for nth in 0..APPENDS {
                let count = if nth % 3 == 0 { 2 } else { 1 };
                let entries: Vec<_> = (0..count).map(|_| note(stream, "dense")).collect();
                let ids: Vec<_> = entries.iter().map(|entry| entry.event_id).collect();
                let answers = chronicle.append(Append::of(entries)).await.unwrap();
                placed.extend(answers.into_iter().map(|answer| answer.position).zip(ids));
            }
            placed
        })
    });
    let mut placed = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        placed.extend(writer.await.unwrap());
    }
    placed.sort_unstable();
    let taken: Vec<u64> = placed.iter().map(|(position, _)| position.get()).collect();
    assert_eq!(taken, (1..=ENTRIES).collect::<Vec<_>>());
    let ids: Vec<EventId> = placed.into_iter().map(|(_, id)| id).collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), ids);
    }
    for stream in streams {
        let entries = handles[0].read_stream(stream, Version::ZERO, ALL).await.unwrap();
        let versions: Vec<u64> = entries.iter().map(|entry| entry.version.get()).collect();
        assert_eq!(versions, (1..=ENTRIES / 4).collect::<Vec<_>>());
    }
}

pub async fn one_expected_version_is_met_once_by_rivals<H: Harness>(harness: H) {
    let handles = [harness.chronicle(), harness.other_chronicle().await];
    let stream = StreamId::new();
    for round in 0..3 {
        let rivals = (0..16).map(|nth| {
            let chronicle = Arc::clone(&handles[nth % 2]);
            let expected = Expected::Version(Version::new(round));
            let append = Append::of([note(stream, "rival")]).expecting(stream, expected);
            tokio::spawn(async move { chronicle.append(append).await })
        });
        let mut winners = 0;
        for rival in rivals.collect::<Vec<_>>() {
            match rival.await.unwrap() {
                Ok(answers) => {
                    assert_eq!(answers[0].version, Version::new(round + 1));
                    winners += 1;
                }
                Err(AppendError::Conflict { found, .. }) => {
                    assert_eq!(found, Version::new(round + 1));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1, "in round {round}");
    }
    assert_eq!(handles[1].head().await.unwrap().position, Position::new(3));
}

pub async fn one_event_appended_by_rivals_is_recorded_once<H: Harness>(harness: H) {
    let handles = [harness.chronicle(), harness.other_chronicle().await];
    let stream = StreamId::new();
    let entry = note(stream, "once");
    let rivals = (0..16).map(|nth| {
        let chronicle = Arc::clone(&handles[nth % 2]);
        let append = Append::of([entry.clone()]);
        tokio::spawn(async move { chronicle.append(append).await.unwrap()[0] })
    });
    let mut first = 0;
    for rival in rivals.collect::<Vec<_>>() {
        let answer = rival.await.unwrap();
        assert_eq!((answer.position, answer.version), (Position::FIRST, Version::FIRST));
        first += u32::from(!answer.was_recorded);
    }
    assert_eq!(first, 1);
    assert_eq!(positions(&all(&*handles[0]).await), [1]);
}

pub async fn a_known_event_is_answered_with_its_first_position<H: Harness>(harness: H) {
    let (chronicle, other) = (harness.chronicle(), harness.other_chronicle().await);
    let (one, two) = (StreamId::new(), StreamId::new());
    let (known, fresh) = (note(one, "known"), note(two, "fresh"));
    // Twice within one append.
    let answers = chronicle.append(Append::of([known.clone(), known.clone()])).await.unwrap();
    assert_eq!([answers[0].was_recorded, answers[1].was_recorded], [false, true]);
    assert_eq!([answers[0].position, answers[1].position], [Position::FIRST; 2]);
    let recorded = all(&*chronicle).await;
    // Through the other handle, with another time and other metadata, among new ones.
    let again = NewEntry {
        recorded_at: Some(Timestamp::MAX),
        metadata: Metadata::default().traceparent("00-1".to_owned()),
        ..known.clone()
    };
    let answers =
        other.append(Append::of([fresh.clone(), again, note(one, "next")])).await.unwrap();
    let placed: Vec<_> =
        answers.iter().map(|it| (it.position.get(), it.version.get(), it.was_recorded)).collect();
    assert_eq!(placed, [(2, 1, false), (1, 1, true), (3, 2, false)]);
    // What was recorded stays, and it is said what the other had.
    let differing: Vec<_> = answers.iter().map(|answer| answer.differs).collect();
    assert_eq!(differing, [None, Some("time"), None]);
    let at = Some(recorded[0].recorded_at);
    let metadata = Metadata::default().traceparent("00-1".to_owned());
    let again = NewEntry { recorded_at: at, metadata, ..known.clone() };
    let answers = other.append(Append::of([again, known.clone()])).await.unwrap();
    let differing: Vec<_> = answers.iter().map(|answer| answer.differs).collect();
    assert_eq!(differing, [Some("metadata"), None]);
    // All of them known.
    let answers = chronicle.append(Append::of([known, fresh])).await.unwrap();
    assert!(answers.iter().all(|answer| answer.was_recorded));
    let entries = all(&*chronicle).await;
    assert_eq!(positions(&entries), [1, 2, 3]);
    assert_eq!(entries[..1], recorded[..]);
}

pub async fn a_known_event_checks_no_expectation<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let stream = StreamId::new();
    let append = Append::of([note(stream, "first")]).expecting(stream, Expected::NoStream);
    chronicle.append(append.clone()).await.unwrap();
    let again = chronicle.append(append.clone()).await.unwrap();
    assert!(again[0].was_recorded);
    // One new event beside it, and the expectation counts.
    let mut mixed = append;
    mixed.entries.push(note(stream, "second"));
    let refused = chronicle.append(mixed).await.unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { .. }), "{refused}");
}

pub async fn a_known_id_with_anything_else_is_refused<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let stream = StreamId::new();
    let known = note(stream, "known");
    chronicle.append(Append::of([note(stream, "before"), known.clone()])).await.unwrap();
    let others = [
        ("type", NewEntry { event_type: EventType::new("com.example.other.v1"), ..known.clone() }),
        ("stream", NewEntry { stream_id: StreamId::new(), ..known.clone() }),
        ("data", NewEntry { payload: Json::null(), ..known.clone() }),
    ];
    for (what, other) in others {
        for append in
            [Append::of([other.clone()]), Append::of([note(stream, "innocent"), other.clone()])]
        {
            match chronicle.append(append).await {
                Err(AppendError::IdReused { event_id, position, differs }) => {
                    assert_eq!(
                        (event_id, position, differs),
                        (known.event_id, Position::new(2), what)
                    );
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }
    // Within one append, the position is the one that the first would have had.
    let twin = note(stream, "twin");
    let other = NewEntry { payload: Json::null(), ..twin.clone() };
    match chronicle.append(Append::of([twin, other])).await {
        Err(AppendError::IdReused { position, .. }) => assert_eq!(position, Position::new(3)),
        other => panic!("{other:?}"),
    }
    assert_eq!(positions(&all(&*chronicle).await), [1, 2]);
}

pub async fn a_conflict_says_what_was_found<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let (one, empty) = (StreamId::new(), StreamId::new());
    chronicle.append(Append::of([note(one, "1"), note(one, "2")])).await.unwrap();
    let version = |number| Expected::Version(Version::new(number));
    for (stream, expected, found) in [
        (one, Expected::NoStream, 2),
        (one, version(0), 2),
        (one, version(1), 2),
        (one, version(3), 2),
        (empty, version(1), 0),
    ] {
        let append = Append::of([note(stream, "conflict")]).expecting(stream, expected);
        match chronicle.append(append).await {
            Err(AppendError::Conflict { stream: of, expected: wanted, found: was }) => {
                assert_eq!((of, wanted, was), (stream, expected, Version::new(found)));
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    for (stream, expected) in [
        (one, version(2)),
        (one, Expected::Any),
        (empty, Expected::NoStream),
        (StreamId::new(), version(0)),
    ] {
        let append = Append::of([note(stream, "no conflict")]).expecting(stream, expected);
        chronicle.append(append).await.unwrap();
    }
    assert_eq!(chronicle.head().await.unwrap().position, Position::new(6));
}

pub async fn an_expectation_of_a_stream_that_is_not_written_to_holds_too<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let (accord, artifact) = (StreamId::new(), StreamId::new());
    let first = Append::of([note(accord, "the terms")]);
    chronicle.append(first).await.unwrap();
    let under = |expected| Append::of([note(artifact, "under them")]).expecting(accord, expected);
    let refused = chronicle.append(under(Expected::NoStream)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { stream, .. } if stream == accord));
    chronicle.append(under(Expected::Version(Version::FIRST))).await.unwrap();
}

pub async fn an_append_is_all_or_nothing<H: Harness>(harness: H) {
    let (chronicle, other) = (harness.chronicle(), harness.other_chronicle().await);
    let stream = StreamId::new();
    let too_long = long_note(stream, harness.payload_limit_bytes() + 1);
    let refused = chronicle.append(Append::of([note(stream, "1"), too_long])).await.unwrap_err();
    assert!(matches!(refused, AppendError::PayloadTooLong { .. }), "{refused}");
    assert_eq!(other.head().await.unwrap().position, Position::ZERO);
    assert_eq!(other.origin().await.unwrap(), None);
    // Two expectations, one of which fails.
    let append = Append::of([note(stream, "1"), note(StreamId::new(), "2")])
        .expecting(stream, Expected::NoStream)
        .expecting(StreamId::new(), Expected::Version(Version::FIRST));
    chronicle.append(append).await.unwrap_err();
    assert_eq!(other.head().await.unwrap().position, Position::ZERO);
    // A refusal uses no position up.
    let answer = chronicle.append(Append::of([note(stream, "1")])).await.unwrap();
    assert_eq!((answer[0].position, answer[0].version), (Position::FIRST, Version::FIRST));
}

pub async fn an_append_of_nothing_changes_nothing<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    assert_eq!(chronicle.append(Append::default()).await.unwrap(), []);
    assert_eq!(chronicle.origin().await.unwrap(), None);
    let stream = StreamId::new();
    let wanting = Append::default().expecting(stream, Expected::Version(Version::FIRST));
    let refused = chronicle.append(wanting).await.unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { .. }), "{refused}");
    assert_eq!(chronicle.head().await.unwrap().position, Position::ZERO);
}

pub async fn the_first_origin_holds<H: Harness>(harness: H) {
    let (chronicle, other) = (harness.chronicle(), harness.other_chronicle().await);
    let (first, second): (Origin, Origin) =
        ("guildhall/first".parse().unwrap(), "guildhall/zweiter ☂".parse().unwrap());
    assert_eq!(chronicle.fix_origin(first.clone()).await.unwrap(), first);
    assert_eq!(other.fix_origin(second.clone()).await.unwrap(), first);
    other.append(Append::of([note(StreamId::new(), "1")])).await.unwrap();
    assert_eq!(chronicle.origin().await.unwrap(), Some(first.clone()));
    let entry = &all(&*chronicle).await[0];
    assert_eq!(entry.leaf_hash, leaf_hash(entry, &first));

    // Where none was fixed, the first append does.
    let unfixed = H::fresh().await;
    let chronicle = unfixed.chronicle();
    chronicle.append(Append::of([note(StreamId::new(), "1")])).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    assert!(origin.as_str().starts_with("guildhall/"), "{origin}");
    assert_eq!(chronicle.fix_origin(second).await.unwrap(), origin);
}

pub async fn a_read_stops_at_its_limits<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let stream = StreamId::new();
    chronicle.append(Append::of((0..10).map(|_| long_note(stream, 100)))).await.unwrap();
    for (after, entries, bytes, expected) in [
        (0, 4, usize::MAX, vec![1, 2, 3, 4]),
        (8, 4, usize::MAX, vec![9, 10]),
        (10, 4, usize::MAX, vec![]),
        (11, 4, usize::MAX, vec![]),
        // At least one, however long; and all that fit exactly.
        (2, 0, 0, vec![3]),
        (2, 5, 99, vec![3]),
        (2, 5, 199, vec![3]),
        (2, 5, 200, vec![3, 4]),
    ] {
        let limit = ReadLimit { entries, bytes };
        let read = chronicle.read(Position::new(after), limit).await.unwrap();
        assert_eq!(positions(&read), expected, "after {after}, {limit:?}");
        let read = chronicle.read_stream(stream, Version::new(after), limit).await.unwrap();
        assert_eq!(positions(&read), expected, "of the stream after {after}, {limit:?}");
    }
    assert!(chronicle.read(Position::MAX, ALL).await.unwrap().is_empty());
}

pub async fn what_is_read_decoded_is_what_is_read<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let unknown = note(StreamId::new(), "of a type that nobody knows");
    let event_type = EventType::from(EventKind::AccordBound);
    let undecodable = NewEntry { event_type, ..note(StreamId::new(), "no accord") };
    let sound = Workload::new(3, Mix::DENSE).take(60);
    chronicle.append(Append::of(sound.chain([unknown, undecodable]))).await.unwrap();
    let few_bytes = ReadLimit { entries: 60, bytes: 2000 };
    for limit in [ReadLimit::entries(1), ReadLimit::entries(7), few_bytes, ALL] {
        for after in [0, 30, 60, 62].map(Position::new) {
            let entries = chronicle.read(after, limit).await.unwrap();
            let expected: Vec<_> = entries.into_iter().map(DecodedEntry::from).collect();
            assert_eq!(chronicle.read_decoded(after, limit).await.unwrap(), expected);
        }
    }
}

pub async fn a_stream_is_read_in_the_order_of_its_versions<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let (one, two) = (StreamId::new(), StreamId::new());
    let entries = [one, two, one, one, two].map(|stream| note(stream, "n"));
    chronicle.append(Append::of(entries)).await.unwrap();
    let read = chronicle.read_stream(one, Version::ZERO, ALL).await.unwrap();
    let placed: Vec<_> = read.iter().map(|it| (it.position.get(), it.version.get())).collect();
    assert_eq!(placed, [(1, 1), (3, 2), (4, 3)]);
    let read = chronicle.read_stream(two, Version::FIRST, ALL).await.unwrap();
    assert_eq!(positions(&read), [5]);
}

pub async fn a_waiter_is_woken_by_either_handle<H: Harness>(harness: H) {
    let (chronicle, other) = (harness.chronicle(), harness.other_chronicle().await);
    let stream = StreamId::new();
    for (nth, appender) in [&chronicle, &other, &other, &chronicle].into_iter().enumerate() {
        let at = Position::try_from(nth as u64).unwrap();
        let waiters = [Arc::clone(&chronicle), Arc::clone(&other)].map(|waiting| {
            tokio::spawn(async move { waiting.wait_beyond(at, Duration::from_secs(60)).await })
        });
        tokio::task::yield_now().await;
        appender.append(Append::of([note(stream, "news")])).await.unwrap();
        for waiter in waiters {
            let woken = tokio::time::timeout(Duration::from_secs(30), waiter).await;
            let head = woken.expect("long before its patience ends").unwrap().unwrap();
            assert_eq!(Some(head), at.next());
        }
    }
    // What is there already is not waited for.
    let head = chronicle.wait_beyond(Position::FIRST, Duration::MAX).await.unwrap();
    assert_eq!(head, Position::new(4));
}

pub async fn a_wait_ends_with_its_patience<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let waited = chronicle.wait_beyond(Position::ZERO, Duration::from_millis(20)).await.unwrap();
    assert_eq!(waited, Position::ZERO);
    chronicle.append(Append::of([note(StreamId::new(), "1")])).await.unwrap();
    let waited = chronicle.wait_beyond(Position::new(7), Duration::ZERO).await.unwrap();
    assert_eq!(waited, Position::FIRST);
}

pub async fn a_payload_may_reach_the_limit_and_no_further<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let (stream, limit) = (StreamId::new(), harness.payload_limit_bytes());
    chronicle.append(Append::of([long_note(stream, limit)])).await.unwrap();
    let too_long = long_note(stream, limit + 1);
    let id = too_long.event_id;
    match chronicle.append(Append::of([too_long])).await {
        Err(AppendError::PayloadTooLong { event_id, found_bytes, limit_bytes }) => {
            assert_eq!((event_id, found_bytes, limit_bytes), (id, limit + 1, limit));
        }
        other => panic!("{other:?}"),
    }
    let entries = all(&*chronicle).await;
    assert_eq!(entries.iter().map(|entry| entry.payload.len()).collect::<Vec<_>>(), [limit]);
}

pub async fn metadata_comes_back_as_it_was<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let stream = StreamId::new();
    let longest = "ü".repeat(Metadata::MAX_ATTRIBUTE_BYTES / 2);
    let metadata = [
        Metadata::default(),
        Metadata::default()
            .causation_id("\"quoted\"\n".to_owned())
            .correlation_id(longest)
            .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        Metadata::default().correlation_id("x".to_owned()),
    ];
    let at = "2026-11-23T10:05:00.123456Z".parse().unwrap();
    let entries = metadata.clone().map(|metadata| NewEntry {
        metadata,
        recorded_at: Some(at),
        ..note(stream, "n")
    });
    chronicle.append(Append::of(entries.clone())).await.unwrap();
    for (stored, new) in all(&*chronicle).await.iter().zip(entries) {
        assert_eq!(stored.metadata, new.metadata);
        assert_eq!(stored.recorded_at, at);
        assert_eq!(stored.event_id, new.event_id);
    }
}

pub async fn what_is_no_metadata_or_no_type_is_refused<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let stream = StreamId::new();
    let too_long = "x".repeat(Metadata::MAX_ATTRIBUTE_BYTES + 1);
    for text in [too_long, "a\0b".to_owned(), String::new()] {
        let metadata = Metadata::default().causation_id(text);
        let append = Append::of([NewEntry { metadata, ..note(stream, "n") }]);
        let refused = chronicle.append(append).await.unwrap_err();
        let is_named = matches!(refused, AppendError::BadMetadata { attribute: "causationid", .. });
        assert!(is_named, "{refused}");
    }
    for name in ["", "a\nb", &"x".repeat(256)] {
        let event_type = EventType::new(name);
        let append = Append::of([NewEntry { event_type, ..note(stream, "n") }]);
        let refused = chronicle.append(append).await.unwrap_err();
        assert!(matches!(refused, AppendError::BadType { .. }), "{refused}");
    }
    assert_eq!(chronicle.head().await.unwrap().position, Position::ZERO);
}

pub async fn an_unknown_type_is_kept_to_the_byte<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let names = ["com.example.é.v1", "dev.guildhouse.chronicle.artifact.registered.v9", "x"];
    let payloads = [
        r#"{"a":100000000000000000000,"b":1e-7,"é":"\u0001 \"☂𝄞"}"#,
        "[null,true,-0.5,1.7976931348623157e+308,5e-324]",
        "\"\"",
    ];
    let entries = names.iter().zip(payloads).map(|(name, payload)| NewEntry {
        event_type: EventType::new(name),
        payload: Json::from_canonical(payload).unwrap(),
        ..note(StreamId::new(), "")
    });
    chronicle.append(Append::of(entries)).await.unwrap();
    let stored = all(&*chronicle).await;
    let stored: Vec<_> =
        stored.iter().map(|entry| (entry.event_type.as_str(), &*entry.payload)).collect();
    assert_eq!(stored, names.into_iter().zip(payloads).collect::<Vec<_>>());
}

pub async fn every_leaf_commits_to_its_entry<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let workload: Vec<_> = Workload::new(11, Mix::DENSE).take(200).collect();
    for entries in workload.chunks(17) {
        chronicle.append(Append::of(entries.to_vec())).await.unwrap();
    }
    let origin = chronicle.origin().await.unwrap().unwrap();
    let stored = all(&*chronicle).await;
    let mut leaves = HashSet::new();
    for (entry, new) in stored.iter().zip(&workload) {
        assert_eq!(entry.leaf_hash, leaf_hash(entry, &origin), "at {}", entry.position);
        assert_eq!(*entry.payload, *new.payload.as_str());
        assert_eq!(Some(entry.recorded_at), new.recorded_at);
        leaves.insert(entry.leaf_hash);
    }
    assert_eq!(leaves.len(), workload.len());
    let head = chronicle.head().await.unwrap();
    assert_eq!(head.position, Position::new(200));
    assert_eq!(head.leaf_hash, stored.last().map(|entry| entry.leaf_hash));
}

pub async fn reopening_keeps_everything<H: Harness>(harness: H) {
    let workload = Workload::new(12, Mix::DENSE).take(50).collect::<Vec<_>>();
    let chronicle = harness.chronicle();
    chronicle.append(Append::of(workload.clone())).await.unwrap();
    let before = all(&*chronicle).await;
    let (head, origin) = (chronicle.head().await.unwrap(), chronicle.origin().await.unwrap());
    drop(chronicle);

    let harness = harness.reopened().await;
    let chronicle = harness.chronicle();
    assert_eq!(all(&*chronicle).await, before);
    assert_eq!(chronicle.head().await.unwrap(), head);
    assert_eq!(chronicle.origin().await.unwrap(), origin);
    // It goes on from there, and still knows what it has.
    let answers = chronicle
        .append(Append::of([workload[0].clone(), note(workload[0].stream_id, "next")]))
        .await
        .unwrap();
    assert_eq!((answers[0].position, answers[0].was_recorded), (Position::FIRST, true));
    assert_eq!(answers[1].position, Position::new(51));
}
