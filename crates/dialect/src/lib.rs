//! The three API formats: what decisions read of a request, edits of its bytes, framing and classification of streams,
//! usage, errors, and translation by a neutral model.
//!
//! Pure: no IO, no clock, no knowledge of routing.

pub mod json;

mod conform;
mod edit;
mod foreign;
mod head;
mod own;
mod refer;
mod trim;
mod walk;

mod bill;
mod cursor;
mod delta;

pub mod sse;

mod content;
mod tee;

mod answer;
mod background;
mod fault;
mod usage;

mod blocks;
mod chat;
mod count;
mod fit;
mod lift;
mod messages;
mod model;
mod names;
mod object;
mod plain;
mod responses;
mod rest;
mod seal;
mod structured;
mod translate;
mod turns;

mod assemble;
mod cache;
mod replay;

mod capability;
mod headers;
mod models_list;
mod signal;

pub use answer::{AnswerFault, AnswerHead, read_answer};
pub use assemble::AnswerOfStream;
pub use background::{Linked, adopt_response, fail_response, pending_response, read_linked, restate_response};
pub use bill::{Bill, CacheMark, ServerTool, ServerTools, ServiceTier, read_bill};
pub use cache::{cache_key, echo_request, is_cacheable_answer};
pub use capability::{Capability, Effort, Efforts, Limit, MODELS, Off, Row, Sampling, Thinks, ToolsInChat, capability};
pub use conform::{conform, hindrance, kept_elsewhere};
pub use content::{Classified, Kind, classify};
pub use count::{read_count, translate_count, write_count};
pub use edit::Edits;
pub use fault::{ErrorShape, Fault, map_status, read_error, write_error, write_error_event};
pub use foreign::Another;
pub use head::{BadBody, Head, is_json, read_head};
pub use headers::map_headers;
pub use models_list::{model_entry, models_list};
pub use own::{Edited, edit_request};
pub use refer::{
    Item, ids_of_response, items_of_answer, items_of_events, names_files, put_items, references, sealed_in,
};
pub use replay::{NoAnswer, stream_of_answer};
pub use signal::{Place, Signal, add_to_answer, add_to_event, place_of};
pub use tee::{Seen, Tee, is_usage_chunk};
pub use translate::{
    BadStream, Context, StreamTranslator, TargetModel, Translated, TranslatedAnswer, Untranslatable, translate_answer,
    translate_request,
};
pub use trim::{Trim, Trimmed, trim};
pub use usage::{Usage, usage_of_answer};

/// The format of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}
