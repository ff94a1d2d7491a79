//! The stream of what changes.

use super::*;

/// Reads events until one of this name comes; returns all of them.
async fn events_until(body: &mut Body, name: &str) -> String {
    let mut read = String::new();
    timeout(SOON, async {
        while !read.split("\n\n").any(|event| event.contains(&format!("event: {name}"))) {
            let frame = body.frame().await.expect("the stream ended").unwrap();
            read.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no {name} in {read}"));
    read
}

#[tokio::test]
async fn a_stream_tells_what_changes_and_resumes_where_it_broke() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let router = guild.console().router();
    let mut stream = get(&router, &format!("/events?topic=ceremony:{id}")).await.into_body();
    let first = events_until(&mut stream, "moved\ndata: {\"position\":3}").await;
    assert!(first.contains("id: 3\n"), "{first}");
    let ceremony = CeremonyId::new();
    let opened =
        guild.record(Command::open_ceremony(id, ceremony, Act::new("a", "b", at(2)))).await;
    let told = events_until(&mut stream, "ceremony").await;
    assert!(
        told.contains(&format!("id: {opened}\n")) && told.contains("ceremony_opened"),
        "{told}"
    );
    assert!(told.contains(&ceremony.to_string()));
    drop(stream);
    guild.record(Command::transition(id, CustodyState::Ratified, Act::new("a", "b", at(3)))).await;
    guild.record(Command::transition(id, CustodyState::Deployed, Act::new("a", "b", at(4)))).await;
    let last = opened.to_string();
    let headers = [("host", "localhost"), ("last-event-id", last.as_str())];
    let mut resumed = ask(&router, "/events", &headers).await.into_body();
    let told = events_until(&mut resumed, "custody").await;
    assert!(told.contains("ceremony_closed") && told.contains("custody_moved"), "{told}");
    assert!(!told.contains("ceremony_opened"), "{told}");
}

#[tokio::test]
async fn a_stream_that_is_resumed_from_too_far_back_says_what_it_leaves_out() {
    let guild = Guild::empty().await;
    guild.draft("zone", "board").await;
    let notes: Vec<NewEntry> = std::iter::repeat_with(note).take(20_010).collect();
    guild.chronicle.append(Append::of(notes)).await.unwrap();
    let head = guild.chronicle.head().await.unwrap().position;
    guild.applied(head).await;
    let mut told = guild.orchestrator.status().position;
    while told < head {
        told = timeout(SOON, guild.orchestrator.moved_from(told)).await.unwrap().unwrap();
    }
    let router = guild.console().router();
    let resumed = async |last: &str| {
        let headers = [("host", "localhost"), ("last-event-id", last)];
        let mut body = ask(&router, "/events", &headers).await.into_body();
        events_until(&mut body, "moved").await
    };
    let from = head.get() - 20_000;
    let told = resumed("1").await;
    let missed = format!(r#"data: {{"after":1,"count":null,"through":{from}}}"#);
    assert!(told.contains(&format!("id: {from}\nevent: missed\n{missed}\n")), "{told}");
    // Where nothing can be resumed the stream begins now, and says where that is.
    let beyond = head.next().unwrap().to_string();
    for last in ["", "0x10", "-1", "1e3", beyond.as_str(), "99999999999999999999"] {
        let told = resumed(last).await;
        let moved = format!("retry: 1000\n\nid: {head}\nevent: moved\n");
        assert!(told.starts_with(&moved), "{last:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_gives_its_place_back() {
    let (_, _, console) = in_memory();
    let router = console.max_streams(1).router();
    let unread = get(&router, "/events").await;
    let began = Instant::now();
    let next = loop {
        let next = get(&router, "/events").await;
        if next.status() == StatusCode::OK {
            break next;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "it keeps its place");
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    assert!(began.elapsed() > Duration::from_secs(60), "a slow client has its time");
    // What was sent is there to be read, and no more comes.
    assert!(text(unread).await.contains("event: moved"));
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_it_is_old() {
    let (_, _, console) = in_memory();
    let router = console.max_streams(1).router();
    let began = Instant::now();
    let read = text(get(&router, "/events").await).await;
    assert_eq!(began.elapsed().as_secs(), 600);
    assert!(read.starts_with("retry: 1000\n\n") && read.contains("event: here"), "{read}");
    assert_eq!(get(&router, "/events").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_so_many_streams_are_open_at_once() {
    let guild = Guild::empty().await;
    let router = guild.console().max_streams(1).router();
    let first = get(&router, "/events").await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = get(&router, "/events").await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    let again = async {
        while get(&router, "/events").await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.unwrap();
}
