use store_derive::Schema;

#[derive(Schema)]
struct Team {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(references(columns(team)), references(columns(team, rival), target(Team::id, Club::id)), references(columns(captain), target(Team::id)))]
struct Spelling {
    #[schema(primary_key)]
    id: i64,
    #[schema(references)]
    team: i64,
    #[schema(references(id))]
    rival: i64,
    #[schema(references(Team::id, on_delete = "delete"))]
    club: i64,
    #[schema(references(Team::id, cascade))]
    league: i64,
    #[schema(check = "", skip)]
    level: i64,
    #[schema(check = "rank > 0)")]
    rank: i64,
}

#[derive(Schema)]
struct Targets {
    #[schema(primary_key)]
    id: i64,
    #[schema(references(Team::name))]
    team: i64,
    #[schema(references(Team::id, on_delete = "set_null"))]
    rival: i64,
    #[schema(references(Nothing::id))]
    club: i64,
}

#[derive(Schema)]
struct Named {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    r#type: i64,
    parts: Vec<i64>,
    #[schema(unique)]
    code: Option<i64>,
}

#[derive(Schema)]
#[schema(references(columns(region, team), target(Named::region, Named::r#type)))]
struct Types {
    #[schema(primary_key)]
    id: i64,
    region: String,
    team: u16,
    #[schema(references(Team::id))]
    home: String,
    #[schema(references(Team::id, on_delete = "set_null"))]
    guest: Option<u64>,
    #[schema(references(Named::parts))]
    parts: i64,
    #[schema(references(Named::code))]
    code: i64,
}

#[derive(Schema)]
#[schema(check = "id > level", check = "level > 0", check = "id > level")]
struct Checked {
    #[schema(primary_key)]
    id: i64,
    level: i64,
}

#[derive(Schema)]
#[schema(cache_only, check = "id > 0")]
struct Cached {
    #[schema(primary_key)]
    id: i64,
    #[schema(references(Team::id))]
    team: i64,
}

fn main() {}
