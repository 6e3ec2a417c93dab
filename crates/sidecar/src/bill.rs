//! What a body's bill can depend on, in the terms of the price bounds.

use dialect::{Bill, CacheMark, Dialect, Head, ServiceTier};
use policy::{
    bound::{self, Content},
    catalogue::ServerTool,
};

/// Reads it of a request body whose head was read.
#[must_use]
pub fn content(dialect: Dialect, body: &[u8], head: &Head) -> Content {
    let bill = dialect::read_bill(dialect, body, head);
    let Bill { text_bytes, messages, tools, defined_tools, schema, low_images, high_images, images, .. } = bill;
    let Bill { elsewhere, media, prediction_bytes, thinking_tokens, regional, .. } = bill;
    let mut server_tools = bound::ServerTools::default();
    bill.server_tools.iter().map(server_tool).for_each(|t| server_tools.add(t));
    Content {
        text_bytes,
        messages,
        tools,
        defined_tools,
        server_tools,
        schema,
        low_images,
        high_images,
        images,
        elsewhere,
        media,
        prediction_bytes,
        thinking_tokens,
        tier: match bill.tier {
            ServiceTier::Auto => bound::Tier::Auto,
            ServiceTier::Standard => bound::Tier::Standard,
            ServiceTier::Flex => bound::Tier::Flex,
            ServiceTier::Priority => bound::Tier::Priority,
            ServiceTier::Fast => bound::Tier::Fast,
            ServiceTier::Ultrafast => bound::Tier::Ultrafast,
            ServiceTier::Unknown => bound::Tier::Unknown,
        },
        regional,
        cache: match bill.cache {
            CacheMark::None => bound::CacheMark::None,
            CacheMark::Short => bound::CacheMark::Short,
            CacheMark::Long => bound::CacheMark::Long,
        },
        answers: head.n,
    }
}

fn server_tool(tool: dialect::ServerTool) -> ServerTool {
    use dialect::ServerTool as Said;
    match tool {
        Said::WebSearch => ServerTool::WebSearch,
        Said::WebFetch => ServerTool::WebFetch,
        Said::FileSearch => ServerTool::FileSearch,
        Said::CodeExecution => ServerTool::CodeExecution,
        Said::ImageGeneration => ServerTool::ImageGeneration,
        Said::ComputerUse => ServerTool::ComputerUse,
        Said::Mcp => ServerTool::Mcp,
        Said::ToolSearch => ServerTool::ToolSearch,
        Said::Advisor => ServerTool::Advisor,
        Said::Compaction => ServerTool::Compaction,
        Said::Fallback => ServerTool::Fallback,
        Said::Other => ServerTool::Other,
    }
}
