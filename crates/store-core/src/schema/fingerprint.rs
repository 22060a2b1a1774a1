//! The number that tells one layout of encoded records from another.

use xxhash_rust::xxh3::xxh3_64;

use super::definition::{Residence, SchemaDefinition};

/// Hashes (XXH3, 64 bits) what decides how a record is encoded. Indexes, defaults and policies do not.
pub(super) fn of(definition: &SchemaDefinition) -> u64 {
    let mut layout = String::from(definition.name());
    for column in definition.columns() {
        let residence = match column.residence {
            Residence::Everywhere => "everywhere",
            Residence::NotNear => "not near",
            Residence::TruthOnly => "truth only",
        };
        // Names of Rust fields hold none of the separators.
        layout.push_str(&format!(
            "\n{}|{}|{}|{}|{residence}",
            column.name,
            column.column_type,
            if column.nullable { "null" } else { "not null" },
            if column.is_key { "key" } else { "data" },
        ));
    }
    xxh3_64(layout.as_bytes())
}
