//! The time type of the crate jiff.

use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

impl Scalar for jiff::Timestamp {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        Timestamp::from_nanoseconds(self.as_nanosecond()).map(Value::Time)
    }

    fn is_cut(&self) -> bool {
        self.subsec_nanosecond() % 1_000 != 0
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let microseconds = Timestamp::from_value(value)?.as_microseconds();
        // `from_microsecond` refuses most of jiff's last second, this does not.
        jiff::Timestamp::new(microseconds.div_euclid(1_000_000), (microseconds.rem_euclid(1_000_000) * 1_000) as i32)
            .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside jiff's range").with_source(error))
    }
}
