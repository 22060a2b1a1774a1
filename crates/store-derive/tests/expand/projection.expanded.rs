const _: () = {
    use ::strata::__private as __strata;
    trait __MissingColumns: __strata::std::marker::Sized {
        fn name<__Field>() -> __strata::Column<Self, __Field> where Self: __strata::HasColumn { __strata::std::unreachable!() }
        fn r#type<__Field>() -> __strata::Column<Self, __Field> where Self: __strata::HasColumn { __strata::std::unreachable!() }
    }
    impl<__Model> __MissingColumns for __Model { }
    #[automatically_derived]
    impl __strata::Projection<geography::City> for Summary {
        fn columns() -> __strata::std::vec::Vec<&'static __strata::std::primitive::str> { __strata::std::vec![<geography::City>::name().name(),<geography::City>::r#type().name()] }
        fn from_values(__row: __strata::Row<'static>) -> __strata::Result<Self> {
            let [__value_0, __value_1] = __strata::columns::<2usize>(__row, "Summary")?;
            let __column_0: __strata::Column<geography::City, String> = <geography::City>::name();
            let __column_1: __strata::Column<geography::City, Option<String>> = <geography::City>::r#type();
            __strata::std::result::Result::Ok(
                Self {
                    name: __strata::decode_column(__column_0, __value_0)?,
                    kind: __strata::decode_column(__column_1, __value_1)?,
                }
            )
        }
    }
};
