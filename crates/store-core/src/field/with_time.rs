//! The time type of the crate time.

use time::OffsetDateTime;

use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

impl Scalar for OffsetDateTime {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        let microseconds = self.unix_timestamp_nanos().div_euclid(1_000);
        Timestamp::from_microseconds(microseconds as i64).map(Value::Time)
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let moment = Timestamp::from_value(value)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.as_microseconds()) * 1_000)
            .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside time's range").with_source(error))
    }
}
