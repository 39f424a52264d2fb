//! Tests of whole columns.

use std::collections::HashMap;

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType as Arrow;

use super::mask::{Bits, children, pack, parents};
use super::number::{Order, Ranges};
use super::pair::Pair;
use super::pattern::{Network, Pattern};
use super::texts::{each, text};
use crate::kinds::Kind;
use crate::kinds::words::{Whole, Words};
use crate::schema::Rows;

/// So many ranges of numbers are compared with one by one.
const FEW: usize = 16;

/// A filter as a tree whose leaves alone are negated.
///
/// A row is taken when the tree is true for it. A comparison with null is neither true nor false,
/// but as nothing above the leaves turns false into true, a leaf may say false for unknown.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// All of them, the cheapest first.
    All(Vec<Node>),
    /// Any of them, the cheapest first.
    Any(Vec<Node>),
    Leaf(Box<Leaf>),
    /// A test of two columns.
    Pair(Box<Pair>),
}

/// One test of one column.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// The column's index.
    pub(super) column: usize,
    /// Which field of each struct on the way.
    pub(super) path: Vec<usize>,
    /// A list is on the way: it is asked of each element.
    pub(super) listed: bool,
    pub(super) negated: bool,
    pub(super) test: Test,
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// It is null; `or_zero`: or 0.
    Null { or_zero: bool },
    /// A bool is true (`.1`) or false (`.0`).
    Bool(bool, bool),
    /// A whole number is one of these.
    Whole(Ranges),
    /// A time since boot is one of these times since 1970, in nanoseconds.
    Time(Ranges),
    /// `number & mask == value`.
    Bits { mask: u64, value: u64 },
    /// A floating point number is in this order to one of these.
    Float(Order, Vec<f64>),
    /// Text or bytes match.
    Text(Pattern),
    /// 4 or 16 bytes are an address in one of these.
    Networks(Vec<Network>),
    /// The text that a number is shown as matches.
    Shown(Kind, Words, Pattern),
}

impl Test {
    fn cost(&self) -> u32 {
        match self {
            Self::Text(pattern) => pattern.cost(),
            Self::Networks(_) => 10,
            Self::Shown(..) => 15,
            _ => 1,
        }
    }
}

impl Node {
    /// All or any of several, which are put in order. Those that ask one column for whole numbers become one.
    pub(super) fn of(all: bool, nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match (all, node) {
                (true, Self::All(inner)) | (false, Self::Any(inner)) => flat.extend(inner),
                (_, node) => flat.push(node),
            }
        }
        let mut flat = Leaf::joined(all, flat);
        if flat.len() == 1
            && let Some(one) = flat.pop()
        {
            return one;
        }
        flat.sort_by_key(Self::cost);
        if all {
            Self::All(flat)
        } else {
            Self::Any(flat)
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes
                .iter()
                .fold(0, |sum, node| sum.saturating_add(node.cost())),
            Self::Leaf(leaf) => leaf.test.cost(),
            Self::Pair(pair) => pair.cost(),
        }
    }

    /// The opposite: de Morgan, down to the leaves.
    pub(super) fn negated(self) -> Self {
        let each = |nodes: Vec<Self>| nodes.into_iter().map(Self::negated).collect();
        match self {
            Self::All(nodes) => Self::Any(each(nodes)),
            Self::Any(nodes) => Self::All(each(nodes)),
            Self::Leaf(mut leaf) => {
                leaf.negated = !leaf.negated;
                Self::Leaf(leaf)
            }
            Self::Pair(mut pair) => {
                pair.negate();
                Self::Pair(pair)
            }
        }
    }

    pub(super) fn columns(&self, into: &mut Vec<usize>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.columns(into)),
            Self::Leaf(leaf) => into.push(leaf.column),
            Self::Pair(pair) => pair.columns(into),
        }
    }

    /// The rows among `among` (`None`: among all) for which it is true.
    pub(super) fn eval(&self, rows: &Rows, among: Option<&BooleanBuffer>) -> BooleanBuffer {
        match self {
            Self::All(nodes) => all(nodes, rows, among),
            Self::Any(nodes) => {
                let mut taken: Option<BooleanBuffer> = None;
                let mut left = among.cloned();
                for (at, node) in nodes.iter().enumerate() {
                    let more = node.eval(rows, left.as_ref());
                    if let Some(taken) = taken.as_ref().filter(|_| at + 1 == nodes.len()) {
                        return taken | &more;
                    }
                    let undecided = match left {
                        None => !&more,
                        Some(left) => &left & &!&more,
                    };
                    taken = Some(match taken {
                        None => more,
                        Some(taken) => &taken | &more,
                    });
                    let none = undecided.count_set_bits() == 0;
                    left = Some(undecided);
                    if none {
                        break;
                    }
                }
                taken.unwrap_or_else(|| BooleanBuffer::new_unset(rows.len))
            }
            Self::Leaf(leaf) => leaf.eval(rows, among),
            Self::Pair(pair) => pair.eval(rows, among),
        }
    }
}

