//! Lines that are typed: words and quotes, as etcdctl reads them.

/// A quoted text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quoted<'l> {
    pub(super) bytes: Vec<u8>,
    /// What is behind it.
    pub(super) rest: &'l str,
}

/// The words of a line: `'...'` as it is, `"..."` with Go's escapes, anything else up to white space.
///
/// # Errors
/// For an escape that Go does not have.
pub(super) fn words(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        rest = match first {
            '\'' => match behind.split_once('\'') {
                Some((word, after)) => {
                    words.push(word.as_bytes().to_vec());
                    after
                }
                None => behind,
            },
            '"' => match closing(behind) {
                Some(_) => {
                    let Quoted { bytes, rest } = unquoted(rest).ok_or("invalid syntax")?;
                    words.push(bytes);
                    rest
                }
                None => behind,
            },
            space if space.is_whitespace() => behind,
            _ => {
                let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                words.push(word.as_bytes().to_vec());
                after
            }
        };
    }
    Ok(words)
}

/// Where the quote that ends a text is.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// The quoted text at the beginning, in Go's spelling; `None` if there is none.
pub(super) fn unquoted(text: &str) -> Option<Quoted<'_>> {
    let text = text.trim_start();
    if let Some(behind) = text.strip_prefix('`') {
        let (raw, rest) = behind.split_once('`')?;
        return Some(Quoted { bytes: raw.as_bytes().to_vec(), rest });
    }
    let behind = text.strip_prefix('"')?;
    let end = closing(behind)?;
    let mut bytes = Vec::with_capacity(end);
    let mut characters = behind[..end].chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(&mut characters, &mut bytes)?,
            '\n' => return None,
            plain => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(Quoted { bytes, rest: &behind[end + 1..] })
}

/// What a backslash is the beginning of.
fn escape(characters: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let kind = characters.next()?;
    let mut digits = |count: usize, radix: u32| {
        let digits: String = characters.by_ref().take(count).collect();
        let whole = digits.len() == count && digits.chars().all(|digit| digit.is_digit(radix));
        if whole { u32::from_str_radix(&digits, radix).ok() } else { None }
    };
    let character = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '"' => kind,
        'u' => char::from_u32(digits(4, 16)?)?,
        'U' => char::from_u32(digits(8, 16)?)?,
        'x' => {
            bytes.push(u8::try_from(digits(2, 16)?).ok()?);
            return Some(());
        }
        '0'..='7' => {
            let value = kind.to_digit(8)? * 64 + digits(2, 8)?;
            bytes.push(u8::try_from(value).ok()?);
            return Some(());
        }
        _ => return None,
    };
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_into_words_as_etcdctl_cuts_them() {
        let cut = |line: &str| words(line).map(|words| words.concat_with_bars());
        assert_eq!(cut("put  key value\twith"), Ok("put|key|value|with".into()));
        assert_eq!(cut(r#"put "a b" 'c "d"' e"f"#), Ok(r#"put|a b|c "d"|e"f"#.into()));
        assert_eq!(cut(r#"put "\x41\u00fc\n\101" ''"#), Ok("put|A\u{fc}\nA|".into()));
        assert_eq!(cut(r#""\q""#), Err("invalid syntax".into()));
        assert_eq!(cut(r#""open end"#), Ok("open|end".into()));
    }

    trait Bars {
        fn concat_with_bars(&self) -> String;
    }

    impl Bars for Vec<Vec<u8>> {
        fn concat_with_bars(&self) -> String {
            String::from_utf8_lossy(&self.join(&b'|')).into_owned()
        }
    }
}
