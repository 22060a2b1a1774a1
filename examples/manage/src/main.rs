//! A project's own command line for its models. `cargo run -p manage -- --help` lists the commands.

use std::process::ExitCode;
use std::time::SystemTime;

use strata::prelude::*;
use strata_cli::Registry;

/// A city with more than 15,000 people: the table of the quickstart.
#[derive(Schema)]
struct City {
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
    updated_at: SystemTime,
}

fn main() -> ExitCode {
    strata_cli::main(Registry::new().schema::<City>())
}
