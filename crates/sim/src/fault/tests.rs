//! Faults and what they put on the wire, as rows.
