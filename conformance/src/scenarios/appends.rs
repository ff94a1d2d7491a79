//! Appends: dense order, expected versions, idempotence, atomicity, limits (DESIGN section 5).

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{
    Append, AppendError, EventId, EventType, Expected, Json, Metadata, NewEntry, Position,
    ReadLimit, StreamId, Timestamp, Version,
};

use crate::harness::Harness;
use crate::notes::{ALL, all, long_note, note, positions};

super::scenarios! { $ __appends = appends:
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
    a_payload_may_reach_the_limit_and_no_further,
    what_is_no_metadata_or_no_type_is_refused,
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
