//! Kubernetes' label selectors: the grammar, the rules and the empty values of its own parser.
//!
//! `KEY`, `!KEY`, `KEY = V`, `KEY == V`, `KEY != V`, `KEY in (V, W)`, `KEY notin (V, W)`, `KEY > N`, `KEY < N`; a comma is
//! "and". `in` and `notin` are words of the language only behind a key. Values may be empty.

use super::Verdict;
use std::collections::BTreeMap;

/// The longest name and value of a label, and the longest prefix of its key, as Kubernetes has it.
const LONGEST: usize = 63;
const LONGEST_PREFIX: usize = 253;

/// What labels have to be: all of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    at: usize,
    /// Empty: the end.
    text: &'a str,
    is_word: bool,
}

impl LabelSelector {
    /// `strict`: keys and values are such as Kubernetes takes; labels of containers may be any.
    pub(super) fn parse(text: &str, strict: bool) -> Result<Self, Wrong> {
        let mut parser = Parser {
            text,
            tokens: tokens(text),
            next: 0,
            strict,
        };
        parser.selector().map(Self)
    }

    /// `whole`: there are no labels but these.
    pub(super) fn decide(&self, labels: Option<&BTreeMap<String, String>>, whole: bool) -> Verdict {
        let one = |requirement: &Requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key));
            match value {
                None if !whole => Verdict::Later,
                value => requirement.operator.holds(value.map(String::as_str)).into(),
            }
        };
        super::all(self.0.iter().map(one))
    }
}

impl Operator {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(all) => value.is_some_and(|value| all.iter().any(|one| one == value)),
            Self::NotIn(all) => !value.is_some_and(|value| all.iter().any(|one| one == value)),
            Self::Above(than) => number().is_some_and(|number| number > *than),
            Self::Below(than) => number().is_some_and(|number| number < *than),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'<' | b'>')
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(first) = byte(at) {
        if is_blank(first) {
            at += 1;
            continue;
        }
        let is_word = !is_special(first);
        let mut end = at + 1;
        if is_word {
            while byte(end).is_some_and(|byte| !is_blank(byte) && !is_special(byte)) {
                end += 1;
            }
        } else if matches!(first, b'=' | b'!') && byte(end) == Some(b'=') {
            end += 1;
        }
        // Both ends are at ASCII, so at borders of characters.
        let text = text.get(at..end).unwrap_or_default();
        all.push(Token { at, text, is_word });
        at = end;
    }
    all
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
    strict: bool,
}

