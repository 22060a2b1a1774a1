//! Everything that a model says of its table.

use store_core::{DefaultValue, IndexKind, OnDelete, Partitioning, Period, Schema as _, Timestamp};
use store_derive::Schema;

#[derive(Schema)]
#[schema(table = "game.team")]
struct Team {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    r#type: i64,
    #[schema(unique, index(kind = "btree"), index(kind = "gin_trigram", name = "alike", where = "name <> ''"))]
    name: String,
}

#[derive(Schema)]
#[schema(partition_by(range(at), every = "2 weeks", ahead = 5), check = "level < 100 OR (name <> 'x')")]
#[schema(index(columns(name, at), unique, include(level)), references(columns(region, team), target(Team::region, Team::r#type)))]
struct Player {
    #[schema(primary_key)]
    id: i64,
    #[schema(primary_key)]
    at: Timestamp,
    name: String,
    #[schema(check = "level > 0")]
    level: i64,
    region: String,
    team: i64,
    #[schema(references(Team::name, on_delete = "set_null"))]
    club: Option<String>,
    #[schema(nullable, references(Self::name, on_delete = "cascade"))]
    friend: String,
}

#[derive(Schema)]
#[schema(partition_by(list(region), values("eu", "us")))]
struct Listed {
    #[schema(primary_key)]
    region: String,
}

#[derive(Schema)]
#[schema(partition_by(hash(id), partitions = 8))]
struct Hashed {
    #[schema(primary_key)]
    id: i64,
}

fn main() {
    let team = Team::definition();
    assert_eq!(team.policies().truth.table.as_deref(), Some("game.team"));
    assert_eq!((team.indexes()[0].kind, team.indexes()[1].kind), (IndexKind::BTree, IndexKind::GinTrigram));
    assert_eq!((team.indexes()[1].name, team.indexes()[1].condition), (Some("alike"), Some("name <> ''")));

    let player = Player::definition();
    let partition = player.partition().unwrap();
    assert_eq!((partition.column, &partition.partitioning), ("at", &Partitioning::Range { every: Period::Days(14), ahead: 5 }));
    assert_eq!(player.indexes()[0].include, ["level"]);
    let references: Vec<_> = player
        .references()
        .iter()
        .map(|reference| ((reference.target)().name(), reference.columns.join(" "), reference.target_columns.join(" "), reference.on_delete))
        .collect();
    assert_eq!(
        references,
        [
            ("team", "region team".to_owned(), "region type".to_owned(), OnDelete::Restrict),
            ("team", "club".to_owned(), "name".to_owned(), OnDelete::SetNull),
            ("player", "friend".to_owned(), "name".to_owned(), OnDelete::Cascade),
        ]
    );
    let checks: Vec<_> = player.checks().iter().map(|check| (check.column, check.condition)).collect();
    assert_eq!(checks, [(None, "level < 100 OR (name <> 'x')"), (Some("level"), "level > 0")]);

    let values = vec![DefaultValue::Text("eu"), DefaultValue::Text("us")];
    assert_eq!(Listed::definition().partition().unwrap().partitioning, Partitioning::List { values });
    assert_eq!(Hashed::definition().partition().unwrap().partitioning, Partitioning::Hash { partitions: 8 });
}
