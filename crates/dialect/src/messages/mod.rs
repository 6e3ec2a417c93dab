//! Messages.

mod answer;
mod blocks;
mod effort;
mod read;
mod stream;
mod write;

pub(crate) use answer::{read_answer, write_answer};
pub(crate) use read::read_request;
pub(crate) use stream::{StreamReader, StreamWriter};
pub(crate) use write::write_request;
