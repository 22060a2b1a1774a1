//! What is amiss with the servers.

use serde_json::json;
use strata::{Diagnosis, ErrorKind, Finding, Role, Setup, Store, Weight};

use super::migrate;
use crate::arguments::Servers;
use crate::environment;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

/// Variables of one server, which the other is looked at without.
const OF_TRUTH: &[&str] = &["DATABASE_URL", "STRATA_PG_", "STRATA_SQLITE_"];
const OF_SHARED: &[&str] = &["REDIS_URL", "STRATA_REDIS_"];

pub(super) async fn examine(registry: &Registry, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    let variables = environment::variables(servers)?;
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    if !is_set("DATABASE_URL") && !is_set("REDIS_URL") {
        return Err(Failure::Usage("neither DATABASE_URL nor REDIS_URL is set; set them as for the program".to_owned()));
    }
    let (mut worst, mut has_truth, mut is_configured) = (Weight::Fine, is_set("DATABASE_URL"), true);
    for (role, wanted, others) in [(Role::Shared, OF_SHARED, OF_TRUTH), (Role::Truth, OF_TRUTH, OF_SHARED)] {
        if !is_set(wanted[0]) {
            continue;
        }
        let own = variables.iter().filter(|(name, _)| !others.iter().any(|other| name.starts_with(other)));
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        let diagnosis = match Store::from_variables(own).await {
            Ok(builder) => {
                let all = registry.add_to(builder).diagnose().await;
                has_truth |= all.iter().any(|diagnosis| diagnosis.role == Role::Truth);
                let mut found = all.into_iter().find(|diagnosis| diagnosis.role == role);
                if let Some(diagnosis) = found.as_mut().filter(|_| role == Role::Truth) {
                    diagnosis.findings.push(of_tables(registry, servers).await);
                }
                found
            }
            Err(error) => {
                let error = match environment::blamed(error, servers) {
                    Failure::Store(error) => error,
                    wrong => return Err(wrong),
                };
                is_configured = false;
                Some(Diagnosis { role, name: wanted[0].to_owned(), findings: vec![unreachable(&error)] })
            }
        };
        if let Some(diagnosis) = diagnosis {
            worst = worst.max(diagnosis.weight());
            show(&diagnosis, output);
        }
    }
    let tables: Vec<_> = registry.models().iter().filter_map(|model| model.bound()).map(|schema| format!("`{}`", schema.name())).collect();
    if !has_truth && !tables.is_empty() {
        let lacking = format!("DATABASE_URL is not set, and the tables of {} lie in a tier of truth", tables.join(", "));
        let finding = Finding::problem(
            lacking,
            "set DATABASE_URL as for the program, or mark the models `#[schema(cache_only)]` if losing them is fine",
        );
        worst = Weight::Problem;
        show(&Diagnosis { role: Role::Truth, name: "DATABASE_URL".to_owned(), findings: vec![finding] }, output);
    } else if is_configured && let Some(finding) = of_store(registry, servers).await {
        worst = Weight::Problem;
        show(&Diagnosis { role: Role::Near, name: "the store".to_owned(), findings: vec![finding] }, output);
    }
    Ok(if worst == Weight::Problem { Answer::No } else { Answer::Yes })
}

/// What keeps a store from being built that is no server's fault: keys that encrypted fields lack, for one. What the servers lack is told of these.
async fn of_store(registry: &Registry, servers: &Servers) -> Option<Finding> {
    let built = match environment::builder(registry, servers).await {
        Ok(builder) => builder.build().await,
        Err(Failure::Store(error)) => Err(error),
        Err(_) => return None,
    };
    match built {
        Ok(store) => store.close().await.err().map(|error| unreachable(&error)),
        Err(error) if error.kind() == ErrorKind::InvalidConfig => Some(unreachable(&error)),
        Err(_) => None,
    }
}

/// Whether the tables are as the models want them.
async fn of_tables(registry: &Registry, servers: &Servers) -> Finding {
    match migrate::plan_of(registry, servers).await {
        Ok(plan) if plan.is_refused() => {
            let refused: Vec<String> = plan.drift.iter().filter(|drift| drift.is_refused).map(ToString::to_string).collect();
            Finding::problem(format!("tables do not fit the models: {}", refused.join("; ")), "`migrate --plan` says what mends it")
        }
        Ok(plan) if plan.is_empty() => Finding::fine("tables are as the models want them"),
        Ok(plan) => Finding::problem(format!("tables lack what the models want, in {} steps", plan.steps.len()), "`migrate`"),
        Err(Failure::Store(error) | Failure::Input(error)) => unreachable(&error),
        Err(Failure::Usage(text) | Failure::Io(text)) => Finding::problem(text, "`migrate --plan` shows it in full"),
    }
}

fn unreachable(error: &strata::Error) -> Finding {
    Finding { weight: Weight::Problem, what: error.to_string().into(), remedy: None }
}

fn show(diagnosis: &Diagnosis, output: &Output) {
    let tier = format!("{}, {}", diagnosis.role, diagnosis.name);
    output.tell(&tier);
    for Finding { weight, what, remedy } in &diagnosis.findings {
        let word = match weight {
            Weight::Fine => "ok",
            Weight::Notice => "notice",
            Weight::Problem => "problem",
        };
        let shown = output.show(
            || {
                let remedy = remedy.as_ref().map(|remedy| format!("\n           → {remedy}")).unwrap_or_default();
                format!("  {word:<8} {what}{remedy}")
            },
            || json!({ "tier": diagnosis.role.to_string(), "name": diagnosis.name, "weight": word, "what": what, "remedy": remedy }),
        );
        if !shown {
            return;
        }
    }
}