impl<'a> Parser<'a> {
    fn look(&self) -> Token<'a> {
        let end = Token {
            at: self.text.len(),
            text: "",
            is_word: false,
        };
        self.tokens.get(self.next).copied().unwrap_or(end)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.look();
        self.next += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, Wrong> {
        let mut all = Vec::new();
        if self.look().text.is_empty() {
            return Ok(all);
        }
        loop {
            all.push(self.requirement()?);
            let token = self.take();
            match token.text {
                "" => return Ok(all),
                "," => {}
                _ => return Err(unexpected(token, "a comma or the end")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Wrong> {
        let absent = self.look().text == "!";
        if absent {
            self.take();
        }
        let key = self.take();
        if !key.is_word {
            return Err(unexpected(key, "the key of a label"));
        }
        if self.strict {
            check_key(key)?;
        }
        let with = |operator| Requirement {
            key: key.text.to_owned(),
            operator,
        };
        if absent {
            return Ok(with(Operator::Absent));
        }
        if matches!(self.look().text, "" | ",") {
            return Ok(with(Operator::Exists));
        }
        let operator = self.take();
        Ok(with(match operator.text {
            "=" | "==" => Operator::In(vec![self.value()?.text.to_owned()]),
            "!=" => Operator::NotIn(vec![self.value()?.text.to_owned()]),
            "in" => Operator::In(self.values()?),
            "notin" => Operator::NotIn(self.values()?),
            ">" => Operator::Above(self.number()?),
            "<" => Operator::Below(self.number()?),
            _ => {
                return Err(unexpected(
                    operator,
                    "one of =, ==, !=, in, notin, >, <, a comma or the end",
                ));
            }
        }))
    }

    /// Nothing is a value, too.
    fn value(&mut self) -> Result<Token<'a>, Wrong> {
        let token = self.look();
        if matches!(token.text, "" | ",") {
            return Ok(Token { text: "", ..token });
        }
        self.take();
        if !token.is_word {
            return Err(unexpected(token, "a value"));
        }
        self.check_value(token)?;
        Ok(token)
    }

    fn number(&mut self) -> Result<i64, Wrong> {
        let token = self.value()?;
        token.text.parse().map_err(|_| Wrong {
            at: token.at,
            why: format!("{:?} is not a whole number, which > and < need", token.text),
        })
    }

    fn values(&mut self) -> Result<Vec<String>, Wrong> {
        let open = self.take();
        if open.text != "(" {
            return Err(unexpected(open, "values in brackets, as in (a, b)"));
        }
        let mut all = Vec::new();
        loop {
            let token = self.look();
            let value = if token.is_word {
                self.take();
                self.check_value(token)?;
                token.text
            } else {
                ""
            };
            all.push(value.to_owned());
            let token = self.take();
            match token.text {
                ")" => return Ok(all),
                "," => {}
                _ => return Err(unexpected(token, "a comma or the closing bracket")),
            }
        }
    }

    fn check_value(&self, value: Token<'_>) -> Result<(), Wrong> {
        if !self.strict || is_name(value.text) {
            return Ok(());
        }
        Err(Wrong {
            at: value.at,
            why: format!(
                "{:?} is no value of a label: {LONGEST} letters, digits, '-', '_' and '.' at most, and a letter or \
                 digit at both ends",
                value.text
            ),
        })
    }
}

fn unexpected(token: Token<'_>, wanted: &str) -> Wrong {
    let why = match token.text {
        "" => format!("it ends where {wanted} should be"),
        text => format!("{text:?} stands where {wanted} should be"),
    };
    Wrong { at: token.at, why }
}

fn check_key(key: Token<'_>) -> Result<(), Wrong> {
    let (prefix, name) = match key.text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key.text),
    };
    let part = |part: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty()
            && part.bytes().all(inside)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let domain = |prefix: &str| prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(part);
    if is_name(name) && prefix.is_none_or(domain) {
        return Ok(());
    }
    Err(Wrong {
        at: key.at,
        why: format!(
            "{:?} is no key of a label: a name of {LONGEST} letters, digits, '-', '_' and '.' at most, with a letter or \
             digit at both ends, and before it perhaps a domain of small letters and '/'",
            key.text
        ),
    })
}

fn is_name(text: &str) -> bool {
    let outside = |b: u8| b.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    text.len() <= LONGEST
        && bytes.iter().all(|b| outside(*b) || b"-_.".contains(b))
        && bytes.first().copied().is_some_and(outside)
        && bytes.last().copied().is_some_and(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn holds(selector: &str, of: &[(&str, &str)]) -> bool {
        let parsed = LabelSelector::parse(selector, true)
            .unwrap_or_else(|wrong| panic!("{selector:?}: {wrong:?}"));
        parsed.decide(Some(&labels(of)), true) == Verdict::Yes
    }

    #[test]
    fn the_examples_of_kubernetes_mean_what_they_say() {
        let of = [("environment", "production"), ("tier", "frontend")];
        for (selector, expected) in [
            ("environment = production", true),
            ("environment=production,tier=frontend", true),
            ("environment=production,tier!=frontend", false),
            ("tier != frontend", false),
            ("environment in (production, qa)", true),
            ("tier notin (frontend, backend)", false),
            ("partition", false),
            ("!partition", true),
            ("partition,environment notin (qa)", false),
            ("environment in (production),tier in (frontend)", true),
            ("environment in (production, qa)", true),
            ("environment,environment notin (frontend)", true),
            ("accelerator=nvidia-tesla-p100", false),
            ("app.kubernetes.io/name notin (x)", true),
            ("", true),
        ] {
            assert_eq!(holds(selector, &of), expected, "{selector}");
        }
    }

    #[test]
    fn every_operator_holds_where_it_should() {
        let xy: &[(&str, &str)] = &[("x", "y")];
        for (selector, of, expected) in [
            ("x=y", xy, true),
            ("x==y", xy, true),
            ("x=z", &[], false),
            ("x==z", xy, false),
            ("x=y,z=w", &[("x", "y"), ("z", "w")], true),
            ("x!=y,z!=w", &[("x", "z"), ("z", "a")], true),
            ("x!=y,z!=w", &[("x", "z"), ("z", "w")], false),
            ("notin=in", &[("notin", "in")], true),
            ("in in (in,notin)", &[("in", "notin")], true),
            ("x", xy, true),
            ("!x", xy, false),
            ("! x", &[("y", "z")], true),
            ("x>1", &[("x", "2")], true),
            ("x>1", &[("x", "1")], false),
            ("x>1", &[("x", "v2")], false),
            ("x>1", &[], false),
            ("x<1", &[("x", "0")], true),
            ("x in ()", &[("x", "")], true),
            ("x in ()", &[], false),
            ("x notin ( )", &[("x", "")], false),
            ("x in (abc,)", &[("x", "")], true),
            ("x in (,d)", &[("x", "d")], true),
            ("x in (a,,d)", &[("x", "")], true),
            ("x=", &[("x", "")], true),
            ("x= ,z= ", &[("x", ""), ("z", "")], true),
            ("x=,z=", &[("x", ""), ("z", "1")], false),
            ("\rx", xy, true),
            ("x notin\n\t (abc,def)", xy, true),
            (
                "0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)",
                xy,
                true,
            ),
            (
                "x in (foo,,baz),y,z notin ()",
                &[("x", ""), ("y", "")],
                true,
            ),
        ] as [(&str, &[(&str, &str)], bool); 30]
        {
            assert_eq!(holds(selector, of), expected, "{selector} of {of:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (selector, at) in [
            ("x=a||y=b", 2),
            ("x==a==b", 4),
            ("!x=a", 2),
            ("x<a", 2),
            ("x>", 2),
            ("x<-5", 2),
            ("x,,y", 2),
            (",x,y", 0),
            ("x nott in (y)", 2),
            ("a in (xyz),", 11),
            ("a in (xyz)b", 10),
            ("a in (xyz abc)", 10),
            ("a notin(", 8),
            ("a (", 2),
            ("(", 0),
            ("a in b", 5),
            ("a in (b=c)", 7),
            ("-a", 0),
            ("A.example/x", 0),
            ("a/b/c", 0),
            ("x=-a", 2),
            ("x=ä", 2),
            ("x in (a, b!)", 10),
        ] {
            let wrong = LabelSelector::parse(selector, true).map_err(|wrong| wrong.at);
            assert_eq!(wrong, Err(at), "{selector}");
        }
        let key = "a".repeat(64);
        assert!(LabelSelector::parse(&key, true).is_err());
        assert!(LabelSelector::parse(&key, false).is_ok());
        assert!(LabelSelector::parse(&format!("x={key}"), true).is_err());
        assert!(LabelSelector::parse("x=a:b/c", false).is_ok());
    }

    #[test]
    fn what_may_still_come_is_neither() {
        let of = labels(&[("x", "y")]);
        let decide = |selector: &str| {
            LabelSelector::parse(selector, true)
                .map(|selector| selector.decide(Some(&of), false))
                .ok()
        };
        assert_eq!(decide("x=y"), Some(Verdict::Yes));
        assert_eq!(decide("x=z"), Some(Verdict::No));
        for open in ["z", "!z", "z=1", "z!=1", "z notin (1)", "x=y,!z"] {
            assert_eq!(decide(open), Some(Verdict::Later), "{open}");
        }
        assert_eq!(decide("x=z,!z"), Some(Verdict::No));
    }
}
