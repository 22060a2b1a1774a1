use store_core::{Query, Schema as _};
use store_derive::Schema;

#[derive(Schema)]
struct Player {
    #[schema(primary_key)]
    id: i64,
    #[schema(indx)]
    level: i64,
}

fn main() {
    let player = Player { id: 1, level: 2 };
    let _: i64 = player.key();
    let _: Query<Player> = Query::new().filter(Player::level().gt(1));
}
