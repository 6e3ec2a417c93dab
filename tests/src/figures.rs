//! Figures that a story measured, beside what they are held against.

use std::{
    fmt,
    io::{self, Write},
};

/// Says one, also of a story that passes: what is printed by macros is shown of failures alone.
pub fn tell(figure: fmt::Arguments<'_>) {
    // Nobody to tell it to is no fault of the story.
    let _ = writeln!(io::stderr().lock(), "figure: {figure}");
}
