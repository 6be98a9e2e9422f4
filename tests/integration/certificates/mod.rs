//! Tests of `certificates`.

mod add;
mod authority;
mod self_sign;
mod test_ca;
mod views;
