//! The grammar of filters.
//!
//! ```text
//! conditions = either { "," either }
//! either     = all { ("or" | "||") all }
//! all        = one { ("and" | "&&") one }
//! one        = ("not" | "!") one | "(" conditions ")" | test
//! test       = column                                     of type bool
//!            | column ("==" | "=" | "!=" | "<" | "<=" | ">" | ">=") ( value | column | "(" column ")" )
//!            | column ("~" | "=~" | "!~") value
//!            | column ["not"] ("like" | "contains" | "has") value
//!            | column ["not"] "in" ( "(" value { "," value } ")" | value )
//!            | column "is" ["not"] "null"
//! column     = name { "." name }
//! ```

use std::ops::Range;

use super::error::{FilterError, quoted};
use super::eval::{Leaf, Node, Test};
use super::number::{Order, Ranges};
use super::scan::{Scanner, Value};
use super::vocabulary::zero_is_nothing;
use crate::kinds::Kind;
use crate::kinds::words::Words;
use crate::schema::{Column, DataType, Table};
use crate::select::nearest;

/// How deep parentheses and negations may nest: everything that walks a filter recurses.
const MAX_DEPTH: usize = 64;

/// Reads a filter.
pub(super) fn parse(text: &str, table: &Table, words: &Words) -> Result<Node, FilterError> {
    let mut parser = Parser {
        scanner: Scanner { text, at: 0 },
        table,
        words,
        depth: 0,
    };
    parser.scanner.spaces();
    if parser.scanner.rest().is_empty() {
        let error = parser.scanner.error(0..0, "the filter is empty");
        return Err(error.help(parser.columns()));
    }
    let node = parser.conditions()?;
    parser.scanner.spaces();
    if parser.scanner.rest().is_empty() {
        return Ok(node);
    }
    let at = parser.scanner.next_word();
    Err(if parser.scanner.rest().starts_with(')') {
        parser.scanner.error(at, "this parenthesis closes nothing")
    } else {
        let reason = format!(
            "expected `and`, `or`, a comma or the end, found {}",
            parser.scanner.found()
        );
        let error = parser.scanner.error(at, reason);
        error.help("a value that holds spaces or parentheses has to be in quotes")
    })
}

pub(super) struct Parser<'a> {
    pub(super) scanner: Scanner<'a>,
    pub(super) table: &'a Table,
    pub(super) words: &'a Words,
    depth: usize,
}

/// What a test looks at.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    /// As it was written.
    pub(super) name: &'a str,
    pub(super) at: Range<usize>,
    column: usize,
    path: Vec<usize>,
    /// The type of the values, or of a list's elements.
    pub(super) data_type: &'a DataType,
    /// As the schema has it.
    pub(super) declared: &'a DataType,
    pub(super) kind: Kind,
    /// There are lists on the way: any element counts.
    pub(super) listed: bool,
    /// There are lists before the last name.
    within_list: bool,
}

impl<'a> Target<'a> {
    /// A whole column.
    pub(super) fn of_column(index: usize, column: &'a Column) -> Self {
        let mut data_type = &column.data_type;
        while let DataType::List(item) = data_type {
            data_type = item;
        }
        Self {
            name: &column.name,
            at: 0..0,
            column: index,
            path: Vec::new(),
            data_type,
            declared: &column.data_type,
            kind: column.kind,
            listed: matches!(column.data_type, DataType::List(_)),
            within_list: false,
        }
    }

    /// The column's index, and which field of each struct on the way.
    pub(super) fn place(&self) -> (usize, &[usize]) {
        (self.column, &self.path)
    }

    pub(super) fn leaf(&self, test: Test) -> Node {
        Node::Leaf(Box::new(Leaf {
            column: self.column,
            path: self.path.clone(),
            listed: self.listed,
            negated: false,
            test,
        }))
    }
}

/// What a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(Order),
    Match,
    Like,
    Contains,
    Has,
    In,
}

/// Signs, the longer ones first: the operator, and whether it is negated.
const SIGNS: [(&str, Operator, bool); 10] = [
    ("==", Operator::Compare(Order::Equal), false),
    ("!=", Operator::Compare(Order::Equal), true),
    ("<=", Operator::Compare(Order::LessOrEqual), false),
    (">=", Operator::Compare(Order::GreaterOrEqual), false),
    ("=~", Operator::Match, false),
    ("!~", Operator::Match, true),
    ("=", Operator::Compare(Order::Equal), false),
    ("<", Operator::Compare(Order::Less), false),
    (">", Operator::Compare(Order::Greater), false),
    ("~", Operator::Match, false),
];

const WORDS: [(&str, Operator); 4] = [
    ("like", Operator::Like),
    ("contains", Operator::Contains),
    ("has", Operator::Has),
    ("in", Operator::In),
];

