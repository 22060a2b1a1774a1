use serde::{Deserialize, Serialize};
use store_core::{Upgrade, UpgradeError};
use store_derive::{Document, Schema};

#[derive(Schema)]
#[schema(version = 2, upgrade_from = Two)]
struct One {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(version = 3, upgrade_from = One)]
struct Two {
    #[schema(primary_key)]
    id: i64,
}

impl Upgrade<Two> for One {
    fn upgrade(old: Two) -> Result<Self, UpgradeError> {
        Ok(One { id: old.id })
    }
}

impl Upgrade<One> for Two {
    fn upgrade(old: One) -> Result<Self, UpgradeError> {
        Ok(Two { id: old.id })
    }
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1, upgrade_from = Itself)]
struct Itself {
    line: String,
}

impl Upgrade<Itself> for Itself {
    fn upgrade(old: Itself) -> Result<Self, UpgradeError> {
        Ok(old)
    }
}

fn main() {}
