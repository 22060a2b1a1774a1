//! Bringing a database to the layout that the models ask for.

mod file;
mod migrator;
mod pending;
mod plan;
mod record;
mod settings;

pub use file::MigrationFile;
pub use migrator::Migrator;
pub use pending::PendingFile;
pub use plan::{Blocking, Drift, MigrationPlan, MigrationStep};
pub use record::{DirtyMark, MigrationRecord, MigrationReport, Resolution};
pub use settings::MigrationSettings;
