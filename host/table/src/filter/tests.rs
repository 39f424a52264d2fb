//! Filters as users write them, on one table.

mod documented;
mod meaning;
mod mistakes;
mod property;

use std::sync::Arc;

use super::*;
use crate::kinds::Kind;
use crate::kinds::open_flags::Arch;
use crate::names::Passwd;
use crate::schema::Column;

fn words() -> Words {
    let names = Passwd::parse(b"root:x:0:0\nalice:x:1000:1000\n");
    Words::new(Arc::new(names), Arch::X86_64, crate::Zone::UTC)
}

fn table(columns: &[(&str, &str, Kind)]) -> Arc<Table> {
    let columns = columns.iter().map(|(name, data_type, kind)| Column {
        name: (*name).to_owned(),
        description: String::new(),
        data_type: data_type.parse().unwrap(),
        kind: *kind,
        width: None,
        hidden: false,
        alias: None,
    });
    Arc::new(Table {
        name: "files".to_owned(),
        description: String::new(),
        columns: columns.collect(),
    })
}

/// The numbers of the sample's rows that a filter takes.
fn taken(filter: &str) -> Vec<usize> {
    let rows = documented::rows();
    let filter = match Filter::parse(filter, &rows.table, &words()) {
        Ok(filter) => filter,
        Err(error) => panic!("{error}"),
    };
    let mask = filter.apply(&rows);
    assert_eq!(mask.len(), rows.len);
    mask.set_indices().map(|row| row + 1).collect()
}
