//! Messages.

mod answer;
mod blocks;
mod effort;
mod foreign;
mod read;
mod schema;
mod stream_reader;
mod stream_writer;
mod write;

pub(crate) use answer::{read_answer, stop, write_answer};
pub(crate) use read::read_request;
pub(crate) use schema::narrow;
pub(crate) use stream_reader::StreamReader;
pub(crate) use stream_writer::StreamWriter;
pub(crate) use write::write_request;
