//! Bringing a database to the layout that the models ask for.

mod file;
mod migrator;
mod plan;
mod record;
mod settings;

pub use file::{MigrationFile, PendingFile};
pub use migrator::Migrator;
pub use plan::{Blocking, Drift, MigrationPlan, MigrationStep};
pub use record::{DirtyMark, MigrationRecord, MigrationReport, Resolution};
pub use settings::MigrationSettings;
