use super::*;

fn header(id: &str) -> data_stream::Header {
    data_stream::Header {
        stream_id: id.to_owned(),
        topic: TOPIC.to_owned(),
        attributes: HashMap::from([
            (SEGMENT_ID.to_owned(), format!("SG_{id}")),
            (TRACK_ID.to_owned(), "TR_1".to_owned()),
        ]),
        ..data_stream::Header::default()
    }
}

fn chunk(id: &str, index: u64, content: &[u8]) -> data_stream::Chunk {
    data_stream::Chunk {
        stream_id: id.to_owned(),
        chunk_index: index,
        content: content.to_vec(),
        ..data_stream::Chunk::default()
    }
}

fn trailer(id: &str, is_final: Option<&str>) -> data_stream::Trailer {
    let attribute = |value: &str| (FINAL.to_owned(), value.to_owned());
    data_stream::Trailer {
        stream_id: id.to_owned(),
        attributes: is_final.map(attribute).into_iter().collect(),
        ..data_stream::Trailer::default()
    }
}

fn text(update: Option<Update>) -> (String, bool) {
    let segment = update.expect("an update").segment;
    (segment.text, segment.is_final)
}

#[test]
fn words_come_in_pieces_and_once_each() {
    let mut transcripts = Transcripts::default();
    assert_eq!(transcripts.begin("alice".to_owned(), header("1")), None);
    let first = transcripts.append(&chunk("1", 0, b"one "));
    let first = first.expect("an update");
    assert_eq!(
        (first.speaker.as_str(), first.track_sid.as_str()),
        ("alice", "TR_1")
    );
    assert_eq!(first.segment.id, "SG_1");
    // The same chunk again, and a character in two chunks.
    assert_eq!(transcripts.append(&chunk("1", 0, b"one ")), None);
    transcripts.append(&chunk("1", 1, &[0xc3]));
    let whole = transcripts.append(&chunk("1", 2, &[0xa9]));
    assert_eq!(text(whole), ("one é".to_owned(), false));
    let last = transcripts.end(&trailer("1", Some("true")));
    assert_eq!(text(last), ("one é".to_owned(), true));
    assert_eq!(transcripts.append(&chunk("1", 3, b"late")), None);
    assert_eq!(transcripts.end(&trailer("1", None)), None);
}

#[test]
fn a_stream_that_says_so_is_not_final() {
    let mut transcripts = Transcripts::default();
    transcripts.begin("alice".to_owned(), header("1"));
    transcripts.append(&chunk("1", 0, b"one"));
    let last = transcripts.end(&trailer("1", Some("false")));
    assert_eq!(text(last), ("one".to_owned(), false));
}

#[test]
fn other_topics_and_compressed_streams_are_left_alone() {
    let mut transcripts = Transcripts::default();
    let mut other = header("1");
    other.topic = "lk.chat".to_owned();
    transcripts.begin(String::new(), other);
    let mut compressed = header("2");
    compressed.compression = 1;
    transcripts.begin(String::new(), compressed);
    assert_eq!(transcripts.append(&chunk("1", 0, b"one")), None);
    assert_eq!(transcripts.append(&chunk("2", 0, b"one")), None);
}

#[test]
fn neither_streams_nor_words_are_kept_without_bound() {
    let mut transcripts = Transcripts::default();
    for number in 0..10 * STREAMS {
        transcripts.begin(String::new(), header(&number.to_string()));
    }
    assert_eq!(transcripts.streams.len(), STREAMS);
    assert_eq!(transcripts.order.len(), STREAMS);
    let id = (10 * STREAMS - 1).to_string();
    let long = vec![b'a'; TEXT];
    for index in 0..3 {
        transcripts.append(&chunk(&id, index, &long));
    }
    assert_eq!(text(transcripts.end(&trailer(&id, None))).0.len(), TEXT);
}
