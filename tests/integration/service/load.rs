//! Workers that are killed while everybody signs.
