//! Tests of `ceremony`.