/// The rows among `among` for which all of `nodes` are true.
pub(super) fn all(nodes: &[Node], rows: &Rows, among: Option<&BooleanBuffer>) -> BooleanBuffer {
    let Some((first, others)) = nodes.split_first() else {
        return among.map_or_else(|| BooleanBuffer::new_set(rows.len), BooleanBuffer::clone);
    };
    let mut left = first.eval(rows, among);
    for node in others {
        if left.count_set_bits() == 0 {
            break;
        }
        left = node.eval(rows, Some(&left));
    }
    left
}

/// What came out for each value: whether it matches, which counts where it is known.
struct Outcome {
    matches: BooleanBuffer,
    known: Option<NullBuffer>,
}

impl Leaf {
    /// Those of `nodes` that ask the same column which whole number it is, as one test. Not of a list: that one element
    /// is in both ranges is more than that one is in each.
    fn joined(all: bool, nodes: Vec<Node>) -> Vec<Node> {
        let mut apart: Vec<Node> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let same = match &node {
                Node::Leaf(leaf) if leaf.numbers().is_some() => apart.iter_mut().find_map(|node| {
                    let Node::Leaf(before) = node else {
                        return None;
                    };
                    leaf.same_number(before).then_some(before)
                }),
                _ => None,
            };
            match (same, node) {
                (Some(before), Node::Leaf(leaf)) => before.join(all, *leaf),
                (_, node) => apart.push(node),
            }
        }
        apart
    }

    /// The numbers that it takes; what is null is taken by none, negated or not.
    fn numbers(&self) -> Option<Ranges> {
        match &self.test {
            Test::Whole(ranges) | Test::Time(ranges) if !self.listed => Some(if self.negated {
                ranges.complement()
            } else {
                ranges.clone()
            }),
            _ => None,
        }
    }

    fn same_number(&self, other: &Self) -> bool {
        self.column == other.column
            && self.path == other.path
            && other.numbers().is_some()
            && std::mem::discriminant(&self.test) == std::mem::discriminant(&other.test)
    }

    fn join(&mut self, all: bool, other: Self) {
        let both = [self.numbers(), other.numbers()].into_iter().flatten();
        let ranges = if all {
            Ranges::intersection(both)
        } else {
            Ranges::union(both)
        };
        self.negated = false;
        self.test = match self.test {
            Test::Time(_) => Test::Time(ranges),
            _ => Test::Whole(ranges),
        };
    }

    fn eval(&self, rows: &Rows, among: Option<&BooleanBuffer>) -> BooleanBuffer {
        let array = rows.columns.get(self.column).and_then(Option::as_ref);
        let outcome = match array {
            Some(array) => self.test.column(array, &self.path, rows.wall_offset, among),
            // Nobody knows its values.
            None => Outcome {
                matches: BooleanBuffer::new_set(rows.len),
                known: match self.test {
                    Test::Null { .. } => None,
                    _ => Some(NullBuffer::new_null(rows.len)),
                },
            },
        };
        let mut taken = outcome.matches;
        if self.negated {
            taken = !&taken;
        }
        if let Some(known) = outcome.known {
            taken = &taken & known.inner();
        }
        match among {
            Some(among) => &taken & among,
            None => taken,
        }
    }
}

