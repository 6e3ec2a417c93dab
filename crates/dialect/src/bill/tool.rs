//! Tools: who runs them, and what they add to a prompt.

use super::{Bill, CacheMark, is_something};
use crate::{
    Dialect,
    cursor::{Cursor, plain},
};

/// A tool that the provider runs itself, or work of its own that it bills to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTool {
    /// Searches the web.
    WebSearch,
    /// Fetches pages.
    WebFetch,
    /// Searches stored files.
    FileSearch,
    /// Runs code in a container of the provider.
    CodeExecution,
    /// Makes images.
    ImageGeneration,
    /// Drives a computer, with a prompt of unknown length.
    ComputerUse,
    /// Calls remote MCP servers.
    Mcp,
    /// Looks for tools.
    ToolSearch,
    /// Asks a second model.
    Advisor,
    /// Sums up the conversation when it grows long.
    Compaction,
    /// Goes on with another model.
    Fallback,
    /// Anything that is not known.
    Other,
}

impl ServerTool {
    /// Every one, in order.
    pub const ALL: [ServerTool; 12] = [
        ServerTool::WebSearch,
        ServerTool::WebFetch,
        ServerTool::FileSearch,
        ServerTool::CodeExecution,
        ServerTool::ImageGeneration,
        ServerTool::ComputerUse,
        ServerTool::Mcp,
        ServerTool::ToolSearch,
        ServerTool::Advisor,
        ServerTool::Compaction,
        ServerTool::Fallback,
        ServerTool::Other,
    ];
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerTools(u16);

impl ServerTools {
    /// Whether `tool` is in it.
    #[must_use]
    pub fn has(self, tool: ServerTool) -> bool {
        self.0 & (1 << tool as u16) != 0
    }

    /// Those in it, in order.
    pub fn iter(self) -> impl Iterator<Item = ServerTool> {
        ServerTool::ALL.into_iter().filter(move |t| self.has(*t))
    }

    pub(super) fn add(&mut self, tool: ServerTool) {
        self.0 |= 1 << tool as u16;
    }
}

/// Who runs a tool.
enum Runs {
    /// The caller, by a definition that is all in the body.
    Caller,
    /// The caller, by a definition that the provider has.
    Defined,
    /// A group of tools.
    Group,
    /// The provider.
    Provider(ServerTool),
}

impl Bill {
    pub(super) fn tool_list(&mut self, c: &mut Cursor<'_>, dialect: Dialect) {
        if !c.enter(b'[') {
            c.value();
            return;
        }
        while c.element() {
            let value = c.value();
            self.rewritten(value);
            self.tool(value, dialect, false);
        }
    }

    fn tool(&mut self, value: &[u8], dialect: Dialect, in_group: bool) {
        let mut c = Cursor::new(value);
        let mut runs = Runs::Caller;
        let mut group = Cursor::new(b"");
        let mut is_local = false;
        let mut has_type = false;
        if c.enter(b'{') {
            while let Some(name) = c.member() {
                match &*name {
                    b"type" => {
                        // Of two types a provider may read either.
                        let kind = c.text().filter(|_| !has_type);
                        runs = kind.map_or(Runs::Provider(ServerTool::Other), |t| runner(&plain(t), dialect));
                        has_type = true;
                    }
                    b"cache_control" => self.cache_control(&mut c),
                    b"prompt_cache_breakpoint" => {
                        c.value();
                        self.mark(CacheMark::Long);
                    }
                    b"tools" => group = Cursor::new(c.value()),
                    b"environment" => is_local = is_local_shell(c.value()),
                    _ => drop(c.value()),
                }
            }
        }
        match runs {
            Runs::Caller => self.tools = self.tools.saturating_add(1),
            Runs::Defined => {
                self.tools = self.tools.saturating_add(1);
                self.defined_tools = self.defined_tools.saturating_add(1);
            }
            // There are no groups in groups.
            Runs::Group if in_group => self.server_tools.add(ServerTool::Other),
            Runs::Group => {
                if group.enter(b'[') {
                    while group.element() {
                        self.tool(group.value(), dialect, true);
                    }
                }
            }
            Runs::Provider(ServerTool::CodeExecution) if is_local => self.defined_tools += 1,
            Runs::Provider(tool) => self.server_tools.add(tool),
        }
    }
}

/// Types carry a date behind their name.
fn runner(kind: &[u8], dialect: Dialect) -> Runs {
    use ServerTool as T;
    const CLAUDES: [&[u8]; 4] = [b"bash_", b"text_editor_", b"memory_", b"computer_"];
    match (kind, dialect) {
        (b"function" | b"custom", _) => return Runs::Caller,
        (b"namespace", _) => return Runs::Group,
        (b"local_shell" | b"apply_patch", Dialect::Responses) => return Runs::Defined,
        // Anthropic's page on tools tells what each of these adds: 245 to 1,234 tokens.
        (_, Dialect::Messages) if CLAUDES.iter().any(|name| kind.starts_with(name)) => return Runs::Defined,
        _ => {}
    }
    let rows: [(&[u8], T); 10] = [
        (b"web_search", T::WebSearch),
        (b"web_fetch", T::WebFetch),
        (b"file_search", T::FileSearch),
        (b"code_interpreter", T::CodeExecution),
        (b"code_execution", T::CodeExecution),
        (b"shell", T::CodeExecution),
        (b"image_generation", T::ImageGeneration),
        (b"computer", T::ComputerUse),
        (b"tool_search", T::ToolSearch),
        (b"advisor", T::Advisor),
    ];
    let row = rows.iter().find(|(name, _)| kind.starts_with(name));
    Runs::Provider(match row {
        Some((_, tool)) => *tool,
        None if kind.starts_with(b"mcp") => T::Mcp,
        None => T::Other,
    })
}

/// `{"type": "local"}`: the caller's own machine.
fn is_local_shell(environment: &[u8]) -> bool {
    let mut c = Cursor::new(environment);
    let mut local = false;
    if c.enter(b'{') {
        while let Some(name) = c.member() {
            let text = c.text();
            local |= *name == *b"type" && text == Some(b"local");
        }
    }
    local
}

/// What a top-level member makes the provider do.
pub(super) fn of_member(name: &[u8], value: &[u8]) -> Option<ServerTool> {
    let tool = match name {
        b"web_search_options" => ServerTool::WebSearch,
        b"mcp_servers" => ServerTool::Mcp,
        b"container" => ServerTool::CodeExecution,
        b"fallbacks" => ServerTool::Fallback,
        b"compaction" => ServerTool::Compaction,
        // Other edits of the context only make it smaller.
        b"context_management" if memchr::memmem::find(value, b"compact").is_some() || value.contains(&b'\\') => {
            ServerTool::Compaction
        }
        _ => return None,
    };
    is_something(value).then_some(tool)
}
