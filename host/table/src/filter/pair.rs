//! Tests of a column against another column of the same row.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;
use arrow_schema::DataType as Arrow;

use super::error::FilterError;
use super::eval::Node;
use super::number::Order;
use super::parse::{Operator, Parser, Target};
use super::scan::{Quote, Value};
use super::typed::{described, is_ordered};
use crate::kinds::Kind;
use crate::schema::{DataType, Rows};

/// One test of two columns.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    left: Side,
    right: Side,
    order: Order,
    /// Whole numbers that say whether: not their value counts.
    truth: bool,
    negated: bool,
}

/// A column, or a field of its structs.
#[derive(Clone, Debug)]
struct Side {
    column: usize,
    path: Vec<usize>,
}

/// What a column of a type can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Truth,
    Whole,
    Float,
    Text,
    Bytes,
}

fn family(target: &Target<'_>) -> Option<Family> {
    Some(match target.data_type {
        _ if target.listed => return None,
        DataType::Bool => Family::Truth,
        DataType::F32 | DataType::F64 => Family::Float,
        DataType::Text => Family::Text,
        DataType::Bytes => Family::Bytes,
        DataType::List(_) | DataType::Struct(_) => return None,
        _ if target.kind == Kind::Bool => Family::Truth,
        _ => Family::Whole,
    })
}

/// Whether values of one kind say the same thing as those of the other.
fn are_alike(one: Kind, other: Kind) -> bool {
    let sort = |kind| match kind {
        Kind::Tid => Kind::Pid,
        Kind::User => Kind::Uid,
        Kind::Group => Kind::Gid,
        Kind::AddressLe => Kind::Address,
        Kind::PortBe => Kind::Port,
        kind => kind,
    };
    let any = |kind| matches!(kind, Kind::None | Kind::Hex | Kind::Bool);
    any(one) || any(other) || sort(one) == sort(other)
}

impl<'a> Parser<'a> {
    /// What follows a comparison: a value, or another column.
    ///
    /// In parentheses it is a column. Bare, it is one where it can be no value: so a filter never
    /// changes its meaning because a table got another column.
    pub(super) fn comparison(
        &mut self,
        target: &Target<'a>,
        order: Order,
    ) -> Result<Node, FilterError> {
        if self.scanner.sign("(") {
            let open = self.scanner.at - 1;
            let other = self.target()?;
            if !self.scanner.sign(")") {
                return Err(if self.scanner.rest().is_empty() {
                    self.scanner
                        .error(open..open + 1, "this parenthesis is not closed")
                } else {
                    let reason = format!("expected `)`, found {}", self.scanner.found());
                    let error = self.scanner.error(self.scanner.next_word(), reason);
                    error.help("parentheses behind a comparison hold the name of a column")
                });
            }
            return self.pair(target, order, &other);
        }
        let value = self.scanner.value(false)?;
        match self.compiled(target, Operator::Compare(order), &value) {
            Ok(node) => Ok(node),
            Err(error) => match self.column(&value) {
                Some(other) => self.pair(target, order, &other),
                None => Err(error),
            },
        }
    }

    /// The column that a bare value names.
    fn column(&mut self, value: &Value<'a>) -> Option<Target<'a>> {
        if value.quote != Quote::None || value.is_null() {
            return None;
        }
        let after = std::mem::replace(&mut self.scanner.at, value.start);
        let found = self.target();
        let end = std::mem::replace(&mut self.scanner.at, after);
        found.ok().filter(|_| end == value.start + value.raw.len())
    }

    fn pair(
        &self,
        target: &Target<'a>,
        order: Order,
        other: &Target<'a>,
    ) -> Result<Node, FilterError> {
        let side = |target: &Target<'a>| {
            let (column, path) = target.place();
            Side {
                column,
                path: path.to_vec(),
            }
        };
        match (family(target), family(other)) {
            (Some(one), Some(another)) if one == another && are_alike(target.kind, other.kind) => {
                if order != Order::Equal && !is_ordered(other) {
                    let reason = format!("{} ({}) has no order", other.name, described(other));
                    return Err(self.scanner.error(other.at.clone(), reason));
                }
                Ok(Node::Pair(Box::new(Pair {
                    left: side(target),
                    right: side(other),
                    order,
                    truth: one == Family::Truth,
                    negated: false,
                })))
            }
            _ => {
                let reason = format!(
                    "{} is {}, which can't be compared with {} ({})",
                    other.name,
                    described(other),
                    target.name,
                    described(target)
                );
                let error = self.scanner.error(other.at.clone(), reason);
                let alike = self.alike(target);
                Err(match alike.as_str() {
                    "" => error,
                    alike => error.help(format!("like {} are {alike}", target.name)),
                })
            }
        }
    }

    /// The other columns that a column can be compared with.
    fn alike(&self, target: &Target<'a>) -> String {
        let of = family(target);
        let others = self.table.columns.iter().enumerate();
        let alike = others.filter(|(index, column)| {
            let other = Target::of_column(*index, column);
            of.is_some()
                && family(&other) == of
                && are_alike(target.kind, column.kind)
                && column.name != target.name
        });
        let names: Vec<&str> = alike.map(|(_, column)| column.name.as_str()).collect();
        names.join(", ")
    }
}

