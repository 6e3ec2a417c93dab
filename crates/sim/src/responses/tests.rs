//! Requests and what they are answered with, as rows.
