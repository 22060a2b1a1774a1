//! What a PostgreSQL server itself notes of the players that are written, so that nothing is applied twice unnoticed.

use store_testkit::servers::PostgresServer;

/// From here on every stored player is noted, and what is rolled back is not. A statement that leaves the level alone stores none: the tier gives a new row its version
/// by a second one.
pub const BEGIN: &str = "
    CREATE TABLE noted (number bigserial, id text, level bigint);
    CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN INSERT INTO noted (id, level) VALUES (NEW.id, NEW.level); RETURN NULL; END';
    CREATE TRIGGER note AFTER INSERT OR UPDATE OF level ON player FOR EACH ROW EXECUTE FUNCTION note();";

/// The id and level of each, in order.
pub fn all(server: &PostgresServer) -> Vec<(String, i64)> {
    let rows = server.query("SELECT id, level FROM noted ORDER BY number").expect("the server answers");
    let row = |line: &str| {
        let (id, level) = line.split_once('|').expect("two columns");
        (id.to_owned(), level.parse().expect("a number"))
    };
    rows.lines().map(row).collect()
}
