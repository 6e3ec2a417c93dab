//! Chat Completions.

mod answer;
mod parts;
mod read;
mod schema;
mod stream_reader;
mod stream_writer;
mod write;

pub(crate) use answer::{read_answer, usage as usage_member, write_answer};
pub(crate) use read::read_request;
pub(crate) use stream_reader::StreamReader;
pub(crate) use stream_writer::StreamWriter;
pub(crate) use write::write_request;