impl<'a> Parser<'a> {
    fn conditions(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.either()?];
        while self.scanner.sign(",") {
            nodes.push(self.either()?);
        }
        Ok(Node::of(true, nodes))
    }

    fn either(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.scanner.keyword("or") || self.scanner.sign("||") {
            nodes.push(self.all()?);
        }
        Ok(Node::of(false, nodes))
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one()?];
        while self.scanner.keyword("and") || self.scanner.sign("&&") {
            nodes.push(self.one()?);
        }
        Ok(Node::of(true, nodes))
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        self.scanner.spaces();
        let open = self.scanner.at;
        let negated = self.scanner.keyword("not") || self.scanner.sign("!");
        let grouped = !negated && self.scanner.sign("(");
        if !negated && !grouped {
            return self.test();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("more than {MAX_DEPTH} parentheses and negations in each other");
            return Err(self.scanner.error(open..self.scanner.at, reason));
        }
        let node = if negated {
            self.one()?.negated()
        } else {
            let node = self.conditions()?;
            if !self.scanner.sign(")") {
                return Err(if self.scanner.rest().is_empty() {
                    self.scanner
                        .error(open..open + 1, "this parenthesis is not closed")
                } else {
                    let reason = format!(
                        "expected `and`, `or`, a comma or `)`, found {}",
                        self.scanner.found()
                    );
                    self.scanner.error(self.scanner.next_word(), reason)
                });
            }
            node
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        let target = self.target()?;
        if self.scanner.keyword("is") {
            let negated = self.scanner.keyword("not");
            if !self.scanner.keyword("null") {
                let reason = format!("expected `null`, found {}", self.scanner.found());
                let error = self.scanner.error(self.scanner.next_word(), reason);
                return Err(error.help("null tests are `is null` and `is not null`"));
            }
            if target.within_list {
                let reason = "a null test does not look into the elements of a list";
                return Err(self.scanner.error(target.at, reason));
            }
            let or_zero = !target.listed && zero_is_nothing(target.kind);
            let node = target.leaf(Test::Null { or_zero });
            return Ok(if negated { node.negated() } else { node });
        }
        self.scanner.spaces();
        let start = self.scanner.at;
        let not = self.scanner.keyword("not");
        let word = WORDS.iter().find(|(word, _)| self.scanner.keyword(word));
        let found = match word {
            Some((_, operator)) => Some((*operator, not)),
            None if not => {
                let reason = format!("expected an operator, found {}", self.scanner.found());
                let error = self.scanner.error(self.scanner.next_word(), reason);
                return Err(error.help("after `not` may come in, like, contains or has"));
            }
            None => {
                let mut signs = SIGNS.iter();
                let found = signs.find(|(sign, ..)| self.scanner.sign(sign));
                found.map(|(_, operator, negated)| (*operator, *negated))
            }
        };
        let Some((operator, negated)) = found else {
            return self.alone(&target);
        };
        let sign = start..self.scanner.at;
        let node = match operator {
            Operator::In => {
                self.allows(&target, operator, &sign)?;
                let (values, grouped) = self.values()?;
                self.one_of(&target, &values, grouped)?
            }
            Operator::Compare(order) => {
                self.allows(&target, operator, &sign)?;
                self.comparison(&target, order)?
            }
            operator => {
                self.allows(&target, operator, &sign)?;
                let value = self.scanner.value(operator == Operator::Match)?;
                self.compiled(&target, operator, &value)?
            }
        };
        Ok(if negated { node.negated() } else { node })
    }

    /// A column without an operator: a bool, which has to be true.
    fn alone(&self, target: &Target<'a>) -> Result<Node, FilterError> {
        let scanner = &self.scanner;
        let name = scanner.name().unwrap_or_default();
        let ends = scanner.rest().is_empty()
            || scanner.rest().starts_with([',', ')'])
            || ["&&", "||"]
                .iter()
                .any(|sign| scanner.rest().starts_with(sign))
            || ["and", "or"]
                .iter()
                .any(|word| name.eq_ignore_ascii_case(word));
        if ends && *target.data_type == DataType::Bool {
            return Ok(target.leaf(Test::Bool(false, true)));
        }
        if ends && target.kind == Kind::Bool {
            return Ok(target.leaf(Test::Whole(Ranges::one(0))).negated());
        }
        let (at, reason) = if ends {
            let reason = format!(
                "{} is {}, only a bool is a condition by itself",
                target.name, target.declared
            );
            (target.at.clone(), reason)
        } else {
            let reason = format!("expected an operator, found {}", scanner.found());
            (scanner.next_word(), reason)
        };
        Err(scanner.error(at, reason).help(self.operators(target)))
    }

    /// The values of `in`, and whether they stand in parentheses.
    fn values(&mut self) -> Result<(Vec<Value<'a>>, bool), FilterError> {
        if !self.scanner.sign("(") {
            return Ok((vec![self.scanner.value(false)?], false));
        }
        let open = self.scanner.at - 1;
        let mut values = Vec::new();
        loop {
            if self.scanner.sign(")") {
                if values.is_empty() {
                    let at = open..self.scanner.at;
                    return Err(self.scanner.error(at, "`in` needs at least one value"));
                }
                return Ok((values, true));
            }
            if !values.is_empty() && !self.scanner.sign(",") {
                return Err(if self.scanner.rest().is_empty() {
                    let at = open..open + 1;
                    self.scanner.error(at, "this parenthesis is not closed")
                } else {
                    let reason = format!("expected a comma or `)`, found {}", self.scanner.found());
                    self.scanner.error(self.scanner.next_word(), reason)
                });
            }
            values.push(self.scanner.value(false)?);
        }
    }

    /// A column, or a field of one.
    pub(super) fn target(&mut self) -> Result<Target<'a>, FilterError> {
        self.scanner.spaces();
        let start = self.scanner.at;
        let mut names: Vec<(&'a str, Range<usize>)> = Vec::new();
        loop {
            let from = self.scanner.at;
            let name = if self.scanner.rest().starts_with('`') {
                let inner = self.scanner.text.get(from + 1..).unwrap_or_default();
                let Some((name, _)) = inner.split_once('`') else {
                    let at = from..from + 1;
                    return Err(self.scanner.error(at, "this quote is not closed"));
                };
                self.scanner.at += name.len() + 2;
                name
            } else if let Some(name) = self.scanner.name() {
                self.scanner.at += name.len();
                name
            } else {
                let reason = format!("expected a column, found {}", self.scanner.found());
                let error = self.scanner.error(self.scanner.next_word(), reason);
                return Err(error.help(self.columns()));
            };
            names.push((name, from..self.scanner.at));
            if !self.scanner.rest().starts_with('.') {
                break;
            }
            self.scanner.at += 1;
        }
        self.resolve(start, &names)
    }

    fn resolve(
        &self,
        start: usize,
        names: &[(&'a str, Range<usize>)],
    ) -> Result<Target<'a>, FilterError> {
        let table = self.table;
        // A column's own name may hold dots; the longest one counts.
        let found = (1..=names.len()).rev().find_map(|taken| {
            let parts: Vec<&str> = names.iter().take(taken).map(|(name, _)| *name).collect();
            let name = parts.join(".");
            table.find(&name).map(|column| (taken, column))
        });
        let Some((taken, index)) = found else {
            let (name, at) = names.first().cloned().unwrap_or(("", start..start));
            let all = table.columns.iter().map(|column| column.name.as_str());
            let reason = format!("no column is named {}{}", quoted(name), hint(name, all));
            return Err(self.scanner.error(at, reason).help(self.columns()));
        };
        let Some(column) = table.columns.get(index) else {
            return Err(self.scanner.error(start..start, "no such column"));
        };
        let mut declared = &column.data_type;
        let mut kind = column.kind;
        let mut path = Vec::new();
        let mut within_list = false;
        for (name, at) in names.iter().skip(taken) {
            let mut inner = declared;
            while let DataType::List(item) = inner {
                within_list = true;
                inner = item;
            }
            let DataType::Struct(fields) = inner else {
                let parent = self.scanner.text.get(start..at.start.saturating_sub(1));
                let reason = format!(
                    "{} is {declared} and has no fields",
                    parent.unwrap_or_default()
                );
                return Err(self.scanner.error(at.clone(), reason));
            };
            let Some(field) = fields.iter().position(|(field, _)| field == name) else {
                let all = || fields.iter().map(|(field, _)| field.as_str());
                let reason = format!("no field is named {}{}", quoted(name), hint(name, all()));
                let help = format!("fields are {}", all().collect::<Vec<_>>().join(", "));
                return Err(self.scanner.error(at.clone(), reason).help(help));
            };
            path.push(field);
            kind = kind.of_field(name);
            if let Some((_, data_type)) = fields.get(field) {
                declared = data_type;
            }
        }
        let mut data_type = declared;
        while let DataType::List(item) = data_type {
            data_type = item;
        }
        let at = start..names.last().map_or(start, |(_, at)| at.end);
        Ok(Target {
            name: self.scanner.text.get(at.clone()).unwrap_or_default(),
            at,
            column: index,
            path,
            data_type,
            declared,
            kind,
            listed: within_list || matches!(declared, DataType::List(_)),
            within_list,
        })
    }

    fn columns(&self) -> String {
        let names = self.table.columns.iter().map(|column| column.name.as_str());
        format!("columns are {}", names.collect::<Vec<_>>().join(", "))
    }
}

/// `, did you mean ...?` when something is near.
pub(super) fn hint<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> String {
    // The distance takes the product of the lengths.
    if name.len() > 64 {
        return String::new();
    }
    nearest(name, all)
        .map(|near| format!(", did you mean {near:?}?"))
        .unwrap_or_default()
}
