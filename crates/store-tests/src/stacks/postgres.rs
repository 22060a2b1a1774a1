//! A database on the PostgreSQL server that nobody else uses.

use strata::pg::{PgConfig, PgTier};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::cleaning;

/// A database, dropped at the end.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: String,
}

/// A copy of a database, dropped if it is not restored.
#[derive(Debug)]
pub struct Backup(Database);

/// Makes a database and connects a tier.
pub async fn open() -> (Database, PgTier) {
    let database = make("").await;
    let tier = database.tier().await;
    (database, tier)
}

/// Makes a database that knows which characters beyond ASCII are letters.
pub async fn with_letters() -> Database {
    make("TEMPLATE template0 ENCODING 'UTF8' LC_CTYPE 'C.UTF-8' LC_COLLATE 'C'").await
}

async fn make(options: &str) -> Database {
    let server = std::env::var("DATABASE_URL");
    let server = server.expect("DATABASE_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints");
    let database = Database { name: format!("strata_test_{}", Uuid::new_v4().simple()), server };
    run(&database.server, &format!("CREATE DATABASE {} {options}", database.name)).await.expect("a database can be made");
    database
}

impl Database {
    /// One more tier on the same database.
    pub async fn tier(&self) -> PgTier {
        let config = PgConfig::from_url(&self.url()).expect("DATABASE_URL is well-formed");
        PgTier::connect(config).await.expect("the server that DATABASE_URL names answers")
    }

    /// Does what another program might do.
    pub async fn run(&self, statement: &str) {
        run(&self.url(), statement).await.expect("the statement is sound");
    }

    /// Every row of every table, as text.
    pub async fn dump(&self) -> String {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        let tables = client.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", &[]).await.expect("it has tables");
        let mut dump = String::new();
        for table in tables {
            let table: String = table.get(0);
            let rows = client.query(&format!("SELECT t::text FROM \"{table}\" t"), &[]).await.expect("it can be read");
            rows.iter().for_each(|row| dump.push_str(&format!("{table}: {}\n", row.get::<_, String>(0))));
        }
        dump
    }

    /// Copies the database as it is. Whoever is connected to it loses the connection.
    pub async fn back_up(&self) -> Backup {
        let name = &self.name;
        let backup = Backup(Database { name: format!("{name}_backup"), server: self.server.clone() });
        for statement in [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS FALSE"),
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
            format!("CREATE DATABASE {} TEMPLATE {name}", backup.0.name),
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS TRUE"),
        ] {
            run(&self.server, &statement).await.expect("the database can be copied");
        }
        backup
    }

    /// Drops the database and puts the copy in its place.
    pub async fn restore(&self, backup: Backup) {
        for statement in
            [format!("DROP DATABASE {} WITH (FORCE)", self.name), format!("ALTER DATABASE {} RENAME TO {}", backup.0.name, self.name)]
        {
            run(&self.server, &statement).await.expect("the database can be restored");
        }
    }

    /// The server's URL with this database in place of its own.
    pub fn url(&self) -> String {
        let (address, options) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let authority = address.find("://").map_or(0, |scheme| scheme + 3);
        let end = address[authority..].find('/').map_or(address.len(), |slash| authority + slash);
        format!("{}/{}?{options}", &address[..end], self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        cleaning(async move { Ok(run(&server, &statement).await?) });
    }
}

async fn run(server: &str, statement: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(statement).await;
    drop(client);
    // It ends with its client.
    let _ = connection.await;
    done
}
