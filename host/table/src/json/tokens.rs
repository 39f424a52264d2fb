//! What compact JSON is made of: for the formats that are made from it.
//!
//! The bytes come from [`super::JsonWriter`], so nothing is checked; broken ones give some tokens,
//! and the end.

/// A piece of compact JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `{`
    Object,
    /// `[`
    List,
    /// `}` or `]`
    Close,
    Comma,
    Colon,
    /// The end of a row.
    Break,
    /// What stands between two quotes, with its escapes.
    Text(&'a str),
    /// A number, `true`, `false` or `null`.
    Plain(&'a str),
}

/// The tokens of compact JSON.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(compact: &'a [u8]) -> Self {
        // The writer makes UTF-8 only.
        Self {
            rest: std::str::from_utf8(compact).unwrap_or_default(),
        }
    }

    pub(crate) fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    /// The bytes of the value that comes next, nested ones whole.
    pub(crate) fn value(&mut self) -> &'a str {
        let start = self.rest;
        let mut depth = 0_usize;
        loop {
            match self.next() {
                Some(Token::Object | Token::List) => depth += 1,
                Some(Token::Close) => depth = depth.saturating_sub(1),
                None => break,
                Some(_) => {}
            }
            if depth == 0 {
                break;
            }
        }
        start
            .get(..start.len() - self.rest.len())
            .unwrap_or_default()
    }

    /// The first `len` bytes, which are taken with `behind` more.
    fn take(&mut self, len: usize, behind: usize) -> &'a str {
        let taken = self.rest.get(..len).unwrap_or(self.rest);
        self.rest = self.rest.get(len + behind..).unwrap_or_default();
        taken
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = match self.rest.as_bytes().first()? {
            b'{' => Token::Object,
            b'[' => Token::List,
            b'}' | b']' => Token::Close,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'\n' => Token::Break,
            b'"' => {
                self.take(1, 0);
                let mut escaped = false;
                let end = self.rest.bytes().position(|byte| {
                    let ends = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                });
                return Some(Token::Text(self.take(end.unwrap_or(self.rest.len()), 1)));
            }
            _ => {
                let end = self
                    .rest
                    .bytes()
                    .position(|byte| matches!(byte, b',' | b'}' | b']' | b'\n'));
                return Some(Token::Plain(self.take(end.unwrap_or(self.rest.len()), 0)));
            }
        };
        self.take(1, 0);
        Some(token)
    }
}

/// The characters of a text with its escapes undone.
pub(crate) fn unescaped(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars();
    std::iter::from_fn(move || match chars.next()? {
        '\\' => Some(match chars.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let first = unit(&mut chars);
                if (0xd800..0xdc00).contains(&first) {
                    // The other half of the pair, with its `\u`.
                    chars.by_ref().take(2).for_each(drop);
                    let second = unit(&mut chars);
                    let low = second.wrapping_sub(0xdc00) & 0x3ff;
                    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
                } else {
                    char::from_u32(first)
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        }),
        plain => Some(plain),
    })
}

/// The four hex digits of `\uNNNN`.
fn unit(chars: &mut std::str::Chars<'_>) -> u32 {
    chars
        .by_ref()
        .take(4)
        .fold(0, |unit, digit| unit * 16 + digit.to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_tokens() {
        let mut tokens = Tokens::new(b"{\"a\":-1.5,\"b\\\"\":[true,{}],\"c\":\"x\\\\\"}\n");
        use Token::{Break, Close, Colon, Comma, Object, Plain, Text};
        assert_eq!(tokens.next(), Some(Object));
        assert_eq!(tokens.next(), Some(Text("a")));
        assert_eq!(tokens.next(), Some(Colon));
        assert_eq!(tokens.peek(), Some(Plain("-1.5")));
        assert_eq!(tokens.value(), "-1.5");
        assert_eq!(tokens.next(), Some(Comma));
        assert_eq!(tokens.next(), Some(Text("b\\\"")));
        assert_eq!(tokens.next(), Some(Colon));
        assert_eq!(tokens.value(), "[true,{}]");
        let rest: Vec<Token<'_>> = tokens.collect();
        assert_eq!(rest, [Comma, Text("c"), Colon, Text("x\\\\"), Close, Break]);
    }

    #[test]
    fn broken_text_ends() {
        for text in ["\"", "\"\\", "{", "[{", "\"a", "x"] {
            assert!(Tokens::new(text.as_bytes()).count() <= 2, "{text}");
            Tokens::new(text.as_bytes()).value();
        }
    }

    #[test]
    fn escapes_are_undone() {
        let back = |text| unescaped(text).collect::<String>();
        assert_eq!(back(r#"a\"\\\n\r\t\u001b\\xff"#), "a\"\\\n\r\t\u{1b}\\xff");
        assert_eq!(back(r"\udb40\udc01\u202e"), "\u{e0001}\u{202e}");
        assert_eq!(back(r"\udb40"), "\u{e0000}");
    }
}
