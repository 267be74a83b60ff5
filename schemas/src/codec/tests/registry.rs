use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;

use super::*;

/// Answers in turn, and fails the test where more is asked.
struct Answers(Mutex<VecDeque<Result<Option<String>, LookupError>>>);

#[async_trait]
impl SchemaRegistry for Answers {
    async fn schema(&self, _id: u32) -> Result<Option<String>, LookupError> {
        self.0.lock().unwrap().pop_front().expect("asked too often")
    }
}

fn registered(answers: impl IntoIterator<Item = Result<Option<String>, LookupError>>) -> Codec {
    let answers = Answers(Mutex::new(answers.into_iter().collect()));
    let own = [
        (topics::AUDIT.subject(), 258),
        (topics::COMPLETED.subject(), 7),
    ];
    Codec::registered(own, Arc::new(answers)).unwrap()
}

/// Answers are there at once.
fn learn(codec: &Codec, bytes: &[u8]) -> Result<(), LookupError> {
    let mut learning = pin!(codec.learn(bytes));
    match learning
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(learned) => learned,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_record_carries_the_registry_s_id() {
    let codec = registered([]);
    let bytes = codec.encode(&audit()).unwrap();
    assert_eq!(&bytes[..5], [0, 0, 0, 1, 2]);
    assert!(!codec.lacks(&bytes));
    assert_eq!(codec.decode::<Audit>(&bytes).unwrap(), audit());
    // Records of before the registry stay readable.
    let single = Codec::default().encode(&audit()).unwrap();
    assert!(!codec.lacks(&single));
    assert_eq!(codec.decode::<Audit>(&single).unwrap(), audit());
    // What was not looked up is not written under another's id.
    let unregistered = Heartbeat {
        instance: String::new(),
        at: 0,
        stages: Vec::new(),
        stores: Vec::new(),
    };
    assert!(matches!(
        codec.encode(&unregistered),
        Err(CodecError::NoId("Heartbeat"))
    ));
}

#[test]
fn an_older_writer_is_learned_once() {
    let bytes = by_older_writer(&Schema::parse_str(OLDER).unwrap(), &[0, 0, 0, 0, 9]);
    let away = LookupError::Away("no answer".to_owned());
    let codec = registered([Err(away.clone()), Ok(Some(OLDER.to_owned()))]);
    assert!(codec.lacks(&bytes));
    // That the registry is away says nothing of the record.
    assert_eq!(learn(&codec, &bytes), Err(away));
    assert!(codec.lacks(&bytes));
    for _ in 0..2 {
        learn(&codec, &bytes).unwrap();
        assert!(!codec.lacks(&bytes));
        assert_eq!(codec.decode::<Completed>(&bytes).unwrap(), completed());
    }
    // Clones share what is learned.
    assert!(!codec.clone().lacks(&bytes));
    // The same bytes are no record of another type.
    assert!(codec.decode::<Audit>(&bytes).is_err());
}

#[test]
fn what_the_registry_does_not_know_is_the_record_s_fault() {
    let check = |answer: Option<&str>, word: &str| {
        let codec = registered([Ok(answer.map(str::to_owned))]);
        let bytes = [0, 0, 0, 0, 9, 1, 1];
        learn(&codec, &bytes).unwrap();
        // It is not asked again for each of many such records.
        assert!(!codec.lacks(&bytes));
        let error = codec.decode::<Audit>(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("schema 9") && error.contains(word),
            "{error:?} lacks {word:?}"
        );
    };
    check(None, "no Avro schema of this id");
    check(Some("{"), "cannot be read");
    check(Some(r#"{"type":"record"}"#), "cannot be read");
}
