use store_derive::Schema;

#[derive(Schema)]
#[schema(name = "play-ers")]
struct Hyphen {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(name = "")]
struct Nameless {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(name = "a_name_that_is_longer_than_the_sixty_three_bytes_that_postgresql_keeps")]
struct Long {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(name = "_strata_log")]
struct Reserved {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
struct Größe {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
struct Columns {
    #[schema(primary_key)]
    id: i64,
    _version: i64,
    _strata_note: String,
    a_column_that_is_longer_than_the_sixty_three_bytes_that_postgresql_keeps: i64,
    Id: i64,
    ctid: i64,
    tableoid: i64,
}

#[derive(Schema)]
#[schema(table = "pg_game.player", index(columns(level), name = "sqlite_level"))]
struct Foreign {
    #[schema(primary_key)]
    id: i64,
    level: i64,
}

#[derive(Schema)]
#[schema(l3(table = "SQLite_player"))]
struct Taken {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
struct SqliteStat {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(name = "sqlite_stat")]
struct Stat {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(table = "stat")]
struct SqliteWithTable {
    #[schema(primary_key)]
    id: i64,
}

fn main() {}