impl Pair {
    pub(super) fn negate(&mut self) {
        self.negated = !self.negated;
    }

    pub(super) fn columns(&self, into: &mut Vec<usize>) {
        into.extend([self.left.column, self.right.column]);
    }

    /// As for other tests: see [`Node`].
    pub(super) fn cost(&self) -> u32 {
        3
    }

    /// The rows among `among` for which it is true.
    pub(super) fn eval(&self, rows: &Rows, among: Option<&BooleanBuffer>) -> BooleanBuffer {
        let sides = (self.left.values(rows), self.right.values(rows));
        let (Some((left, one)), Some((right, other))) = sides else {
            // Nobody knows the values of one of them.
            return BooleanBuffer::new_unset(rows.len);
        };
        let matches = match self.truth {
            true => match (truths(&left), truths(&right)) {
                (Some(left), Some(right)) => !&(&left ^ &right),
                _ => BooleanBuffer::new_unset(rows.len),
            },
            false => compared(self.order, &left, &right),
        };
        let mut taken = if self.negated { !&matches } else { matches };
        for known in [one, other].into_iter().flatten() {
            taken = &taken & known.inner();
        }
        match among {
            Some(among) => &taken & among,
            None => taken,
        }
    }
}

impl Side {
    /// The values and which of them are known.
    fn values(&self, rows: &Rows) -> Option<(ArrayRef, Option<NullBuffer>)> {
        let mut array = rows.columns.get(self.column)?.as_ref()?;
        let mut known = array.logical_nulls();
        for field in &self.path {
            array = array.as_struct_opt()?.columns().get(*field)?;
            // The field of a struct that is null is null.
            known = NullBuffer::union(known.as_ref(), array.nulls());
        }
        Some((array.clone(), known))
    }
}

/// Values in an order to each other. What stands under a null does not count.
fn compared(order: Order, left: &ArrayRef, right: &ArrayRef) -> BooleanBuffer {
    let same = left.data_type() == right.data_type();
    let found = match (left.data_type(), right.data_type()) {
        // Arrow's own order of floating point numbers has NaN equal to itself.
        (Arrow::Float32 | Arrow::Float64, _) => floats(left)
            .zip(floats(right))
            .map(|(left, right)| in_order(order, &left, &right)),
        _ if same => kernel(order, left, right),
        // Numbers of different types by their values.
        _ => wholes(left)
            .zip(wholes(right))
            .map(|(left, right)| in_order(order, &left, &right)),
    };
    found.unwrap_or_else(|| BooleanBuffer::new_unset(left.len()))
}

fn kernel(order: Order, left: &ArrayRef, right: &ArrayRef) -> Option<BooleanBuffer> {
    let compare = match order {
        Order::Equal => cmp::eq,
        Order::Less => cmp::lt,
        Order::LessOrEqual => cmp::lt_eq,
        Order::Greater => cmp::gt,
        Order::GreaterOrEqual => cmp::gt_eq,
    };
    let found: BooleanArray = compare(left, right).ok()?;
    Some(found.values().clone())
}

fn in_order<T: PartialOrd>(order: Order, left: &[T], right: &[T]) -> BooleanBuffer {
    let rows = left.len().min(right.len());
    BooleanBuffer::collect_bool(rows, |row| match (left.get(row), right.get(row)) {
        (Some(left), Some(right)) => order.admits(left, right),
        _ => false,
    })
}

fn floats(array: &ArrayRef) -> Option<Vec<f64>> {
    Some(match array.data_type() {
        Arrow::Float32 => {
            let values = array.as_primitive_opt::<Float32Type>()?.values();
            values.iter().map(|value| f64::from(*value)).collect()
        }
        _ => array.as_primitive_opt::<Float64Type>()?.values().to_vec(),
    })
}

fn wholes(array: &ArrayRef) -> Option<Vec<i128>> {
    macro_rules! wide {
        ($arrow:ty) => {{
            let values = array.as_primitive_opt::<$arrow>()?.values();
            values.iter().map(|value| i128::from(*value)).collect()
        }};
    }
    Some(match array.data_type() {
        Arrow::Int8 => wide!(Int8Type),
        Arrow::Int16 => wide!(Int16Type),
        Arrow::Int32 => wide!(Int32Type),
        Arrow::Int64 => wide!(Int64Type),
        Arrow::UInt8 => wide!(UInt8Type),
        Arrow::UInt16 => wide!(UInt16Type),
        Arrow::UInt32 => wide!(UInt32Type),
        Arrow::UInt64 => wide!(UInt64Type),
        _ => return None,
    })
}

fn truths(array: &ArrayRef) -> Option<BooleanBuffer> {
    if let Some(array) = array.as_boolean_opt() {
        return Some(array.values().clone());
    }
    let values = wholes(array)?;
    Some(values.iter().map(|value| *value != 0).collect())
}
