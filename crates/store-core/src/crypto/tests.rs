//! What is sealed is opened again in its place alone.

mod rings;
mod sealing;
mod vectors;
