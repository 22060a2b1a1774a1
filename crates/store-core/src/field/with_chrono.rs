//! The time type of the crate chrono.

use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

impl Scalar for DateTime<Utc> {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        let microseconds = self.timestamp_micros();
        if DateTime::from_timestamp_micros(microseconds).is_none() {
            // A leap second at the end of the last day is counted into a day that chrono lacks.
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "the time lies in a leap second behind chrono's last day; give an earlier one",
            ));
        }
        Timestamp::from_microseconds(microseconds).map(Value::Time)
    }

    fn is_cut(&self) -> bool {
        !self.timestamp_subsec_nanos().is_multiple_of(1_000)
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let moment = Timestamp::from_value(value)?;
        DateTime::from_timestamp_micros(moment.as_microseconds())
            .ok_or_else(|| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside chrono's range"))
    }
}
