//! The time type of the crate jiff.

use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

impl Scalar for jiff::Timestamp {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        let microseconds = self.as_nanosecond().div_euclid(1_000);
        Timestamp::from_microseconds(microseconds as i64).map(Value::Time)
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let moment = Timestamp::from_value(value)?;
        jiff::Timestamp::from_microsecond(moment.as_microseconds())
            .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside jiff's range").with_source(error))
    }
}
