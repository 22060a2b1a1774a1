use store_derive::Schema;

#[derive(Schema)]
#[schema(table = "shop.game.player", l3(table = ""))]
struct Dots {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(table = "game._strata_player")]
struct Reserved {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(table = "game.player", l3(table = "player"))]
struct Twice {
    #[schema(primary_key, table = "player")]
    id: i64,
}

fn main() {}
