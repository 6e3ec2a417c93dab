//! Chat Completions.

mod answer;
mod parts;
mod read;
mod schema;
mod stream_reader;
mod stream_writer;
mod write;

pub(crate) use answer::{read_answer, stop, usage as usage_member, write_answer};
pub(crate) use parts::{source, url};
pub(crate) use read::{arguments, limit, object_schema, read_request, stream_options};
pub(crate) use schema::{binds, is_strict};
pub(crate) use stream_reader::StreamReader;
pub(crate) use stream_writer::StreamWriter;
pub(crate) use write::{forget_cache_marks, instructions, joined, tell_prefill, user_name, write_request};
