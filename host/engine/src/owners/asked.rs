//! What a guest asks about owners, checked: it may ask for those of the records of its call alone.

use super::{Field, NoOwners, Owners, seen};
use crate::identity::RecordIdentity;
use ig_records::span::Span;

/// What the answer about a field takes in the guest for each owner, beside the text.
const BYTES_PER_TEXT: usize = 16;

/// Owners, as one guest may ask for them.
pub(crate) struct AskedOwners {
    pub owners: Box<dyn Owners>,
    granted: bool,
    /// By source: where its records say whose they are.
    identities: Vec<Option<RecordIdentity>>,
    /// The most bytes of one answer.
    limit: usize,
    /// The source of the span that is being processed, and the span.
    source: Option<usize>,
    span: Vec<u8>,
    /// One bit for each multiple of 8 in the span: a record that counts begins there. Empty until somebody asks.
    headers: Vec<u64>,
}

impl AskedOwners {
    /// For a guest that may not ask.
    pub fn nobody() -> Self {
        Self {
            granted: false,
            ..Self::new(Box::new(NoOwners), Vec::new(), 0)
        }
    }

    /// For a guest that may ask these. `limit` is the most bytes of one answer.
    pub fn new(
        owners: Box<dyn Owners>,
        identities: Vec<Option<RecordIdentity>>,
        limit: usize,
    ) -> Self {
        Self {
            owners,
            granted: true,
            identities,
            limit,
            source: None,
            span: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A call begins, perhaps with a span of a source.
    pub fn begin(&mut self, span: Option<(usize, &[u8])>) {
        self.source = None;
        if !self.granted {
            return;
        }
        self.span.clear();
        self.headers.clear();
        if let Some((source, bytes)) = span {
            self.source = Some(source);
            self.span.extend_from_slice(bytes);
        }
    }

    /// The owners of the records whose headers begin at these offsets of the span; `now` is the time of records that say
    /// none. The error says which can't be.
    pub fn of_records(&mut self, offsets: &[u32], now: u64) -> Result<Vec<u32>, String> {
        let Some(source) = self.source else {
            return Err("of-records outside of process: there are no records".to_owned());
        };
        if self.headers.is_empty() {
            self.headers.resize(self.span.len() / 512 + 1, 0);
            for record in Span(&self.span).iter().filter(|record| !record.discarded) {
                let bit = record.offset as usize / 8;
                if let Some(word) = self.headers.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        let identity = self.identities.get(source).copied().flatten();
        let mut found = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let at = *offset as usize;
            let word = self.headers.get(at / 512).copied().unwrap_or(0);
            if !at.is_multiple_of(8) || word >> (at / 8 % 64) & 1 == 0 {
                return Err(format!(
                    "of-records: {offset} is no offset of a record that counts"
                ));
            }
            let owner = identity.map_or(0, |identity| {
                let payload = payload(&self.span, at);
                seen(self.owners.by_identity(&identity.read(payload), now))
            });
            found.push(owner);
        }
        Ok(found)
    }

    /// A field of owners. The error is for the guest.
    pub fn fields(&mut self, owners: &[u32], name: &str) -> Result<Vec<Option<String>>, String> {
        let Some(field) = Field::of_name(name) else {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(format!("this host knows no field {shown:?} of an owner"));
        };
        let mut left = self.limit;
        let mut texts = Vec::with_capacity(owners.len());
        for owner in owners {
            let text = self.owners.field(*owner, field);
            let size = text.as_ref().map_or(0, |text| text.len()) + BYTES_PER_TEXT;
            left = left.checked_sub(size).ok_or_else(|| {
                format!(
                    "{name} of {} owners is more than {} bytes: ask for fewer at once",
                    owners.len(),
                    self.limit
                )
            })?;
            texts.push(text.map(std::borrow::Cow::into_owned));
        }
        Ok(texts)
    }
}

/// What the record has whose header begins at `at`.
fn payload(span: &[u8], at: usize) -> &[u8] {
    let rest = span.get(at..).unwrap_or_default();
    let record = Span(rest).iter().next();
    record.map_or(&[], |record| record.payload)
}

#[cfg(test)]
mod tests {
    use super::super::PENDING;
    use super::*;
    use ig_object::btf::{Field as StructField, FieldType, Layout};
    use ig_records::span::{self, DISCARD};
    use std::borrow::Cow;

    /// The cgroup 5 is 50's, whose every text is as long as its number.
    struct Fifty;

    impl Owners for Fifty {
        fn by_cgroup(&mut self, cgroup: u64) -> u32 {
            if cgroup == 8 {
                PENDING
            } else {
                cgroup as u32 * 10
            }
        }
        fn by_mount_namespace(&mut self, _: u64, _: u64) -> u32 {
            0
        }
        fn by_id(&mut self, _: &str) -> u32 {
            0
        }
        fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
            let known = owner == 50 && field == Field::Image;
            known.then(|| Cow::Owned("x".repeat(owner as usize)))
        }
        fn changes(&mut self, _: &mut Vec<u32>, _: &mut Vec<u32>) -> bool {
            false
        }
    }

    fn asked(limit: usize) -> AskedOwners {
        let layout = Layout {
            name: "event".to_owned(),
            size: 8,
            fields: vec![StructField {
                name: "cgroup".to_owned(),
                bit_offset: 0,
                bit_size: None,
                size: 8,
                ty: FieldType::Int { signed: false },
                typedefs: vec!["gadget_cgroup_id".to_owned()],
            }],
        };
        let identities = vec![RecordIdentity::of(&layout), None];
        AskedOwners::new(Box::new(Fifty), identities, limit)
    }

    fn span() -> Vec<u8> {
        let mut bytes = Vec::new();
        for cgroup in [5_u64, 6, 7, 8] {
            span::push(&mut bytes, &[&cgroup.to_le_bytes()]).unwrap();
        }
        // The second was discarded.
        let word = (8 | DISCARD).to_le_bytes();
        bytes[16..20].copy_from_slice(&word);
        bytes
    }

    #[test]
    fn records_of_the_span_have_owners_and_nothing_else_has() {
        let mut asked = asked(1000);
        let bytes = span();
        assert!(asked.of_records(&[0], 0).unwrap_err().contains("outside"));
        asked.begin(Some((0, &bytes)));
        assert_eq!(
            asked.of_records(&[0, 32, 0, 48], 0),
            Ok(vec![50, 70, 50, 0])
        );
        assert_eq!(asked.of_records(&[], 0), Ok(vec![]));
        for wild in [4, 8, 16, 33, 64, 4096, u32::MAX, u32::MAX - 7] {
            let error = asked.of_records(&[0, wild], 0).unwrap_err();
            assert!(error.contains(&wild.to_string()), "{error}");
        }
        // Another call has other records.
        asked.begin(Some((0, &bytes[..16])));
        assert_eq!(asked.of_records(&[0], 0), Ok(vec![50]));
        assert!(asked.of_records(&[32], 0).is_err());
        // Of a source whose records say nothing; and of none.
        asked.begin(Some((1, &bytes)));
        assert_eq!(asked.of_records(&[0, 32], 0), Ok(vec![0, 0]));
        asked.begin(None);
        assert!(asked.of_records(&[0], 0).is_err());
    }

    #[test]
    fn any_numbers_have_fields_or_none_and_answers_are_bounded() {
        let mut asked = asked(200);
        let text = Some("x".repeat(50));
        assert_eq!(
            asked.fields(&[0, 50, u32::MAX], "runtime.containerImageName"),
            Ok(vec![None, text, None])
        );
        assert_eq!(asked.fields(&[50], "pod"), Ok(vec![None]));
        let error = asked.fields(&[50; 4], "image").unwrap_err();
        assert!(error.contains("4 owners is more than 200 bytes"), "{error}");
        assert!(asked.fields(&[0; 13], "image").is_err(), "none is not free");
        let error = asked.fields(&[1], "a\x1b[2J").unwrap_err();
        assert!(!error.contains('\x1b') && error.contains("knows no field"));
    }
}
