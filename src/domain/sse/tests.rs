use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// All events of a stream that arrives in these chunks, and its tail.
fn split(chunks: &[&[u8]]) -> (Vec<Event>, Bytes) {
    let mut splitter = Splitter::new(4096);
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = splitter.next_event().unwrap() {
            events.push(event);
        }
    }
    (events, splitter.rest())
}

/// Name and data of the events that have data.
fn said(events: &[Event]) -> Vec<(String, Vec<u8>)> {
    let data = |event: &Event| Some((event.name().to_owned(), event.data()?.into_owned()));
    events.iter().filter_map(data).collect()
}

fn one(stream: &[u8]) -> Event {
    let (mut events, rest) = split(&[stream]);
    assert!(rest.is_empty());
    assert_eq!(events.len(), 1);
    events.remove(0)
}

#[test]
fn lines_end_in_lf_cr_or_crlf() {
    for stream in [
        "event: a\ndata: b\n\n",
        "event: a\rdata: b\r\r",
        "event: a\r\ndata: b\r\n\r\n",
        "event: a\r\ndata: b\n\r\n",
    ] {
        let event = one(stream.as_bytes());
        assert_eq!((event.name(), event.data().as_deref()), ("a", Some(&b"b"[..])), "{stream:?}");
        assert_eq!(event.raw, stream);
    }
}

#[test]
fn an_event_waits_for_nothing_behind_its_last_byte() {
    for stream in ["data: a\n\n", "data: a\r\n\r\n", "data: a\r\r"] {
        let mut splitter = Splitter::new(64);
        splitter.push(Bytes::from_static(stream.as_bytes()));
        assert_eq!(splitter.next_event().unwrap().unwrap().raw, stream);
        let mut splitter = Splitter::new(64);
        let given = stream.bytes().filter(|&byte| {
            splitter.push(Bytes::from(vec![byte]));
            splitter.next_event().unwrap().is_some()
        });
        assert_eq!(given.count(), 1, "{stream:?}");
    }
}

#[test]
fn a_cr_at_the_end_of_a_chunk_is_one_ending_with_the_lf_of_the_next() {
    let (events, rest) = split(&[b"data: a\r", b"\ndata: b\r\n\r", b"\ndata: c\r\n\r\n"]);
    assert_eq!(said(&events), [(String::new(), b"a\nb".to_vec()), (String::new(), b"c".to_vec())]);
    assert!(rest.is_empty());
    let (events, rest) = split(&[b"data: a\r\n\r", b"\n"]);
    assert_eq!((events.len(), &rest[..]), (1, &b"\n"[..]));
}

#[test]
fn an_optional_space_a_comment_and_a_byte_order_mark_are_no_data() {
    assert_eq!(one(b"data:a\n\n").data().as_deref(), Some(&b"a"[..]));
    assert_eq!(one(b"data:  a\n\n").data().as_deref(), Some(&b" a"[..]));
    assert_eq!(one(b": keepalive\n\n").data(), None);
    assert_eq!(one(b":\ndata: a\n\n").data().as_deref(), Some(&b"a"[..]));
    assert_eq!(one(b"\xEF\xBB\xBFdata: a\n\n").data().as_deref(), Some(&b"a"[..]));
    let (events, _) = split(&[b"data: a\n\n", b"\xEF\xBB\xBFdata: b\n\n"]);
    assert_eq!(said(&events).len(), 1, "a mark in mid-stream is part of a field's name");
}

#[test]
fn data_may_be_empty_of_many_lines_or_missing() {
    assert_eq!(one(b"data: a\ndata\ndata: b\n\n").data().as_deref(), Some(&b"a\n\nb"[..]));
    assert_eq!(one(b"data:\n\n").data().as_deref(), Some(&b""[..]));
    assert_eq!(one(b"event: ping\n\n").data(), None);
    assert_eq!(one(b"database: a\nid: 1\n\n").data(), None);
    assert_eq!(one(b"event: a\nevent: b\n\n").name(), "b");
}

#[test]
fn an_event_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut splitter = Splitter::new(64);
    splitter.push(chunk.clone());
    let first = splitter.next_event().unwrap().unwrap();
    assert_eq!(first.raw.as_ptr(), chunk.as_ptr());
    let second = splitter.next_event().unwrap().unwrap();
    assert_eq!(second.raw.as_ptr(), chunk[9..].as_ptr());
}

#[test]
fn chunks_pushed_without_taking_events_lose_nothing() {
    let mut splitter = Splitter::new(64);
    for chunk in ["data: a\n\nda", "ta: b\n", "\n"] {
        splitter.push(Bytes::from_static(chunk.as_bytes()));
    }
    let mut events = Vec::new();
    while let Some(event) = splitter.next_event().unwrap() {
        events.push(event);
    }
    assert_eq!(said(&events), [(String::new(), b"a".to_vec()), (String::new(), b"b".to_vec())]);
}

#[test]
fn an_event_beyond_the_bound_is_an_error_and_its_bytes_are_kept() {
    let mut splitter = Splitter::new(9);
    splitter.push(Bytes::from_static(b"data: a\n\ndata: "));
    assert!(splitter.next_event().unwrap().is_some(), "an event of exactly the bound is fine");
    assert_eq!(splitter.next_event(), Ok(None));
    splitter.push(Bytes::from_static(b"bb\n\n"));
    assert_eq!(splitter.next_event(), Err(Overlong { bytes_max: 9 }));
    assert_eq!(splitter.next_event(), Err(Overlong { bytes_max: 9 }));
    assert_eq!(&splitter.rest()[..], b"data: bb\n\n");
}

#[test]
fn an_unterminated_event_is_held_only_up_to_the_bound() {
    let mut splitter = Splitter::new(1000);
    let mut pushed = 0;
    while splitter.next_event().is_ok() {
        splitter.push(Bytes::from_static(b": no end in sight"));
        pushed += 17;
    }
    assert!(pushed <= 1000 + 17);
    assert_eq!(splitter.rest().len(), pushed);
}

/// Streams made of the bytes that matter to a splitter.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 12] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data: ",
        b"data",
        b"event:",
        b": c",
        b"x",
        b"\xEF\xBB\xBF",
        b"\xE2\x82\xAC",
        b"\xff",
    ];
    let piece = prop::sample::select(&PIECES[..]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_comes_out_is_what_went_in_and_says_the_same_wherever_it_is_cut(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len().saturating_add(1))).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([stream.len()]) {
            chunks.push(&stream[from..to]);
            from = to;
        }
        let (whole, _) = split(&[&stream]);
        let (events, rest) = split(&chunks);
        let mut out: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
        out.extend_from_slice(&rest);
        prop_assert_eq!(&out, &stream);
        prop_assert_eq!(said(&events), said(&whole));
    }
}
