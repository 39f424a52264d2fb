//! How much of a line each column gets.

/// What a column would like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its width when there is room.
    pub(super) natural: usize,
    /// Whether its values can be cut.
    pub(super) cut: bool,
}

/// A column whose values can be cut is not made narrower than this.
const LEAST: usize = 8;

/// Widths, in order, with one cell between columns, in a line of `room` cells.
pub(super) fn fit(wanted: &[Wanted], room: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = wanted.iter().map(|column| column.natural).collect();
    let Some(room) = room else { return widths };
    let gaps = wanted.len().saturating_sub(1);
    let total = widths.iter().sum::<usize>() + gaps;
    for _ in room..total {
        let widest = widths
            .iter_mut()
            .zip(wanted)
            .filter(|(width, column)| column.cut && **width > LEAST)
            .map(|(width, _)| width)
            // Of several as wide the last one, which also gets what is left over.
            .max_by_key(|width| **width);
        match widest {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    let total = widths.iter().sum::<usize>() + gaps;
    if let (Some(last), Some(Wanted { cut: true, .. })) = (widths.last_mut(), wanted.last()) {
        *last += room.saturating_sub(total);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widths(wanted: &[(usize, bool)], room: usize) -> Vec<usize> {
        let wanted: Vec<Wanted> = wanted
            .iter()
            .map(|(natural, cut)| Wanted {
                natural: *natural,
                cut: *cut,
            })
            .collect();
        fit(&wanted, Some(room))
    }

    #[test]
    fn columns_share_the_line() {
        assert_eq!(
            widths(&[(7, false), (16, true), (30, true)], 80),
            [7, 16, 55]
        );
        assert_eq!(
            widths(&[(7, false), (16, true), (30, true)], 40),
            [7, 16, 15]
        );
        assert_eq!(
            widths(&[(7, false), (30, true), (30, true)], 40),
            [7, 16, 15]
        );
        assert_eq!(widths(&[(7, false), (16, true), (9, true)], 20), [7, 8, 8]);
        assert_eq!(
            widths(&[(7, false), (16, true), (7, false)], 80),
            [7, 16, 7]
        );
        assert_eq!(widths(&[], 80), [0_usize; 0]);
        assert_eq!(
            fit(
                &[Wanted {
                    natural: 300,
                    cut: true
                }],
                None
            ),
            [300]
        );
        assert_eq!(widths(&[(65_535, true), (65_535, true)], 80), [40, 39]);
    }
}
