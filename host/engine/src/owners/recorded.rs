//! Owners and recordings: what was answered is written down, and answered again.

use super::eras::RecordedEras;
use super::{Field, Owners};
use crate::questions::Answers;
use crate::record::Tap;
use ig_records::recording::{
    OWNER_FIELD, OWNER_OF_ADDRESS, OWNER_OF_CGROUP, OWNER_OF_ID, OWNER_OF_MOUNT_NAMESPACE,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

/// Answers that are remembered, of each kind, so that each is recorded once: more are forgotten, and recorded anew.
const MOST_REMEMBERED: usize = 65_536;

/// Owners whose answers go into a recording, unless it says so already.
pub(crate) struct TapedOwners {
    owners: Box<dyn Owners>,
    tap: Tap,
    of_cgroups: HashMap<u64, u32>,
    /// Not forgotten: what a replay makes of an answer hangs on those before. The kernel uses few numbers, over and over.
    of_mount_namespaces: HashMap<u64, RecordedEras>,
    /// Those that were asked for in this call.
    asked: Vec<u64>,
    of_ids: HashMap<String, u32>,
    of_addresses: HashMap<IpAddr, u32>,
    fields: HashMap<(u32, Field), Option<Box<str>>>,
}

impl TapedOwners {
    /// The same answers, and a recording of them.
    pub fn new(owners: Box<dyn Owners>, tap: Tap) -> Self {
        Self {
            owners,
            tap,
            of_cgroups: HashMap::new(),
            of_mount_namespaces: HashMap::new(),
            asked: Vec::new(),
            of_ids: HashMap::new(),
            of_addresses: HashMap::new(),
            fields: HashMap::new(),
        }
    }
}

/// Remembers an answer; whether it is news.
fn is_news<Q: Eq + std::hash::Hash, A: PartialEq>(
    known: &mut HashMap<Q, A>,
    question: Q,
    answer: A,
) -> bool {
    if known.get(&question) == Some(&answer) {
        return false;
    }
    if known.len() >= MOST_REMEMBERED {
        known.clear();
    }
    known.insert(question, answer);
    true
}

impl Owners for TapedOwners {
    fn by_cgroup(&mut self, cgroup: u64) -> u32 {
        let owner = self.owners.by_cgroup(cgroup);
        if is_news(&mut self.of_cgroups, cgroup, owner) {
            let (question, answer) = (cgroup.to_le_bytes(), owner.to_le_bytes());
            self.tap.answer(OWNER_OF_CGROUP, &question, &answer);
        }
        owner
    }

    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        let owner = self.owners.by_mount_namespace(namespace, at);
        let eras = self.of_mount_namespaces.entry(namespace).or_default();
        if eras.is_unasked() {
            self.asked.push(namespace);
        }
        let tap = &self.tap;
        eras.answered(at, owner, |at, owner| {
            let answer = [&at.to_le_bytes()[..], &owner.to_le_bytes()].concat();
            tap.answer(OWNER_OF_MOUNT_NAMESPACE, &namespace.to_le_bytes(), &answer);
        });
        owner
    }

    fn by_id(&mut self, id: &str) -> u32 {
        let owner = self.owners.by_id(id);
        if is_news(&mut self.of_ids, id.to_owned(), owner) {
            let answer = owner.to_le_bytes();
            self.tap.answer(OWNER_OF_ID, id.as_bytes(), &answer);
        }
        owner
    }

    fn by_address(&mut self, address: IpAddr) -> u32 {
        let owner = self.owners.by_address(address);
        if is_news(&mut self.of_addresses, address, owner) {
            let answer = owner.to_le_bytes();
            self.tap
                .answer(OWNER_OF_ADDRESS, &address_bytes(address), &answer);
        }
        owner
    }

    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
        let text = self.owners.field(owner, field);
        let known = self.fields.get(&(owner, field));
        if known.is_none_or(|known| known.as_deref() != text.as_deref()) {
            let mut question = Vec::new();
            put_field_question(&mut question, owner, field);
            let answer = text_answer(text.as_deref());
            self.tap.answer(OWNER_FIELD, &question, &answer);
            is_news(
                &mut self.fields,
                (owner, field),
                text.as_deref().map(Box::from),
            );
        }
        text
    }

    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool {
        for namespace in self.asked.drain(..) {
            if let Some(eras) = self.of_mount_namespaces.get_mut(&namespace) {
                eras.next_call();
            }
        }
        self.owners.changes(added, removed)
    }
}

/// A recording in place of who knew. What it has no answer to is not known, and counted.
pub(crate) struct RecordedOwners {
    answers: Answers,
    /// The last question about a field, and the last text that was given.
    question: Vec<u8>,
    text: String,
}

impl RecordedOwners {
    /// Answers from these.
    pub fn new(answers: Answers) -> Self {
        Self {
            answers,
            question: Vec::new(),
            text: String::new(),
        }
    }

    fn owner(&self, kind: u16, question: &[u8], asked: &str) -> u32 {
        let mut answers = self.answers.lock();
        let owner = answers.latest(kind, question);
        match owner.and_then(|answer| answer.first_chunk()) {
            Some(owner) => u32::from_le_bytes(*owner),
            None => {
                answers.count_unanswered(asked);
                0
            }
        }
    }
}

impl Owners for RecordedOwners {
    fn by_cgroup(&mut self, cgroup: u64) -> u32 {
        self.owner(OWNER_OF_CGROUP, &cgroup.to_le_bytes(), "owner of a cgroup")
    }

    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        let mut answers = self.answers.lock();
        if let Some(owner) = answers.owner_of_mount_namespace(namespace, at) {
            return owner;
        }
        answers.count_unanswered("owner of a mount namespace");
        0
    }

    fn by_id(&mut self, id: &str) -> u32 {
        self.owner(OWNER_OF_ID, id.as_bytes(), "owner of a container's id")
    }

    fn by_address(&mut self, address: IpAddr) -> u32 {
        let question = address_bytes(address);
        self.owner(OWNER_OF_ADDRESS, &question, "owner of an address")
    }

    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
        let Self {
            answers,
            question,
            text,
        } = self;
        question.clear();
        put_field_question(question, owner, field);
        let mut answers = answers.lock();
        let Some(answer) = answers.latest(OWNER_FIELD, question) else {
            // Whose is not known has no fields, and nobody need have asked.
            if owner != 0 {
                answers.count_unanswered(&format!("{} of an owner", field.name()));
            }
            return None;
        };
        match answer.split_first() {
            Some((1, bytes)) => {
                text.clear();
                text.push_str(&String::from_utf8_lossy(bytes));
                Some(Cow::Borrowed(text))
            }
            _ => None,
        }
    }

    fn changes(&mut self, _added: &mut Vec<u32>, _removed: &mut Vec<u32>) -> bool {
        // Who came and went are calls in the recording; every call may have answers of its own.
        true
    }
}

/// 4 or 16 bytes, as on the wire.
fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The number of the owner and the name of the field.
fn put_field_question(question: &mut Vec<u8>, owner: u32, field: Field) {
    question.extend_from_slice(&owner.to_le_bytes());
    question.extend_from_slice(field.name().as_bytes());
}

/// 0, or 1 and the text.
fn text_answer(text: Option<&str>) -> Vec<u8> {
    match text {
        None => vec![0],
        Some(text) => [&[1], text.as_bytes()].concat(),
    }
}
