//! The time type of the crate time.

use time::OffsetDateTime;

use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

impl Scalar for OffsetDateTime {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        let nanoseconds = self.unix_timestamp_nanos();
        if let Err(error) = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds) {
            let reason =
                "the time lies in a year of UTC that the crate time lacks, although its own offset has it; give a time within UTC's range";
            return Err(Error::new(ErrorKind::InvalidValue, reason).with_source(error));
        }
        Timestamp::from_nanoseconds(nanoseconds).map(Value::Time)
    }

    fn is_cut(&self) -> bool {
        !self.nanosecond().is_multiple_of(1_000)
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let moment = Timestamp::from_value(value)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.as_microseconds()) * 1_000)
            .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside time's range").with_source(error))
    }
}
