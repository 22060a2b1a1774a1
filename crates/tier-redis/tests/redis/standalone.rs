//! The records suite on the server of `REDIS_URL`.

use crate::support::SuiteServer;

store_testkit::records_suite!(SuiteServer::from_environment());
