//! The time types of other crates, each behind the feature of its name.

#[cfg(feature = "jiff")]
mod jiff {
    use crate::error::{Error, ErrorKind, Result};
    use crate::field::Scalar;
    use crate::timestamp::Timestamp;
    use crate::value::{ColumnType, Value};

    impl Scalar for ::jiff::Timestamp {
        const COLUMN_TYPE: ColumnType = ColumnType::Time;

        fn to_value(&self) -> Result<Value<'_>> {
            let microseconds = self.as_nanosecond().div_euclid(1_000);
            Timestamp::from_microseconds(microseconds as i64).map(Value::Time)
        }

        fn from_value(value: Value<'static>) -> Result<Self> {
            let moment = Timestamp::from_value(value)?;
            ::jiff::Timestamp::from_microsecond(moment.as_microseconds())
                .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside jiff's range").with_source(error))
        }
    }
}

#[cfg(feature = "chrono")]
mod chrono {
    use ::chrono::{DateTime, Utc};

    use crate::error::{Error, ErrorKind, Result};
    use crate::field::Scalar;
    use crate::timestamp::Timestamp;
    use crate::value::{ColumnType, Value};

    impl Scalar for DateTime<Utc> {
        const COLUMN_TYPE: ColumnType = ColumnType::Time;

        fn to_value(&self) -> Result<Value<'_>> {
            Timestamp::from_microseconds(self.timestamp_micros()).map(Value::Time)
        }

        fn from_value(value: Value<'static>) -> Result<Self> {
            let moment = Timestamp::from_value(value)?;
            DateTime::from_timestamp_micros(moment.as_microseconds())
                .ok_or_else(|| Error::new(ErrorKind::DecodeFailed, "the stored time lies outside chrono's range"))
        }
    }
}

#[cfg(feature = "time")]
mod time {
    use ::time::OffsetDateTime;

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
}
