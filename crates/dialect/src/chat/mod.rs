//! Chat Completions.

mod answer;
mod parts;
mod read;
mod schema;
mod stream;
mod write;

pub(crate) use answer::{read_answer, write_answer};
pub(crate) use read::read_request;
pub(crate) use stream::{StreamReader, StreamWriter};
pub(crate) use write::write_request;