impl Test {
    /// Each value of an array, or of its structs' fields, or whether any of a list's elements.
    fn column(
        &self,
        array: &dyn Array,
        path: &[usize],
        wall_offset: i64,
        among: Option<&BooleanBuffer>,
    ) -> Outcome {
        let nulls = array.nulls().cloned();
        if let (Self::Null { or_zero }, []) = (self, path) {
            let null = match &nulls {
                Some(nulls) => !nulls.inner(),
                None => BooleanBuffer::new_unset(array.len()),
            };
            let matches = if *or_zero && !matches!(array.data_type(), Arrow::List(_)) {
                &null | &Self::Whole(Ranges::one(0)).values(array, wall_offset, among)
            } else {
                null
            };
            return Outcome {
                matches,
                known: None,
            };
        }
        if let Some(list) = array.as_list_opt::<i32>() {
            let offsets: &[i32] = list.offsets();
            let first = offsets.first().copied().unwrap_or_default();
            let last = offsets.last().copied().unwrap_or_default();
            let items = list.values().slice(first as usize, (last - first) as usize);
            let among = among.map(|rows| children(rows, offsets, first));
            let inner = self.column(&items, path, wall_offset, among.as_ref());
            let mut matches = inner.matches;
            if let Some(known) = inner.known {
                matches = &matches & known.inner();
            }
            if let Some(among) = among {
                matches = &matches & &among;
            }
            return Outcome {
                matches: parents(&matches, offsets, first),
                known: nulls,
            };
        }
        if let (Some(structs), [field, path @ ..]) = (array.as_struct_opt(), path)
            && let Some(field) = structs.columns().get(*field)
        {
            let inner = self.column(field, path, wall_offset, among);
            return match (self, nulls) {
                // The field of a struct that is null is null.
                (Self::Null { .. }, Some(nulls)) => Outcome {
                    matches: &inner.matches | &!nulls.inner(),
                    known: None,
                },
                (_, nulls) => Outcome {
                    matches: inner.matches,
                    known: NullBuffer::union(nulls.as_ref(), inner.known.as_ref()),
                },
            };
        }
        Outcome {
            matches: self.values(array, wall_offset, among),
            known: nulls,
        }
    }

    /// Each value of an array that is neither list nor struct. Under a null stands anything.
    fn values(
        &self,
        array: &dyn Array,
        wall_offset: i64,
        among: Option<&BooleanBuffer>,
    ) -> BooleanBuffer {
        let wall = match self {
            Self::Time(_) => -i128::from(wall_offset),
            _ => 0,
        };
        macro_rules! whole {
            ($arrow:ty, $native:ty, $unsigned:ty) => {{
                let Some(array) = array.as_primitive_opt::<$arrow>() else {
                    return BooleanBuffer::new_unset(array.len());
                };
                let values: &[$native] = array.values();
                match self {
                    Self::Whole(ranges) | Self::Time(ranges) => {
                        let (first, last) = (<$native>::MIN.into(), <$native>::MAX.into());
                        // In these bounds nothing is cut.
                        let mut ranges = ranges
                            .within(first, last, wall)
                            .map(|(from, to)| (from as $native, to as $native));
                        let one = |(from, to): ($native, $native)| {
                            if from == to {
                                return pack(values, move |v| v == from);
                            }
                            let span = to.wrapping_sub(from) as $unsigned;
                            pack(values, move |v| v.wrapping_sub(from) as $unsigned <= span)
                        };
                        let (first, second) = match (ranges.next(), ranges.next()) {
                            (None, _) => return BooleanBuffer::new_unset(values.len()),
                            (Some(range), None) => return one(range),
                            (Some(first), Some(second)) => (first, second),
                        };
                        let ranges: Vec<_> = [first, second].into_iter().chain(ranges).collect();
                        if ranges.len() > FEW {
                            return pack(values, |value| {
                                let after = ranges.partition_point(|(from, _)| *from <= value);
                                let range = after.checked_sub(1).and_then(|i| ranges.get(i));
                                range.is_some_and(|(_, to)| value <= *to)
                            });
                        }
                        // Four in one walk; the last one stands for those that are missing.
                        let four = |ranges: &[($native, $native)]| {
                            let mut four = [ranges.last().copied().unwrap_or(first); 4];
                            four.iter_mut()
                                .zip(ranges)
                                .for_each(|(to, range)| *to = *range);
                            if four.iter().all(|(from, to)| from == to) {
                                let four = four.map(|(from, _)| from);
                                return pack(values, move |v| {
                                    four.iter().fold(false, |any, one| any | (v == *one))
                                });
                            }
                            let four =
                                four.map(|(from, to)| (from, to.wrapping_sub(from) as $unsigned));
                            pack(values, move |v| {
                                four.iter().fold(false, |any, (from, span)| {
                                    any | (v.wrapping_sub(*from) as $unsigned <= *span)
                                })
                            })
                        };
                        let mut masks = ranges.chunks(4).map(four);
                        let mask = masks.next();
                        let mask = mask.unwrap_or_else(|| BooleanBuffer::new_unset(values.len()));
                        masks.fold(mask, |mask, more| &mask | &more)
                    }
                    Self::Bits { mask, value } => {
                        // A number is as wide as its type: what it does not have is not set.
                        let (small, want) = (*mask as $unsigned, *value as $unsigned);
                        if u64::from(want) == *value {
                            pack(values, |v| v as $unsigned & small == want)
                        } else {
                            BooleanBuffer::new_unset(values.len())
                        }
                    }
                    Self::Shown(kind, words, pattern) => {
                        shown(values, among, |v| i128::from(v), *kind, words, pattern)
                    }
                    _ => BooleanBuffer::new_unset(values.len()),
                }
            }};
        }
        match array.data_type() {
            Arrow::Int8 => whole!(Int8Type, i8, u8),
            Arrow::Int16 => whole!(Int16Type, i16, u16),
            Arrow::Int32 => whole!(Int32Type, i32, u32),
            Arrow::Int64 => whole!(Int64Type, i64, u64),
            Arrow::UInt8 => whole!(UInt8Type, u8, u8),
            Arrow::UInt16 => whole!(UInt16Type, u16, u16),
            Arrow::UInt32 => whole!(UInt32Type, u32, u32),
            Arrow::UInt64 => whole!(UInt64Type, u64, u64),
            Arrow::Float32 => match (self, array.as_primitive_opt::<Float32Type>()) {
                (Self::Float(order, than), Some(array)) => {
                    let than: Vec<f32> = than.iter().map(|than| *than as f32).collect();
                    floats(array.values(), *order, &than)
                }
                _ => BooleanBuffer::new_unset(array.len()),
            },
            Arrow::Float64 => match (self, array.as_primitive_opt::<Float64Type>()) {
                (Self::Float(order, than), Some(array)) => floats(array.values(), *order, than),
                _ => BooleanBuffer::new_unset(array.len()),
            },
            Arrow::Boolean => match (self, array.as_boolean_opt()) {
                (Self::Bool(no, yes), Some(array)) => match (no, yes) {
                    (false, false) => BooleanBuffer::new_unset(array.len()),
                    (false, true) => array.values().clone(),
                    (true, false) => !array.values(),
                    (true, true) => BooleanBuffer::new_set(array.len()),
                },
                _ => BooleanBuffer::new_unset(array.len()),
            },
            Arrow::Binary => match (self, array.as_binary_opt::<i32>()) {
                (Self::Text(pattern), Some(array)) => text(array, pattern, among),
                (Self::Networks(any), Some(array)) => each(array, among, |bytes| {
                    any.iter().any(|network| network.holds_bytes(bytes))
                }),
                _ => BooleanBuffer::new_unset(array.len()),
            },
            _ => BooleanBuffer::new_unset(array.len()),
        }
    }
}

