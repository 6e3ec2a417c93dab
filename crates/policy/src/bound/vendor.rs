//! What each vendor adds to the text of a request, in tokens. Figures that a vendor does not publish are at least twice
//! what was seen.

use super::{Content, STRUCTURE, Wire};
use crate::snapshot::Api;

/// Around each message: OpenAI's cookbook counts 3, and 1 for a name; Anthropic's counts come to about as many.
const FRAME: u64 = 8;
/// Around the whole: OpenAI primes the answer with 3; both count 7 to 10 for "hi".
const BASE: u64 = 64;
/// Around a schema for the answer.
const SCHEMA: u64 = 256;
/// Around each tool, beside its definition.
const TOOL: u64 = 16;
/// Around all tools. Anthropic's pages tell 159 to 530 for its older models and nothing for the newest; a weather tool on
/// Opus 5 makes 403 of about 60.
const ANTHROPIC_TOOLS: u64 = 1024;
/// Around all tools. Not published; a call with one small function counts some 50 more than one without.
const OPENAI_TOOLS: u64 = 256;
/// A tool that the vendor defines: Anthropic's page tells 245 for bash, 700 for the editor, 735 and 499 for a computer.
const DEFINED_TOOL: u64 = 2048;
/// An image of 3.75 megapixels, more than which is scaled down, at 750 pixels a token (Anthropic's vision page; the
/// older models end at 1,600).
const ANTHROPIC_IMAGE: u64 = 5_000;
/// 10,000 patches, the most of `detail: original`, times 1.62 for the small models (OpenAI's images guide).
const OPENAI_IMAGE: u64 = 16_200;
/// 2,500 patches times 1.62; by tiles it is less.
const OPENAI_HIGH: u64 = 4_050;
/// 256 patches times 2.46; by tiles it is 85.
const OPENAI_LOW: u64 = 630;

/// The most input of a request whose prompt is all in its body.
pub(super) fn input(content: &Content, wire: &Wire<'_>) -> u64 {
    let messages = u64::from(content.messages);
    let text = content.text_bytes.saturating_sub(messages * STRUCTURE);
    let (all_tools, image, high, low) = match wire.api {
        Api::OpenAi => (OPENAI_TOOLS, OPENAI_IMAGE, OPENAI_HIGH, OPENAI_LOW),
        Api::Anthropic => (ANTHROPIC_TOOLS, ANTHROPIC_IMAGE, ANTHROPIC_IMAGE, ANTHROPIC_IMAGE),
    };
    let own = wire.facts.and_then(|f| f.image_tokens);
    let images = own.map_or_else(
        || {
            image * u64::from(content.images)
                + high * u64::from(content.high_images)
                + low * u64::from(content.low_images)
        },
        |own| {
            own.saturating_mul(
                u64::from(content.images) + u64::from(content.high_images) + u64::from(content.low_images),
            )
        },
    );
    let tools = match content.tools {
        0 => 0,
        n => all_tools + TOOL * u64::from(n) + DEFINED_TOOL * u64::from(content.defined_tools),
    };
    let schema = if content.schema { SCHEMA } else { 0 };
    text.saturating_add(BASE + messages * FRAME + tools + schema).saturating_add(images)
}
