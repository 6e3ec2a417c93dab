//! The simulator's own tokenizer: one count for usage, limits and the bill.

/// How many tokens `text` has: six letters or digits a token, each other character one, blanks none, a run of line
/// ends one. Never more than the bytes of the text.
pub(crate) fn count(text: &str) -> u64 {
    let mut tokens = 0;
    let mut run = 0u64;
    let mut line_end = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            run += 1;
            line_end = false;
            continue;
        }
        tokens += run.div_ceil(6);
        run = 0;
        match c {
            '\n' if line_end => {}
            '\n' => {
                tokens += 1;
                line_end = true;
            }
            c if c.is_whitespace() => {}
            _ => {
                tokens += 1;
                line_end = false;
            }
        }
    }
    tokens + run.div_ceil(6)
}

/// Cuts text where a word begins, so that the pieces' counts add up to the count of the whole.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let word_begins = c.is_ascii_alphanumeric() && before.is_some_and(|b| !b.is_ascii_alphanumeric());
        if word_begins && at > start {
            out.push(&text[start..at]);
            start = at;
        }
        before = Some(c);
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let rows =
            [("", 0), ("a", 1), ("hello", 1), ("wonderful", 2), ("You said: hi.", 5), ("é€", 2), ("a\n\n\nb", 3)];
        for (text, tokens) in rows {
            assert_eq!(count(text), tokens, "{text:?}");
            assert!(count(text) <= text.len() as u64);
        }
    }

    #[test]
    fn pieces_add_up() {
        for text in ["You said: \"hi there\". And\n\nmore", r#"{"city":"Paris","n":[1,2]}"#, "é à x", " a"] {
            let parts = pieces(text);
            assert_eq!(parts.concat(), text);
            assert_eq!(parts.iter().map(|p| count(p)).sum::<u64>(), count(text), "{text:?}");
        }
        assert_eq!(pieces("You said: hi"), ["You ", "said: ", "hi"]);
    }
}