fn floats<T: Copy + PartialOrd>(values: &[T], order: Order, than: &[T]) -> BooleanBuffer {
    let one = |than: T| match order {
        Order::Equal => pack(values, |value| value == than),
        Order::Less => pack(values, |value| value < than),
        Order::LessOrEqual => pack(values, |value| value <= than),
        Order::Greater => pack(values, |value| value > than),
        Order::GreaterOrEqual => pack(values, |value| value >= than),
    };
    let mut masks = than.iter().map(|than| one(*than));
    let first = masks
        .next()
        .unwrap_or_else(|| BooleanBuffer::new_unset(values.len()));
    masks.fold(first, |mask, more| &mask | &more)
}

/// Numbers by the text that they are shown as; each different number is looked at once.
fn shown<T: Copy + Eq + std::hash::Hash>(
    values: &[T],
    among: Option<&BooleanBuffer>,
    wide: impl Fn(T) -> i128,
    kind: Kind,
    words: &Words,
    pattern: &Pattern,
) -> BooleanBuffer {
    let mut known: HashMap<T, bool> = HashMap::new();
    let mut word = String::new();
    let mut last = None;
    let mut bits = Bits::clear(values.len());
    let mut test = |row: usize, value: T| {
        let matches = match last {
            Some((same, matches)) if same == value => matches,
            _ => *known.entry(value).or_insert_with(|| {
                word.clear();
                let wide = wide(value);
                let number = Whole {
                    negative: wide < 0,
                    magnitude: wide.unsigned_abs() as u64,
                };
                words.push(kind, number, &mut word);
                pattern.matches(word.as_bytes())
            }),
        };
        last = Some((value, matches));
        if matches {
            bits.set(row);
        }
    };
    match among {
        None => values
            .iter()
            .enumerate()
            .for_each(|(row, value)| test(row, *value)),
        Some(among) => among
            .set_indices()
            .filter_map(|row| values.get(row).map(|value| (row, *value)))
            .for_each(|(row, value)| test(row, value)),
    }
    bits.finish()
}
