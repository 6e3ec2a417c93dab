//! Pictures in a prompt: which are accepted, and how many tokens they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The formats that both vendors read.
pub(crate) const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Width and height of a base64 PNG.
fn size(data: &str) -> Option<(u64, u64)> {
    let head = STANDARD.decode(data.get(..32)?).ok()?;
    if !head.starts_with(b"\x89PNG") {
        return None;
    }
    let number = |at: usize| Some(u64::from(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?)));
    Some((number(16)?, number(20)?))
}

/// Media type and data of a `data:` URL.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// Whether the data is base64.
pub(crate) fn is_base64(data: &str) -> bool {
    !data.is_empty() && STANDARD.decode(data).is_ok()
}

/// OpenAI's count: 85, and 170 for each tile of 512 pixels.
pub(crate) fn openai_tokens(url: &str, detail: Option<&str>) -> u64 {
    if detail == Some("low") {
        return 85;
    }
    let (width, height) = data_url(url).and_then(|(_, data)| size(data)).unwrap_or((1024, 1024));
    85 + 170 * (width.div_ceil(512) * height.div_ceil(512)).clamp(1, 12)
}

/// Anthropic's count: one for 750 pixels.
pub(crate) fn anthropic_tokens(data: Option<&str>) -> u64 {
    let (width, height) = data.and_then(size).unwrap_or((1024, 1024));
    (width * height).div_ceil(750).clamp(1, 1600)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    #[test]
    fn counts() {
        assert_eq!(size(PIXEL), Some((1, 1)));
        assert_eq!(openai_tokens(&format!("data:image/png;base64,{PIXEL}"), None), 255);
        assert_eq!(openai_tokens("https://example.com/a.png", None), 765);
        assert_eq!(openai_tokens("https://example.com/a.png", Some("low")), 85);
        assert_eq!(anthropic_tokens(Some(PIXEL)), 1);
        assert_eq!(anthropic_tokens(None), 1399);
    }
}
