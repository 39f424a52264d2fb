//! Maps by size at run time.

use std::collections::BTreeMap;

use ig_kernel::{LoadOptions, Map, MapError, Update};
use ig_records::span::Span;

use crate::objects::{load, long, object, word};

fn entries(map: &Map) -> Vec<Vec<u8>> {
    let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8];
    let count = map.read_all(&mut out, 1 << 20).unwrap();
    let entries: Vec<Vec<u8>> = Span(&out[8..])
        .iter()
        .map(|record| record.payload.to_vec())
        .collect();
    assert_eq!(entries.len(), count as usize);
    entries
}

#[test]
fn maps_of_every_type_by_bytes() {
    let loaded = load(&object("maps", &[]), LoadOptions::default()).unwrap();
    let hash = loaded.map("hash").unwrap();
    assert_eq!(
        (hash.key_size(), hash.value_size(), hash.max_entries()),
        (7, 4, 4096)
    );
    let key = |number: u32| [number.to_ne_bytes().as_slice(), &[1, 2, 3]].concat();
    assert_eq!(hash.lookup(&key(0)).unwrap(), None);
    for number in 0..3000u32 {
        assert!(
            hash.update(&key(number), &(number * 2).to_ne_bytes(), Update::Any)
                .unwrap()
        );
    }
    assert_eq!(
        hash.lookup(&key(7)).unwrap(),
        Some(14u32.to_ne_bytes().to_vec())
    );
    assert!(!hash.update(&key(7), &[0; 4], Update::Insert).unwrap());
    assert!(!hash.update(&key(5000), &[0; 4], Update::Replace).unwrap());
    assert!(hash.delete(&key(2999)).unwrap());
    assert!(!hash.delete(&key(2999)).unwrap());
    // All of them, in batches: keys padded to 8, then the value.
    let all: BTreeMap<u32, u32> = entries(&hash)
        .iter()
        .map(|entry| {
            assert_eq!((entry.len(), &entry[4..8]), (12, [1u8, 2, 3, 0].as_slice()));
            (word(entry, 0), word(entry, 8))
        })
        .collect();
    assert_eq!(all, (0..2999).map(|number| (number, number * 2)).collect());
    // Too much for the caller: an error, and the buffer as it was.
    let mut out = vec![9];
    let error = hash.read_all(&mut out, 2998 * 24).unwrap_err();
    assert!(matches!(error, MapError::TooLarge { .. }), "{error}");
    assert_eq!(
        (
            out.as_slice(),
            hash.read_all(&mut Vec::new(), 2999 * 24).unwrap()
        ),
        ([9u8].as_slice(), 2999)
    );
    for wrong in [
        hash.lookup(&[0; 4]).unwrap_err(),
        hash.update(&key(1), &[0; 5], Update::Any).unwrap_err(),
    ] {
        assert!(matches!(wrong, MapError::Length { .. }), "{wrong}");
    }

    let array = loaded.map("array").unwrap();
    assert!(
        array
            .update(&299u32.to_ne_bytes(), &77u64.to_ne_bytes(), Update::Any)
            .unwrap()
    );
    let error = array
        .update(&300u32.to_ne_bytes(), &77u64.to_ne_bytes(), Update::Any)
        .unwrap_err();
    assert!(
        matches!(
            error,
            MapError::Full {
                max_entries: 300,
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        array.delete(&0u32.to_ne_bytes()),
        Err(MapError::System { .. })
    ));
    let all = entries(&array);
    assert_eq!(
        (
            all.len(),
            word(&all[299], 0),
            long(&all[299], 8),
            long(&all[0], 8)
        ),
        (300, 299, 77, 0)
    );

    let percpu = loaded.map("percpu").unwrap();
    let cpus = percpu.value_size() / 8;
    assert_eq!(
        (percpu.value_size_per_cpu(), percpu.value_size() % 8),
        (4, 0)
    );
    assert!(cpus >= std::thread::available_parallelism().unwrap().get());
    let values: Vec<u8> = (0..cpus as u64)
        .flat_map(|cpu| (100 + cpu).to_ne_bytes())
        .collect();
    assert!(
        percpu
            .update(&5u32.to_ne_bytes(), &values, Update::Any)
            .unwrap()
    );
    assert_eq!(
        percpu.lookup(&5u32.to_ne_bytes()).unwrap().as_deref(),
        Some(values.as_slice())
    );
    let all = entries(&percpu);
    assert_eq!(
        (all.len(), word(&all[0], 0), &all[0][8..]),
        (1, 5, values.as_slice())
    );

    let trie = loaded.map("trie").unwrap();
    for (prefix, value) in [(8u32, 1u64), (16, 2), (24, 3)] {
        let key = [prefix.to_ne_bytes(), [10, 1, 2, 0]].concat();
        assert!(
            trie.update(&key, &value.to_ne_bytes(), Update::Any)
                .unwrap()
        );
    }
    let mut values: Vec<u64> = entries(&trie).iter().map(|entry| long(entry, 8)).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2, 3]);
    let longest = [32u32.to_ne_bytes(), [10, 1, 9, 9]].concat();
    assert_eq!(
        trie.lookup(&longest).unwrap(),
        Some(2u64.to_ne_bytes().to_vec())
    );

    let lru = loaded.map("lru").unwrap();
    assert_eq!(entries(&lru).len(), 0);
    lru.update(&1u32.to_ne_bytes(), &2u64.to_ne_bytes(), Update::Any)
        .unwrap();
    assert_eq!(
        entries(&lru),
        [[[1u8, 0, 0, 0].as_slice(), &[0; 4], &2u64.to_ne_bytes()].concat()]
    );

    let error = loaded
        .map("stacks")
        .unwrap()
        .read_all(&mut Vec::new(), 1 << 20)
        .unwrap_err();
    assert!(matches!(error, MapError::Unreadable { .. }), "{error}");
    assert!(matches!(
        loaded.map("nothing"),
        Err(MapError::NoSuchMap { .. })
    ));
}
