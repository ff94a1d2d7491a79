//! The Chronicle: what was appended is kept, read back and waited for (DESIGN section 5).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{
    Append, DecodedEntry, EventKind, EventType, Json, Metadata, NewEntry, Origin, Position,
    ReadLimit, StreamId, Version,
};

use crate::harness::Harness;
use crate::notes::{ALL, all, long_note, note, positions};
use crate::reference::leaf_hash;
use crate::workload::{Mix, Workload};

super::scenarios! { $ __chronicle = chronicle:
    an_empty_log_has_neither_head_nor_origin,
    the_first_origin_holds,
    a_read_stops_at_its_limits,
    what_is_read_decoded_is_what_is_read,
    a_stream_is_read_in_the_order_of_its_versions,
    a_waiter_is_woken_by_either_handle,
    a_wait_ends_with_its_patience,
    metadata_comes_back_as_it_was,
    an_unknown_type_is_kept_to_the_byte,
    every_leaf_commits_to_its_entry,
    reopening_keeps_everything,
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
