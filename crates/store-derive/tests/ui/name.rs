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
}

fn main() {}
