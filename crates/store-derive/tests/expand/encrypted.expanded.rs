const _: () = {
    use ::strata::__private as __strata;
    use __strata::pick::*;
    #[automatically_derived]
    impl __strata::Schema for Player {
        fn definition() -> &'static __strata::SchemaDefinition {
            static __DEFINITION: __strata::std::sync::OnceLock<__strata::SchemaDefinition> = __strata::std::sync::OnceLock::new();
            __DEFINITION.get_or_init(
                || {
                    __strata::SchemaDefinition::new(
                        "player",
                        __strata::std::vec![
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<i64>::NULLABLE,
                                is_key: true,
                                ..__strata::ColumnDefinition::new("id", __strata::Probe::<i64>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<String>::NULLABLE,
                                encryption: __strata::std::option::Option::Some(
                                    __strata::Encryption {
                                        plain_type: __strata::Probe::<String>::COLUMN_TYPE,
                                        plain_in_l2: true,
                                        blind_index: __strata::std::option::Option::Some("email_blind"),
                                    }
                                ),
                                ..__strata::ColumnDefinition::new("email", __strata::ColumnType::Bytes)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Option<String>>::NULLABLE,
                                encryption: __strata::std::option::Option::Some(
                                    __strata::Encryption {
                                        plain_type: __strata::Probe::<Option<String>>::COLUMN_TYPE,
                                        plain_in_l2: false,
                                        blind_index: __strata::std::option::Option::None,
                                    }
                                ),
                                ..__strata::ColumnDefinition::new("note", __strata::ColumnType::Bytes)
                            },
                            __strata::ColumnDefinition {
                                nullable: true,
                                unique: true,
                                indexed: false,
                                residence: __strata::Residence::TruthOnly,
                                blind_of: __strata::std::option::Option::Some("email"),
                                ..__strata::ColumnDefinition::new("email_blind", __strata::ColumnType::Bytes)
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
                        "player",
                        "id"
                    )?,
                    __strata::encode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        &self.email,
                        "player",
                        "email"
                    )?,
                    __strata::encode(
                        __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                        &self.note,
                        "player",
                        "note"
                    )?,
                    __strata::Value::Null
                ]
            )
        }
        fn from_row(__row: __strata::Row<'static>) -> __strata::Result<Self> {
            let [__value_0, __value_1, __value_2, _] = __strata::columns::<4usize>(__row, "player")?;
            __strata::std::result::Result::Ok(
                Self {
                    id: __strata::decode(
                        __strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()),
                        __value_0,
                        "player",
                        "id"
                    )?,
                    email: __strata::decode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        __value_1,
                        "player",
                        "email"
                    )?,
                    note: __strata::decode(
                        __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                        __value_2,
                        "player",
                        "note"
                    )?,
                }
            )
        }
    }
    #[automatically_derived]
    impl Player {
        #[doc = "The column `id`."]
        #[must_use]
        fn id() -> __strata::Column<Self, i64> {
            __strata::Column::new(
                "player",
                "id",
                |__value| __strata::decode(
                    __strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()),
                    __value,
                    "player",
                    "id"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<i64, _>((&&&&__strata::Probe::<i64>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `email`."]
        #[must_use]
        fn email() -> __strata::Column<Self, String> {
            __strata::Column::new(
                "player",
                "email",
                |__value| __strata::decode(
                    __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                    __value,
                    "player",
                    "email"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `note`."]
        #[must_use]
        fn note() -> __strata::Column<Self, Option<String>> {
            __strata::Column::new(
                "player",
                "note",
                |__value| __strata::decode(
                    __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                    __value,
                    "player",
                    "note"
                ),
                |__value| __strata::encode_owned(
                    __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                    __value
                )
            )
        }
    }
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<String>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
};
