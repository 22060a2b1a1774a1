//! The number that tells one layout of encoded records from another.

use xxhash_rust::xxh3::xxh3_64;

use super::definition::{Residence, SchemaDefinition};

/// Hashes (XXH3, 64 bits) what decides how a record is encoded. Indexes, defaults and policies do not.
pub(super) fn of(definition: &SchemaDefinition, name: &str, table: &str) -> u64 {
    let mut layout = String::from(name);
    if definition.version() != 1 {
        layout.push_str(&format!("\nversion {}", definition.version()));
    }
    // What is encrypted can be read under the table alone that it was written for.
    if table != name && definition.columns().iter().any(|column| column.encryption.is_some()) {
        layout.push_str(&format!("\ntable {table}"));
    }
    // No record but that of the truth holds blind indexes.
    for column in definition.columns().iter().filter(|column| column.blind_of.is_none()) {
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
        if let Some(encryption) = &column.encryption {
            let place = if encryption.plain_in_l2 { "but in l2" } else { "everywhere" };
            layout.push_str(&format!("|{} encrypted {place}", encryption.plain_type));
        }
    }
    xxh3_64(layout.as_bytes())
}
