//! Strata in one program: 34,006 cities through the tiers.
//!
//! `cargo run -p quickstart` runs embedded, on memory and SQLite. `-- --servers` does the same on memory, Redis and PostgreSQL, which it finds by `REDIS_URL`
//! and `DATABASE_URL` (`cargo xtask up` starts both). `-- --seconds N` goes on reading and writing for N seconds, to pull a plug meanwhile.

mod arguments;
mod cities;
mod hold;
mod stack;
mod timing;

use std::time::SystemTime;

use strata::prelude::*;

/// A city, as every tier holds it.
#[derive(Debug, Clone, Schema, serde::Deserialize)]
pub(crate) struct City {
    #[schema(primary_key)]
    geonameid: i64,
    #[schema(index)]
    name: String,
    latitude: f64,
    longitude: f64,
    #[schema(index)]
    countrycode: String,
    #[schema(index)]
    population: i64,
    timezone: String,
    admin1code: String,
    #[schema(auto_now)]
    #[serde(skip, default = "SystemTime::now")]
    updated_at: SystemTime,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments::parse()?;
    let store = stack::open(&arguments).await?;
    let cities = store.collection::<City>()?;

    cities::load(&cities).await?;
    timing::each_tier(&cities, &arguments).await?;

    let query = Query::new().filter(City::population().gt(10_000_000)).order_by(City::population().desc()).limit(3);
    for city in cities.search(query).await? {
        println!("{:<12} {:>10} inhabitants", city.name, city.population);
    }
    let raw = Query::new().where_sql("countrycode = $1 AND latitude < $2", params!["PE", -16.0]);
    println!("{} Peruvian cities lie south of 16°S", cities.count(raw).await?);

    let lima = cities.get_or_err(3_936_456).await?;
    let written = cities.set(City { population: lima.population + 1, ..City::clone(&lima) }).await?;
    println!("{} has {} inhabitants now (version {})", written.name, written.population, written.version());
    cities.delete(362).await?;
    anyhow::ensure!(!cities.exists(362).await?, "a deleted city is gone from every tier");
    hold::on(&cities, arguments.seconds).await?;

    store.close().await?;
    let store = stack::open(&arguments).await?;
    let cities = store.collection::<City>()?;
    let lima = cities.get_or_err(3_936_456).await?;
    let left = cities.count(Query::new()).await?;
    println!("after a restart: {left} cities (one was deleted), and {} still has {} inhabitants", lima.name, lima.population);
    Ok(store.close().await?)
}
