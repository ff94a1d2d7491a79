//! Where in a text something stands, in words that an embedder has: a JSON Pointer (RFC 6901).

/// How long a pointer may get: it is for people to read.
const MAX_CHARACTERS: usize = 256;

enum Frame<'t> {
    /// The key of the member that is read, as written.
    Object(&'t str),
    Array(usize),
}

/// The pointer of the member or element whose key or string the byte `at` stands in, cut to 256
/// characters. Only what is refused asks for it; the text is in order up to there.
pub(super) fn pointer(text: &str, at: usize) -> String {
    let bytes = text.as_bytes();
    let mut frames = Vec::new();
    let mut is_key = false;
    let mut here = 0;
    while here < at {
        match bytes[here] {
            b'{' => {
                frames.push(Frame::Object(""));
                is_key = true;
            }
            b'[' => {
                frames.push(Frame::Array(0));
                is_key = false;
            }
            b'}' | b']' => {
                frames.pop();
            }
            b',' => match frames.last_mut() {
                Some(Frame::Array(index)) => *index += 1,
                Some(Frame::Object(_)) => is_key = true,
                None => {}
            },
            b'"' => {
                let end = string_end(bytes, here);
                if is_key && let Some(Frame::Object(key)) = frames.last_mut() {
                    *key = &text[here..end];
                    is_key = false;
                }
                here = end;
                continue;
            }
            _ => {}
        }
        here += 1;
    }
    let mut pointer = String::new();
    for frame in frames {
        let token = match frame {
            Frame::Array(index) => index.to_string(),
            Frame::Object(key) => serde_json::from_str(key).unwrap_or_else(|_| key.to_owned()),
        };
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
    }
    pointer.chars().take(MAX_CHARACTERS).collect()
}

/// The end of the string whose opening quote stands at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_the_member_that_holds_it() {
        let text = r#"{"a":1,"b/c":[true,{"d~":["x","y"],"é":"z"},"w"],"s":"v"}"#;
        let of = |found: &str| pointer(text, text.find(found).unwrap_or(0));
        assert_eq!(of("x\""), "/b~1c/1/d~0/0");
        assert_eq!(of("y\""), "/b~1c/1/d~0/1");
        assert_eq!(of("z\""), "/b~1c/1/é");
        assert_eq!(of("w\""), "/b~1c/2");
        assert_eq!(of("v\""), "/s");
        // A key is named by itself.
        assert_eq!(of("/c"), "/b~1c");
        assert_eq!(pointer("\"text\"", 3), "");
        assert_eq!(pointer(&format!("{{\"{}\":\"v\"}}", "k".repeat(999)), 1005).len(), 256);
    }
}
