//! What a guest asks beside its records, and who answers: the kernel, whose answers may be recorded, or a recording.
//!
//! A recording knows answers by their question, not by their place in a sequence: a guest that was changed may ask in
//! another order, more often or less, and gets the latest answer that was given up to the call in which it asks.

use crate::owners::eras::Eras;
use crate::record::Tap;
use ig_kernel::{Map, Update};
use ig_records::recording::{MAP_ANSWER, OWNER_OF_MOUNT_NAMESPACE};
use ig_sandbox::MapError;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be asked about a map. The number stands in recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    Lookup = 0,
    Update = 1,
    Delete = 2,
    ReadAll = 3,
}

impl Ask {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::ReadAll => "read-all",
        }
    }
}

/// The answer: nothing or false, or something or true with the bytes of a value; the error is for the guest.
pub(crate) type Answer = Result<Option<Vec<u8>>, String>;

/// Answers questions about the maps that a guest may use. Maps go by their index among its grants.
pub(crate) trait Maps: Send {
    /// `value` is that of an update. Entries that are more than `limit` bytes are an error.
    fn ask(
        &mut self,
        map: usize,
        ask: Ask,
        key: &[u8],
        value: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, MapError>;
}

/// The maps themselves.
pub(crate) struct KernelMaps {
    pub maps: Vec<Map>,
    pub tap: Option<Tap>,
}

impl Maps for KernelMaps {
    fn ask(
        &mut self,
        map: usize,
        ask: Ask,
        key: &[u8],
        value: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, MapError> {
        let map = self.maps.get(map).ok_or(MapError::Unknown)?;
        let there = |there: bool| there.then(Vec::new);
        let answer = match ask {
            Ask::Lookup => map.lookup(key),
            Ask::Update => map.update(key, value, Update::Any).map(there),
            Ask::Delete => map.delete(key).map(there),
            Ask::ReadAll => {
                let mut entries = Vec::new();
                map.read_all(&mut entries, limit).map(|_| Some(entries))
            }
        };
        let answer = answer.map_err(|e| e.to_string());
        if let Some(tap) = &self.tap {
            tap.answer(
                MAP_ANSWER,
                &question(map.name(), ask, key),
                &encode(&answer),
            );
        }
        answer.map_err(MapError::Failed)
    }
}

/// A recording in place of the maps.
pub(crate) struct RecordedMaps {
    /// By index among the grants.
    pub names: Vec<String>,
    pub answers: Answers,
}

impl Maps for RecordedMaps {
    fn ask(
        &mut self,
        map: usize,
        ask: Ask,
        key: &[u8],
        _value: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, MapError> {
        let name = self.names.get(map).ok_or(MapError::Unknown)?;
        let mut answers = self.answers.lock();
        let answer = answers.get(MAP_ANSWER, &question(name, ask, key));
        match answer.map(decode) {
            Some(Ok(Some(entries))) if ask == Ask::ReadAll && entries.len() > limit => {
                Err(MapError::Failed(format!(
                    "the entries of the map {name:?} are more than {limit} bytes"
                )))
            }
            Some(answer) => answer.map_err(MapError::Failed),
            None => {
                answers.count_unanswered(&format!("map {name}: {}", ask.as_str()));
                Err(MapError::Failed(
                    "the recording has no answer to this".to_owned(),
                ))
            }
        }
    }
}

/// The question as a recording holds it: what is asked, u32 length of the map's name, the name, the key. What an update
/// writes is no part of it: whether it succeeds hangs on the key.
fn question(map: &str, ask: Ask, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + map.len() + key.len());
    bytes.push(ask as u8);
    bytes.extend_from_slice(&u32::try_from(map.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(map.as_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The answer as a recording holds it: 0 and a text, 1, or 2 and a value.
fn encode(answer: &Answer) -> Vec<u8> {
    let (tag, bytes) = match answer {
        Err(text) => (0, text.as_bytes()),
        Ok(None) => (1, &[][..]),
        Ok(Some(value)) => (2, value.as_slice()),
    };
    [&[tag], bytes].concat()
}

fn decode(bytes: &[u8]) -> Answer {
    match bytes.split_first() {
        Some((0, text)) => Err(String::from_utf8_lossy(text).into_owned()),
        Some((1, [])) => Ok(None),
        Some((2, value)) => Ok(Some(value.to_vec())),
        _ => Err("the recording's answer to this is none".to_owned()),
    }
}

/// The most bytes of questions and answers that are held at a time.
const MOST_BYTES: usize = 256 << 20;

/// The answers of a recording, by question; shared between who reads it and who is asked.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Known>>);

/// What is known in the present call.
#[derive(Default)]
pub(crate) struct Known {
    /// By their kind and question.
    answers: BTreeMap<u16, HashMap<Vec<u8>, Given>>,
    /// Whose mount namespaces were, by their numbers.
    mount_namespaces: HashMap<u64, Eras>,
    /// Of all questions and answers.
    bytes: usize,
    /// The present call, by its number.
    call: u64,
    /// Questions without an answer, by what was asked.
    pub unanswered: BTreeMap<String, u64>,
}

/// Answers to one question.
struct Given {
    /// In which call.
    call: u64,
    /// One after the other.
    answers: Vec<Vec<u8>>,
    /// The one that is next in that call.
    next: usize,
}

/// A recording holds more answers than can be kept.
#[derive(Debug, thiserror::Error)]
#[error("the answers in the recording are more than {} MiB", MOST_BYTES >> 20)]
pub(crate) struct TooManyAnswers;

impl Answers {
    pub fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes an answer that is given in the present call.
    pub fn add(&mut self, kind: u16, question: &[u8], answer: &[u8]) -> Result<(), TooManyAnswers> {
        if kind == OWNER_OF_MOUNT_NAMESPACE {
            return self.add_era(question, answer);
        }
        let call = self.call;
        let of_kind = self.answers.entry(kind).or_default();
        let given = of_kind.entry(question.to_vec()).or_insert_with(|| {
            self.bytes += question.len();
            Given {
                call,
                answers: Vec::new(),
                next: 0,
            }
        });
        if given.call != call {
            self.bytes -= given.answers.iter().map(Vec::len).sum::<usize>();
            given.answers.clear();
            (given.call, given.next) = (call, 0);
        }
        self.bytes += answer.len();
        given.answers.push(answer.to_vec());
        if self.bytes > MOST_BYTES {
            return Err(TooManyAnswers);
        }
        Ok(())
    }

    /// Takes an answer about a mount namespace, which holds from a time on; what is none tells nothing.
    fn add_era(&mut self, question: &[u8], answer: &[u8]) -> Result<(), TooManyAnswers> {
        if let Some((namespace, [])) = question.split_first_chunk()
            && let Some((time, owner)) = answer.split_first_chunk()
            && let Some((owner, [])) = owner.split_first_chunk()
        {
            let eras = self
                .mount_namespaces
                .entry(u64::from_le_bytes(*namespace))
                .or_default();
            if eras.add(u64::from_le_bytes(*time), u32::from_le_bytes(*owner)) {
                self.bytes += question.len() + answer.len();
            }
        }
        if self.bytes > MOST_BYTES {
            return Err(TooManyAnswers);
        }
        Ok(())
    }

    /// Whose a mount namespace was at a time; None when nothing was asked about it up to the present call.
    pub fn owner_of_mount_namespace(&self, namespace: u64, time: u64) -> Option<u32> {
        Some(self.mount_namespaces.get(&namespace)?.at(time))
    }

    /// Counts a question that has no answer.
    pub fn count_unanswered(&mut self, asked: &str) {
        match self.unanswered.get_mut(asked) {
            Some(count) => *count += 1,
            None => drop(self.unanswered.insert(asked.to_owned(), 1)),
        }
    }

    /// The last answer to a question up to the present call, that included.
    pub fn latest(&self, kind: u16, question: &[u8]) -> Option<&[u8]> {
        let given = self.answers.get(&kind)?.get(question)?;
        given.answers.last().map(Vec::as_slice)
    }

    /// The present call is over.
    pub fn next_call(&mut self) {
        self.call += 1;
    }

    /// The answer to a question. In the call in which it was given several times, one after the other; else the last.
    fn get(&mut self, kind: u16, question: &[u8]) -> Option<&[u8]> {
        let given = self.answers.get_mut(&kind)?.get_mut(question)?;
        let last = given.answers.len().saturating_sub(1);
        let at = if given.call == self.call {
            given.next.min(last)
        } else {
            last
        };
        given.next = at + 1;
        given.answers.get(at).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(known: &mut Known, question: &[u8]) -> Option<Vec<u8>> {
        known.get(1, question).map(<[u8]>::to_vec)
    }

    #[test]
    fn an_answer_is_the_latest_up_to_the_present_call() {
        let mut known = Known::default();
        assert_eq!(get(&mut known, b"a"), None);
        known.add(1, b"a", b"1").unwrap();
        known.add(1, b"a", b"2").unwrap();
        known.add(1, b"b", b"3").unwrap();
        known.add(2, b"a", b"another kind").unwrap();
        // In any order; asked once more than then, the last again.
        assert_eq!(get(&mut known, b"b").unwrap(), b"3");
        assert_eq!(get(&mut known, b"a").unwrap(), b"1");
        assert_eq!(get(&mut known, b"a").unwrap(), b"2");
        assert_eq!(get(&mut known, b"a").unwrap(), b"2");
        known.next_call();
        // Nothing new: what was last.
        assert_eq!(get(&mut known, b"a").unwrap(), b"2");
        known.add(1, b"a", b"4").unwrap();
        assert_eq!(get(&mut known, b"a").unwrap(), b"4");
        known.add(1, b"b", b"5").unwrap();
        known.add(1, b"b", b"6").unwrap();
        known.next_call();
        // Not asked in the call in which it was asked twice.
        assert_eq!(get(&mut known, b"b").unwrap(), b"6");
        assert_eq!(get(&mut known, b"c"), None);
        assert_eq!(known.bytes, 3 + 3 + 12);
    }

    #[test]
    fn answers_are_bounded() {
        let mut known = Known::default();
        let large = vec![0; MOST_BYTES / 2];
        for _ in 0..4 {
            // The same question in another call replaces.
            known.add(1, b"a", &large).unwrap();
            known.next_call();
        }
        assert!(known.add(1, b"b", &large).is_err());
    }

    #[test]
    fn answers_survive_their_bytes() {
        for answer in [
            Err("no".to_owned()),
            Ok(None),
            Ok(Some(Vec::new())),
            Ok(Some(b"value".to_vec())),
        ] {
            assert_eq!(decode(&encode(&answer)), answer);
        }
        for broken in [&[][..], &[3], &[1, 1]] {
            assert!(decode(broken).is_err());
        }
        let ask = |map, key| question(map, Ask::Lookup, key);
        assert_ne!(ask("ab", b"c"), ask("a", b"bc"));
        assert_ne!(ask("a", b""), question("a", Ask::ReadAll, b""));
    }

    #[test]
    fn what_has_no_answer_is_counted_and_an_error_for_the_guest() {
        let answers = Answers::default();
        let given = encode(&Ok(Some(b"v".to_vec())));
        let lookup = question("counts", Ask::Lookup, b"k");
        answers.lock().add(MAP_ANSWER, &lookup, &given).unwrap();
        let mut maps = RecordedMaps {
            names: vec!["counts".to_owned()],
            answers: answers.clone(),
        };
        let mut ask = |map, what, key: &[u8]| maps.ask(map, what, key, &[], 10);
        assert_eq!(ask(0, Ask::Lookup, b"k"), Ok(Some(b"v".to_vec())));
        assert!(matches!(
            ask(0, Ask::Lookup, b"other"),
            Err(MapError::Failed(_))
        ));
        assert!(matches!(
            ask(0, Ask::Delete, b"k"),
            Err(MapError::Failed(_))
        ));
        assert!(matches!(
            ask(0, Ask::Delete, b"k"),
            Err(MapError::Failed(_))
        ));
        assert!(matches!(ask(1, Ask::Lookup, b"k"), Err(MapError::Unknown)));
        assert_eq!(
            answers.lock().unanswered,
            BTreeMap::from([
                ("map counts: delete".to_owned(), 2),
                ("map counts: lookup".to_owned(), 1)
            ])
        );
    }
}
