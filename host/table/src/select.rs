//! Which columns are shown: `--fields`.
//!
//! `a,b` shows exactly these, in this order. `+c,-d` starts from the default (every column that is
//! not hidden, in the table's order), adds at the end and takes away. The two don't mix.

use crate::schema::Table;

/// Why a choice of columns can't be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The table has no such column.
    #[error(
        "table {table} has no column {name:?}{}; columns are {all}",
        hint(nearest)
    )]
    Unknown {
        /// The table's name.
        table: String,
        /// The name asked for.
        name: String,
        /// The column whose name is most like it.
        nearest: Option<String>,
        /// All columns, for the message.
        all: String,
    },
    /// Some names with a sign and some without.
    #[error(
        "--fields {0:?} mixes names with and without a sign; write a,b for exactly these, or +a,-b to change the default"
    )]
    Mixed(String),
    /// The same column twice.
    #[error("--fields names column {0:?} twice")]
    Twice(String),
    /// A comma too many, or a sign without a name.
    #[error("--fields {0:?} has an empty name")]
    Empty(String),
    /// Nothing is left to show.
    #[error("--fields {0:?} leaves no column of table {1}")]
    Nothing(String, String),
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(", did you mean {name:?}?"))
        .unwrap_or_default()
}

/// The columns shown when nothing is asked for: all that are not hidden.
#[must_use]
pub fn default(table: &Table) -> Vec<usize> {
    let shown = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.hidden);
    shown.map(|(index, _)| index).collect()
}

/// Indexes of the columns to show, in order. `fields`: the text after `--fields`, if any.
///
/// # Errors
/// When a name is unknown, empty or comes twice, or when nothing would be left.
pub fn select(table: &Table, fields: Option<&str>) -> Result<Vec<usize>, SelectError> {
    let Some(fields) = fields else {
        return Ok(default(table));
    };
    let names: Vec<&str> = fields.split(',').map(str::trim).collect();
    let signed = names
        .iter()
        .filter(|name| name.starts_with(['+', '-']))
        .count();
    if signed != 0 && signed != names.len() {
        return Err(SelectError::Mixed(fields.to_owned()));
    }
    let mut chosen = if signed == 0 {
        Vec::new()
    } else {
        default(table)
    };
    let mut seen = Vec::with_capacity(names.len());
    for name in names {
        let (remove, bare) = match name.strip_prefix('-') {
            Some(bare) => (true, bare),
            None => (false, name.strip_prefix('+').unwrap_or(name)),
        };
        if bare.is_empty() {
            return Err(SelectError::Empty(fields.to_owned()));
        }
        let index = find(table, bare)?;
        if seen.contains(&index) {
            return Err(SelectError::Twice(bare.to_owned()));
        }
        seen.push(index);
        if remove {
            chosen.retain(|other| *other != index);
        } else if !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    if chosen.is_empty() {
        return Err(SelectError::Nothing(fields.to_owned(), table.name.clone()));
    }
    Ok(chosen)
}

/// Whether the text after `--fields` names a column to show it.
#[must_use]
pub fn names(table: &Table, fields: &str, column: usize) -> bool {
    let mut names = fields.split(',').map(str::trim);
    names.any(|name| {
        let name = name.strip_prefix('+').unwrap_or(name);
        table.find(name) == Some(column)
    })
}

/// The index of the column of this name or alias.
pub(crate) fn find(table: &Table, name: &str) -> Result<usize, SelectError> {
    table.find(name).ok_or_else(|| SelectError::Unknown {
        table: table.name.clone(),
        name: name.to_owned(),
        nearest: nearest(name, table.names()),
        all: table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// The candidate most like `name`, when it is like it at all: equal but for case, or at most a
/// third of its letters changed.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance: letters changed, added or taken away.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(b.chars().map(Some)))
        {
            let above = *cell;
            *cell = match to {
                None => left,
                Some(to) => (diagonal + usize::from(from != to))
                    .min(left + 1)
                    .min(above + 1),
            };
            diagonal = above;
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, DataType, Kind};

    fn table() -> Table {
        let column = |name: &str, hidden| Column {
            name: name.to_owned(),
            description: String::new(),
            data_type: DataType::U32,
            kind: Kind::None,
            width: None,
            hidden,
            alias: None,
        };
        Table {
            name: "open".to_owned(),
            description: String::new(),
            columns: vec![
                column("time", false),
                column("mntns", true),
                column("pid", false),
                column("comm", false),
            ],
        }
    }

    #[test]
    fn names_choose_and_order() {
        let chosen = |fields| select(&table(), fields).unwrap();
        assert_eq!(chosen(None), [0, 2, 3]);
        assert_eq!(chosen(Some("comm, pid")), [3, 2]);
        assert_eq!(chosen(Some("mntns")), [1]);
        assert_eq!(chosen(Some("+mntns,-time")), [2, 3, 1]);
        assert_eq!(chosen(Some("+pid")), [0, 2, 3]);
        assert_eq!(chosen(Some("-mntns")), [0, 2, 3]);
    }

    #[test]
    fn wrong_names_are_told_with_the_nearest() {
        let error = |fields| select(&table(), Some(fields)).unwrap_err().to_string();
        assert_eq!(
            error("pdi"),
            "table open has no column \"pdi\"; columns are time, mntns, pid, comm"
        );
        assert_eq!(
            error("com"),
            "table open has no column \"com\", did you mean \"comm\"?; columns are time, mntns, pid, comm"
        );
        assert_eq!(
            error("PID"),
            "table open has no column \"PID\", did you mean \"pid\"?; columns are time, mntns, pid, comm"
        );
        assert!(error("pid,+comm").contains("mixes names"));
        assert_eq!(error("pid,pid"), "--fields names column \"pid\" twice");
        assert_eq!(
            error("pid,,comm"),
            "--fields \"pid,,comm\" has an empty name"
        );
        assert_eq!(error(""), "--fields \"\" has an empty name");
        assert_eq!(
            error("-time,-pid,-comm"),
            "--fields \"-time,-pid,-comm\" leaves no column of table open"
        );
    }

    #[test]
    fn another_name_is_as_good() {
        let mut table = table();
        table.columns[1].alias = Some("k8s.podName".to_owned());
        // A column's own name comes before another's other one.
        table.columns[2].alias = Some("comm".to_owned());
        let chosen = |fields| select(&table, Some(fields));
        assert_eq!(chosen("k8s.podName,comm"), Ok(vec![1, 3]));
        assert_eq!(
            chosen("k8s.podName,mntns"),
            Err(SelectError::Twice("mntns".to_owned()))
        );
        let error = chosen("k8s.podname").unwrap_err().to_string();
        assert!(error.contains("did you mean \"k8s.podName\"?"), "{error}");
        let key = |column| crate::frames::SortKey {
            column,
            descending: true,
        };
        let sorted = crate::frames::sort_keys(&table, "-k8s.podName");
        assert_eq!(sorted, Ok(vec![key(1)]));
        let words = crate::Words::fixed();
        let filter = crate::filter::Filter::parse("k8s.podName == 3", &table, &words).unwrap();
        assert_eq!(filter.columns(), [1]);
    }

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
