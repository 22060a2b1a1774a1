use serde::{Deserialize, Serialize};
use store_core::{Upgrade, UpgradeError};
use store_derive::{Document, Schema};

#[derive(Schema)]
struct PlayerV1 {
    #[schema(primary_key)]
    id: i64,
}

/// There is no upgrade.
#[derive(Schema)]
#[schema(version = 2, upgrade_from = PlayerV1)]
struct Player {
    #[schema(primary_key)]
    id: i64,
}

/// The key is of another type.
#[derive(Schema)]
#[schema(version = 2, upgrade_from = PlayerV1)]
struct Renamed {
    #[schema(primary_key)]
    id: String,
}

impl Upgrade<PlayerV1> for Renamed {
    fn upgrade(old: PlayerV1) -> Result<Self, UpgradeError> {
        Ok(Renamed { id: old.id.to_string() })
    }
}

struct NoModel;

#[derive(Schema)]
#[schema(version = 2, upgrade_from = NoModel)]
struct OfNoModel {
    #[schema(primary_key)]
    id: i64,
}

impl Upgrade<NoModel> for OfNoModel {
    fn upgrade(_: NoModel) -> Result<Self, UpgradeError> {
        Ok(OfNoModel { id: 1 })
    }
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1)]
struct AddressV1 {
    line: String,
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 2, upgrade_from = AddressV1)]
struct Address {
    lines: Vec<String>,
}

fn main() {}
