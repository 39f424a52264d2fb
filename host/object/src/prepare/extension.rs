//! `.BTF.ext` with other names of sections, without what is about programs that were left out.

use super::btf_editor::BtfEditor;
use super::{Fate, Note, flexible};
use crate::ObjectError;
use crate::btf::{TypeId, read_u32};
use crate::core_relocations::{self, RelocationKind, TableKind};
use std::collections::BTreeMap;

const TABLES: [TableKind; 3] = [
    TableKind::Functions,
    TableKind::Lines,
    TableKind::CoreRelocations,
];

pub(super) fn rewrite(
    bytes: &[u8],
    fate: &Fate,
    btf: &mut BtfEditor,
    notes: &mut Vec<Note>,
) -> Result<Vec<u8>, ObjectError> {
    let mut names = BTreeMap::new();
    let mut copies = flexible::Copies::default();
    let mut header = vec![0x9f, 0xeb, 1, 0];
    header.extend_from_slice(&32_u32.to_le_bytes());
    let mut body = Vec::new();
    for table in TABLES {
        let begin = body.len();
        for section in core_relocations::table(bytes, table)? {
            let name = btf.string(section.name).map(str::to_owned);
            let name = name.ok_or(ObjectError::Extension("a section's name is not in the BTF"))?;
            if fate.gone.contains(&name) {
                continue;
            }
            let offset = match fate.renamed.get(&name) {
                None => section.name,
                Some(new) => *names
                    .entry(section.name)
                    .or_insert_with(|| btf.add_string(new)),
            };
            if body.len() == begin {
                body.extend_from_slice(&(section.record_size as u32).to_le_bytes());
            }
            body.extend_from_slice(&offset.to_le_bytes());
            let number = body.len();
            body.extend_from_slice(&[0; 4]);
            let mut kept = 0_u32;
            for record in section.bytes.chunks_exact(section.record_size) {
                let word = |at| read_u32(record, at).unwrap_or(0);
                if table != TableKind::CoreRelocations {
                    kept += 1;
                    body.extend_from_slice(record);
                    continue;
                }
                let instruction = u64::from(word(0));
                let inside = |(from, to): &(u64, u64)| (*from..*to).contains(&instruction);
                if fate
                    .idle
                    .get(&name)
                    .is_some_and(|idle| idle.iter().any(inside))
                {
                    continue;
                }
                let root = TypeId(word(4));
                let root = match core_relocations::kind(word(12)) {
                    RelocationKind::Field => copies.root(btf, root, word(8), notes),
                    RelocationKind::TypeMatches | RelocationKind::Unknown => {
                        let kind = word(12);
                        return Err(ObjectError::Relocation {
                            section: name,
                            kind,
                        });
                    }
                    _ => root,
                };
                kept += 1;
                body.extend_from_slice(&record[..4.min(record.len())]);
                body.extend_from_slice(&root.0.to_le_bytes());
                body.extend_from_slice(record.get(8..).unwrap_or_default());
            }
            if kept == 0 {
                body.truncate(number - 4);
                if body.len() == begin + 4 {
                    body.truncate(begin);
                }
            } else if let Some(place) = body.get_mut(number..).and_then(|b| b.first_chunk_mut()) {
                *place = kept.to_le_bytes();
            }
        }
        header.extend_from_slice(&(begin as u32).to_le_bytes());
        header.extend_from_slice(&((body.len() - begin) as u32).to_le_bytes());
    }
    header.extend_from_slice(&body);
    Ok(header)
}
