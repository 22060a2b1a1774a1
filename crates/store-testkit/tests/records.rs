//! The records suite, on the model that it compares others with.

use std::sync::Arc;

use store_core::{BoundSchema, Tier};
use store_testkit::ModelRecords;
use store_testkit::suites::records::RecordsServer;

struct Model(ModelRecords);

impl RecordsServer for Model {
    async fn open(&self) -> Arc<dyn Tier> {
        Arc::new(self.0.clone())
    }

    async fn put_foreign_content(&self, schema: &BoundSchema, key: &str) {
        self.0.put_foreign_content(schema, key);
    }

    async fn clean_up(&self) {}
}

store_testkit::records_suite!(async { Model(ModelRecords::new()) });
