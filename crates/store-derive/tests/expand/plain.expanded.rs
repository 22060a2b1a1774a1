const _: () = {
    use ::strata::__private as __strata;
    use __strata::pick::*;
    #[automatically_derived]
    impl __strata::Schema for City {
        fn definition() -> &'static __strata::SchemaDefinition {
            static __DEFINITION: __strata::std::sync::OnceLock<__strata::SchemaDefinition> = __strata::std::sync::OnceLock::new();
            __DEFINITION.get_or_init(
                || {
                    __strata::SchemaDefinition::new(
                        "city",
                        __strata::std::vec![
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<i64>::NULLABLE,
                                is_key: true,
                                ..__strata::ColumnDefinition::new("id", __strata::Probe::<i64>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<String>::NULLABLE,
                                filler: (&&&__strata::Probe::<String>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("name", __strata::Probe::<String>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Option<i64>>::NULLABLE,
                                indexed: true,
                                ..__strata::ColumnDefinition::new("population", __strata::Probe::<Option<i64>>::COLUMN_TYPE)
                            }
                        ],
                        __strata::std::vec![],
                        __strata::Policies {
                            near: __strata::std::default::Default::default(),
                            shared: __strata::std::default::Default::default(),
                            truth: __strata::std::default::Default::default(),
                            negative_ttl: __strata::std::option::Option::None,
                            write_mode: __strata::std::option::Option::None,
                            cache_only: false,
                            upgrades: __strata::std::default::Default::default()
                        },
                    )
                }
            )
        }
        type Key = i64;
        fn key(&self) -> Self::Key { __strata::std::clone::Clone::clone(&self.id) }
        fn to_row(&self) -> __strata::Result<__strata::Row<'_>> {
            __strata::std::result::Result::Ok(
                __strata::std::vec![
                    __strata::encode(
                        __strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()),
                        &self.id,
                        "city",
                        "id"
                    )?,
                    __strata::encode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        &self.name,
                        "city",
                        "name"
                    )?,
                    __strata::encode(
                        __strata::fitting::<Option<i64>, _>((&&&&__strata::Probe::<Option<i64>>::NEW).strata_codec()),
                        &self.population,
                        "city",
                        "population"
                    )?
                ]
            )
        }
        fn from_row(__row: __strata::Row<'static>) -> __strata::Result<Self> {
            let [__value_0, __value_1, __value_2] = __strata::columns::<3usize>(__row, "city")?;
            __strata::std::result::Result::Ok(
                Self {
                    id: __strata::decode(
                        __strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()),
                        __value_0,
                        "city",
                        "id"
                    )?,
                    name: __strata::decode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        __value_1,
                        "city",
                        "name"
                    )?,
                    population: __strata::decode(
                        __strata::fitting::<Option<i64>, _>((&&&&__strata::Probe::<Option<i64>>::NEW).strata_codec()),
                        __value_2,
                        "city",
                        "population"
                    )?,
                }
            )
        }
    }
    #[automatically_derived]
    impl City {
        #[doc = "The column `id`."]
        #[must_use]
        pub fn id() -> __strata::Column<Self, i64> {
            __strata::Column::new(
                "city",
                "id",
                |__value| __strata::decode(__strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()), __value, "city", "id"),
                |__value| __strata::encode_owned(__strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `name`."]
        #[must_use]
        pub fn name() -> __strata::Column<Self, String> {
            __strata::Column::new(
                "city",
                "name",
                |__value| __strata::decode(
                    __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                    __value,
                    "city",
                    "name"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `population`."]
        #[must_use]
        pub fn population() -> __strata::Column<Self, Option<i64>> {
            __strata::Column::new(
                "city",
                "population",
                |__value| __strata::decode(
                    __strata::fitting::<Option<i64>, _>((&&&&__strata::Probe::<Option<i64>>::NEW).strata_codec()),
                    __value,
                    "city",
                    "population"
                ),
                |__value| __strata::encode_owned(
                    __strata::fitting::<Option<i64>, _>((&&&&__strata::Probe::<Option<i64>>::NEW).strata_codec()),
                    __value
                )
            )
        }
    }
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<Option<i64>>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
};
