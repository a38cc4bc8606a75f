//! Finds where a JSON value ends in bytes that may still be incomplete, as Go's `encoding/json` does, which etcd's
//! gateway asks first: what it refuses is answered with its texts.

/// Most levels of arrays and objects in each other.
const MAX_DEPTH: usize = 10_000;

/// Reads a value byte by byte. It can be continued when more bytes arrive.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    open: Vec<Open>,
}

/// The object or array around the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// An object, in a key.
    Key,
    /// An object, in a value.
    Value,
    Array,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begin,
    /// After `[`.
    BeginOrEnd,
    /// After `{`.
    KeyOrEnd,
    /// After a comma in an object.
    Key,
    /// After a value, or a key.
    After,
    Text,
    Escape,
    /// Digits that are left of `\u`.
    Hex(u8),
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// In `true`, `false` or `null`: the word, and how much of it has been read.
    Word(&'static str, u8),
    Done,
}

impl Scanner {
    /// The position in `bytes` after the value, if it ends there; the next one can be scanned then. `None`: more bytes are
    /// needed; these must not be given again.
    ///
    /// # Errors
    /// Go's text, if no value can begin like this.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            // Most bytes are in texts.
            let plain = match self.state {
                State::Text => rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')),
                _ => Some(0),
            };
            at += plain.unwrap_or(rest.len());
            let Some(byte) = bytes.get(at) else { break };
            at += usize::from(self.step(*byte)?);
            if self.state == State::Done {
                self.state = State::Begin;
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// What is wrong if the input ends here; `None` if nothing but space has been read, and `Some(Ok)` if a value is
    /// complete.
    pub fn end(&mut self) -> Option<Result<(), String>> {
        if self.is_between() {
            return None;
        }
        let number =
            matches!(self.state, State::Zero | State::Digits | State::Fraction | State::ExponentDigits);
        Some(if number && self.open.is_empty() { Ok(()) } else { Err("unexpected EOF".to_string()) })
    }

    /// True between two values.
    pub fn is_between(&self) -> bool {
        self.state == State::Begin && self.open.is_empty()
    }

    /// Reads a byte; false if it does not belong to the value, which has ended before it.
    fn step(&mut self, byte: u8) -> Result<bool, String> {
        use State as S;
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.state = match (self.state, byte) {
            (S::Begin | S::BeginOrEnd | S::KeyOrEnd | S::Key | S::After, _) if space => self.state,
            (S::BeginOrEnd, b']') | (S::KeyOrEnd, b'}') => self.close(),
            (S::Begin | S::BeginOrEnd, _) => self.begin(byte)?,
            (S::KeyOrEnd | S::Key, b'"') => S::Text,
            (S::KeyOrEnd | S::Key, _) => {
                return Err(wrong(byte, "looking for beginning of object key string"));
            }
            (S::After, _) => self.after(byte)?,
            (S::Text, b'"') => self.ended(),
            (S::Text, b'\\') => S::Escape,
            (S::Text, 0..0x20) => return Err(wrong(byte, "in string literal")),
            (S::Text, _) => S::Text,
            (S::Escape, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => S::Text,
            (S::Escape, b'u') => S::Hex(4),
            (S::Escape, _) => return Err(wrong(byte, "in string escape code")),
            (S::Hex(left), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if left > 1 {
                    S::Hex(left - 1)
                } else {
                    S::Text
                }
            }
            (S::Hex(_), _) => return Err(wrong(byte, "in \\u hexadecimal character escape")),
            (S::Minus, b'0') => S::Zero,
            (S::Minus, b'1'..=b'9') | (S::Digits, b'0'..=b'9') => S::Digits,
            (S::Minus, _) => return Err(wrong(byte, "in numeric literal")),
            (S::Zero | S::Digits, b'.') => S::Point,
            (S::Zero | S::Digits | S::Fraction, b'e' | b'E') => S::Exponent,
            (S::Point | S::Fraction, b'0'..=b'9') => S::Fraction,
            (S::Point, _) => return Err(wrong(byte, "after decimal point in numeric literal")),
            (S::Exponent, b'+' | b'-') => S::ExponentSign,
            (S::Exponent | S::ExponentSign | S::ExponentDigits, b'0'..=b'9') => S::ExponentDigits,
            (S::Exponent | S::ExponentSign, _) => return Err(wrong(byte, "in exponent of numeric literal")),
            (S::Zero | S::Digits | S::Fraction | S::ExponentDigits, _) => {
                self.state = self.ended();
                return if self.state == S::Done { Ok(false) } else { self.step(byte) };
            }
            (S::Word(word, read), _) => match word.as_bytes().get(usize::from(read)) {
                Some(expected) if *expected != byte => {
                    let expected = char::from(*expected);
                    return Err(wrong(byte, &format!("in literal {word} (expecting '{expected}')")));
                }
                _ if usize::from(read) + 1 < word.len() => S::Word(word, read + 1),
                _ => self.ended(),
            },
            (S::Done, _) => S::Done,
        };
        Ok(true)
    }

    fn begin(&mut self, byte: u8) -> Result<State, String> {
        let open = match byte {
            b'{' => Open::Key,
            b'[' => Open::Array,
            b'"' => return Ok(State::Text),
            b'-' => return Ok(State::Minus),
            b'0' => return Ok(State::Zero),
            b'1'..=b'9' => return Ok(State::Digits),
            b't' => return Ok(State::Word("true", 1)),
            b'f' => return Ok(State::Word("false", 1)),
            b'n' => return Ok(State::Word("null", 1)),
            _ => return Err(wrong(byte, "looking for beginning of value")),
        };
        if self.open.len() >= MAX_DEPTH {
            return Err("exceeded max depth".to_string());
        }
        self.open.push(open);
        Ok(if open == Open::Array { State::BeginOrEnd } else { State::KeyOrEnd })
    }

    /// After a value, or a key.
    fn after(&mut self, byte: u8) -> Result<State, String> {
        let Some(open) = self.open.last_mut() else { return Ok(State::Done) };
        match (*open, byte) {
            (Open::Key, b':') => {
                *open = Open::Value;
                Ok(State::Begin)
            }
            (Open::Key, _) => Err(wrong(byte, "after object key")),
            (Open::Value, b',') => {
                *open = Open::Key;
                Ok(State::Key)
            }
            (Open::Array, b',') => Ok(State::Begin),
            (Open::Value, b'}') | (Open::Array, b']') => Ok(self.close()),
            (Open::Value, _) => Err(wrong(byte, "after object key:value pair")),
            (Open::Array, _) => Err(wrong(byte, "after array element")),
        }
    }

    fn close(&mut self) -> State {
        self.open.pop();
        self.ended()
    }

    /// The state after a value that has ended.
    fn ended(&self) -> State {
        if self.open.is_empty() { State::Done } else { State::After }
    }
}

/// Go's text about a byte that does not belong there.
fn wrong(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => "\\'".to_string(),
        b'"' => "\"".to_string(),
        _ => super::text::quoted(char::from(byte).encode_utf8(&mut [0; 4]).as_bytes()),
    };
    format!("invalid character '{shown}' {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans in pieces of one byte, and as a whole.
    fn scanned(text: &str) -> Result<Option<usize>, String> {
        let mut scanner = Scanner::default();
        let whole = scanner.scan(text.as_bytes());
        let mut scanner = Scanner::default();
        let pieces = || {
            for (at, byte) in text.bytes().enumerate() {
                if let Some(end) = scanner.scan(&[byte])? {
                    return Ok(Some(at + end));
                }
            }
            Ok(None)
        };
        let mut pieces = pieces;
        assert_eq!(pieces(), whole, "{text}");
        whole
    }

    #[test]
    fn values_end_where_go_ends_them() {
        for (text, end) in [
            (r#"{"a":[1,2.5e-3,true,null,"x\"}\u00e4"],"b":{}} {"#, 46),
            ("  [] []", 4),
            ("12 3", 2),
            ("-0.5}", 4),
            ("nullnull", 4),
            (r#""a"b"#, 3),
            ("{\n}", 3),
        ] {
            assert_eq!(scanned(text), Ok(Some(end)), "{text}");
        }
        for text in ["", "  ", "{", r#"{"a"#, "[1,", "12", "tru", r#""a\"#] {
            assert_eq!(scanned(text), Ok(None), "{text}");
        }
        let ended = |text: &str| {
            let mut scanner = Scanner::default();
            scanner.scan(text.as_bytes()).expect("no error").map_or_else(|| scanner.end(), |_| Some(Ok(())))
        };
        assert_eq!(ended(" \n"), None);
        assert_eq!(ended("12"), Some(Ok(())));
        for text in ["{", "1.", "-", "tru", r#"""#, "[1"] {
            assert_eq!(ended(text), Some(Err("unexpected EOF".into())), "{text}");
        }
    }

    #[test]
    fn errors_have_gos_texts() {
        for (text, error) in [
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{x", "invalid character 'x' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            (r#"{"a" 1"#, "invalid character '1' after object key"),
            (r#"{"a":1 2"#, "invalid character '2' after object key:value pair"),
            ("[1 2", "invalid character '2' after array element"),
            ("\"a\n", "invalid character '\\n' in string literal"),
            (r#""\x"#, "invalid character 'x' in string escape code"),
            (r#""\u12g"#, "invalid character 'g' in \\u hexadecimal character escape"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            ("nul1", "invalid character '1' in literal null (expecting 'l')"),
            ("'", "invalid character '\\'' looking for beginning of value"),
            ("[01", "invalid character '1' after array element"),
            ("\u{e4}", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(scanned(text), Err(error.into()), "{text}");
        }
        let deep = "[".repeat(10_001);
        assert_eq!(scanned(&deep), Err("exceeded max depth".into()));
    }
}
