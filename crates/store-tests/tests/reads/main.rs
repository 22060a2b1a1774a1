//! Reads of a store: queries, pages, views, loaders and cached answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cached_queries;
mod loaders;
mod pages;
mod queries;
mod views;
