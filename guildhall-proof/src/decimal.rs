//! Numbers as in every C2SP text: ASCII digits, no sign, no leading zero except in `0`.

pub(crate) fn parse(text: &str) -> Option<u64> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}
