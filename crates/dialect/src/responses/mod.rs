//! Responses.

mod answer;
mod echo;
mod input;
mod output;
mod parts;
mod read;
mod stream_reader;
mod stream_writer;
mod tools;
mod write;

pub(crate) use answer::{read_answer, write_answer};
pub(crate) use echo::echo;
pub(crate) use read::read_request;
pub(crate) use stream_reader::StreamReader;
pub(crate) use stream_writer::StreamWriter;
pub(crate) use write::write_request;

/// What the error of a response that failed is called: only so many names are published.
pub(crate) fn code_of(http: u16) -> &'static str {
    match http {
        429 => "rate_limit_exceeded",
        400..500 => "invalid_prompt",
        _ => "server_error",
    }
}
