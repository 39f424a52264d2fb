//! What is to stay secret is replaced before any sink sees a row: `--redact COLUMN[=REGEX]`.
//!
//! Without a pattern the whole value becomes `***`; with one, every match in it does. It works on
//! columns of type `text`, and on the text in lists and structs, where each text is a value of its
//! own. Several rules apply in their order, also to the same column. What is null stays null.
//!
//! Patterns are those of the Rust crate `regex`, on bytes: `(?i)` for any case, no look-around, time
//! linear in the text. `.` and classes match characters of UTF-8; `(?-u:.)` matches any byte. What
//! a pattern matches is replaced literally.
//!
//! No row that leaves [`Redactor::apply`] shares memory with a text that it changed, so that no
//! sink that writes memory as it is (Arrow) can show more than the values.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, BinaryArray, ListArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use regex::bytes::{NoExpand, Regex};

use crate::schema::{DataType, Rows, Table};
use crate::select::{self, SelectError};

/// What stands where something was.
pub const REPLACEMENT: &str = "***";

/// Why a rule can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// The table has no such column.
    #[error("--redact: {0}")]
    Column(#[from] SelectError),
    /// None of several tables has such a column.
    #[error("--redact: none of the tables {tables} has a column {name:?}")]
    Nowhere {
        /// The name asked for.
        name: String,
        /// The tables' names.
        tables: String,
    },
    /// There is no text in the column.
    #[error(
        "--redact: column {name:?} is {data_type}, and only text can be redacted; leave the column out with --fields -{name}"
    )]
    NoText {
        /// The column.
        name: String,
        /// Its type.
        data_type: DataType,
    },
    /// What stands behind `=` is no pattern.
    #[error("--redact {rule:?}: {error}")]
    Pattern {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        error: String,
    },
}

/// The rules for one table.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// Column and pattern, in the order of the rules.
    rules: Vec<(usize, Option<Regex>)>,
}

impl Redactor {
    /// Reads rules, each `COLUMN` or `COLUMN=REGEX`.
    ///
    /// # Errors
    /// The first rule that can't be followed.
    pub fn new(
        table: &Table,
        rules: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, RedactError> {
        let redactors = Self::of_tables(&[table], rules)?;
        Ok(redactors.into_iter().next().unwrap_or_default())
    }

    /// The same for several tables, in their order: a rule is for every table that has its column.
    ///
    /// # Errors
    /// The first rule that can't be followed: no table has its column, or one has it without text.
    pub fn of_tables(
        tables: &[&Table],
        rules: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Self>, RedactError> {
        let mut redactors = vec![Self::default(); tables.len()];
        for rule in rules {
            let rule = rule.as_ref();
            let (name, pattern) = match rule.split_once('=') {
                Some((name, pattern)) => (name.trim(), Some(pattern)),
                None => (rule.trim(), None),
            };
            let pattern = pattern.map(Regex::new).transpose();
            let mut found = false;
            for (table, redactor) in tables.iter().zip(&mut redactors) {
                let index = match select::find(table, name) {
                    Ok(index) => index,
                    Err(_) if tables.len() > 1 => continue,
                    Err(error) => return Err(error.into()),
                };
                found = true;
                if let Some(column) = table.columns.get(index).filter(|c| !has_text(&c.data_type)) {
                    return Err(RedactError::NoText {
                        name: column.name.clone(),
                        data_type: column.data_type.clone(),
                    });
                }
                let pattern = pattern.clone().map_err(|error| RedactError::Pattern {
                    rule: rule.to_owned(),
                    error: error.to_string(),
                })?;
                redactor.rules.push((index, pattern));
            }
            if !found && !tables.is_empty() {
                let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
                return Err(RedactError::Nowhere {
                    name: name.to_owned(),
                    tables: names.join(", "),
                });
            }
        }
        Ok(redactors)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rows as everybody may see them. Columns in which nothing is found are not copied.
    ///
    /// A column that can't be rebuilt, which only one of more than 2 GiB can be, becomes unknown.
    #[must_use]
    pub fn apply(&self, mut rows: Rows) -> Rows {
        for (index, pattern) in &self.rules {
            let ty = rows.table.columns.get(*index).map(|c| &c.data_type);
            if let (Some(ty), Some(column)) = (ty, rows.columns.get_mut(*index))
                && let Some(array) = column
            {
                match redacted(ty, array, pattern.as_ref()) {
                    Some(Found::Nothing) => {}
                    Some(Found::Changed(changed)) => *array = changed,
                    None => *column = None,
                }
            }
        }
        rows
    }
}

fn has_text(ty: &DataType) -> bool {
    match ty {
        DataType::Text => true,
        DataType::List(item) => has_text(item),
        DataType::Struct(fields) => fields.iter().any(|(_, ty)| has_text(ty)),
        _ => false,
    }
}

enum Found {
    Nothing,
    Changed(ArrayRef),
}

/// The array without what is to stay secret; None: it can't be made.
fn redacted(ty: &DataType, array: &ArrayRef, pattern: Option<&Regex>) -> Option<Found> {
    match ty {
        DataType::Text => texts(array.as_binary_opt()?, pattern),
        DataType::List(item) => {
            let list: &ListArray = array.as_list_opt()?;
            let Found::Changed(items) = redacted(item, list.values(), pattern)? else {
                return Some(Found::Nothing);
            };
            let arrow_schema::DataType::List(field) = array.data_type() else {
                return None;
            };
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let list = ListArray::try_new(Arc::clone(field), offsets, items, nulls).ok()?;
            Some(Found::Changed(Arc::new(list)))
        }
        DataType::Struct(types) => {
            let array = array.as_struct_opt()?;
            let mut columns = array.columns().to_vec();
            let mut any = false;
            for ((_, ty), column) in types.iter().zip(&mut columns) {
                if let Found::Changed(changed) = redacted(ty, column, pattern)? {
                    *column = changed;
                    any = true;
                }
            }
            if !any {
                return Some(Found::Nothing);
            }
            let (fields, nulls) = (array.fields().clone(), array.nulls().cloned());
            let array = StructArray::try_new_with_length(fields, columns, nulls, array.len());
            Some(Found::Changed(Arc::new(array.ok()?)))
        }
        _ => Some(Found::Nothing),
    }
}

fn texts(array: &BinaryArray, pattern: Option<&Regex>) -> Option<Found> {
    let secret = |row: usize| {
        let text = array.value(row);
        if array.is_null(row) {
            // Nobody sees it as a value, but it is in memory.
            !text.is_empty()
        } else {
            pattern.is_none_or(|pattern| pattern.is_match(text))
        }
    };
    let Some(first) = (0..array.len()).find(|row| secret(*row)) else {
        return Some(Found::Nothing);
    };
    let mut data = Vec::with_capacity(array.value_data().len());
    let mut ends = Vec::with_capacity(array.len() + 1);
    ends.push(0_i32);
    for row in 0..array.len() {
        let text = array.value(row);
        if array.is_valid(row) {
            match pattern {
                _ if row < first => data.extend_from_slice(text),
                None => data.extend_from_slice(REPLACEMENT.as_bytes()),
                Some(pattern) => {
                    let replacement = NoExpand(REPLACEMENT.as_bytes());
                    data.extend_from_slice(&pattern.replace_all(text, replacement));
                }
            }
        }
        ends.push(i32::try_from(data.len()).ok()?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    let array =
        BinaryArray::try_new(offsets, Buffer::from_vec(data), array.nulls().cloned()).ok()?;
    Some(Found::Changed(Arc::new(array)))
}

#[cfg(test)]
mod tests;
