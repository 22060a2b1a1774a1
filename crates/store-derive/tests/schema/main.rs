//! What derived models do: definition, key, conversion to rows and back, typed columns, projections.

mod definition;
mod projection;
mod rows;
