const _: () = {
    use ::strata::__private as __strata;
    use __strata::pick::*;
    #[automatically_derived]
    impl __strata::Schema for Order {
        fn definition() -> &'static __strata::SchemaDefinition {
            static __DEFINITION: __strata::std::sync::OnceLock<__strata::SchemaDefinition> = __strata::std::sync::OnceLock::new();
            __DEFINITION.get_or_init(
                || {
                    __strata::SchemaDefinition::new(
                        "orders",
                        __strata::std::vec![
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Uuid>::NULLABLE,
                                is_key: true,
                                ..__strata::ColumnDefinition::new("user_id", __strata::Probe::<Uuid>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<i32>::NULLABLE,
                                is_key: true,
                                ..__strata::ColumnDefinition::new("number", __strata::Probe::<i32>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<String>::NULLABLE,
                                unique: true,
                                filler: (&&&__strata::Probe::<String>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("code", __strata::Probe::<String>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Option<String>>::NULLABLE,
                                indexed: true,
                                is_tag: true,
                                default: __strata::std::option::Option::Some(__strata::DefaultValue::Text("new")),
                                ..__strata::ColumnDefinition::new("type", __strata::Probe::<Option<String>>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<i16>::NULLABLE,
                                default: __strata::std::option::Option::Some(__strata::DefaultValue::Integer(-1i64)),
                                ..__strata::ColumnDefinition::new("level", __strata::Probe::<i16>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition { nullable: true, ..__strata::ColumnDefinition::new("notes", __strata::Probe::<String>::COLUMN_TYPE) },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<SystemTime>::NULLABLE,
                                stamp: __strata::Stamp::OnInsert,
                                filler: (&&&__strata::Probe::<SystemTime>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("created_at", __strata::Probe::<SystemTime>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<SystemTime>::NULLABLE,
                                stamp: __strata::Stamp::OnWrite,
                                filler: (&&&__strata::Probe::<SystemTime>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("updated_at", __strata::Probe::<SystemTime>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Vec<u8>>::NULLABLE,
                                residence: __strata::Residence::TruthOnly,
                                filler: (&&&__strata::Probe::<Vec<u8>>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("document", __strata::Probe::<Vec<u8>>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: true,
                                default: __strata::std::option::Option::Some(__strata::DefaultValue::Double(0.5f64)),
                                residence: __strata::Residence::NotNear,
                                ..__strata::ColumnDefinition::new("weight", __strata::Probe::<f64>::COLUMN_TYPE)
                            },
                            __strata::ColumnDefinition {
                                nullable: __strata::Probe::<Vec<Order>>::NULLABLE,
                                filler: (&&&__strata::Probe::<Vec<Order>>::NEW).strata_filler(),
                                ..__strata::ColumnDefinition::new("parts", __strata::Probe::<Vec<Order>>::COLUMN_TYPE)
                            }
                        ],
                        __strata::std::vec![
                            __strata::IndexDefinition {
                                name: __strata::std::option::Option::None,
                                columns: __strata::std::vec!["user_id", "created_at"],
                                unique: false,
                                kind: __strata::IndexKind::BTree,
                                include: __strata::std::vec![],
                                condition: __strata::std::option::Option::None
                            },
                            __strata::IndexDefinition {
                                name: __strata::std::option::Option::Some("codes"),
                                columns: __strata::std::vec!["code", "type"],
                                unique: true,
                                kind: __strata::IndexKind::BTree,
                                include: __strata::std::vec![],
                                condition: __strata::std::option::Option::None
                            }
                        ],
                        __strata::Policies {
                            near: __strata::NearPolicy {
                                ttl: __strata::lifetime(60000u64),
                                max_entries: __strata::std::option::Option::Some(50000u64),
                                eviction: __strata::std::option::Option::Some(__strata::Eviction::Lfu)
                            },
                            shared: __strata::SharedPolicy {
                                ttl: __strata::Lifetime::Never,
                                key_prefix: __strata::std::option::Option::Some(__strata::std::convert::From::from("o"))
                            },
                            truth: __strata::TruthPolicy { table: __strata::std::option::Option::Some(__strata::std::convert::From::from("old_orders")) },
                            negative_ttl: __strata::std::option::Option::Some(__strata::duration(5000u64)),
                            write_mode: __strata::std::option::Option::Some(__strata::WriteMode::WriteThroughLazyL1),
                            cache_only: false,
                            upgrades: __strata::std::default::Default::default()
                        },
                    )
                }
            )
        }
        type Key = (Uuid, i32);
        fn key(&self) -> Self::Key {
            (__strata::std::clone::Clone::clone(&self.user_id), __strata::std::clone::Clone::clone(&self.number))
        }
        fn to_row(&self) -> __strata::Result<__strata::Row<'_>> {
            __strata::std::result::Result::Ok(
                __strata::std::vec![
                    __strata::encode(
                        __strata::fitting::<Uuid, _>((&&&&__strata::Probe::<Uuid>::NEW).strata_codec()),
                        &self.user_id,
                        "orders",
                        "user_id"
                    )?,
                    __strata::encode(
                        __strata::fitting::<i32, _>((&&&&__strata::Probe::<i32>::NEW).strata_codec()),
                        &self.number,
                        "orders",
                        "number"
                    )?,
                    __strata::encode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        &self.code,
                        "orders",
                        "code"
                    )?,
                    __strata::encode(
                        __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                        &self.r#type,
                        "orders",
                        "type"
                    )?,
                    __strata::encode(
                        __strata::fitting::<i16, _>((&&&&__strata::Probe::<i16>::NEW).strata_codec()),
                        &self.level,
                        "orders",
                        "level"
                    )?,
                    __strata::encode(
                        __strata::or_default(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec())),
                        &self.notes,
                        "orders",
                        "notes"
                    )?,
                    __strata::encode(
                        __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                        &self.created_at,
                        "orders",
                        "created_at"
                    )?,
                    __strata::encode(
                        __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                        &self.updated_at,
                        "orders",
                        "updated_at"
                    )?,
                    __strata::encode_deferred(
                        __strata::fitting::<Vec<u8>, _>((&&&&__strata::Probe::<Vec<u8>>::NEW).strata_codec()),
                        &self.document,
                        "orders",
                        "document"
                    )?,
                    __strata::encode_deferred(
                        __strata::or_default(__strata::fitting::<f64, _>((&&&&__strata::Probe::<f64>::NEW).strata_codec())),
                        &self.weight,
                        "orders",
                        "weight"
                    )?,
                    __strata::encode(
                        __strata::fitting::<Vec<Order>, _>((&&&&__strata::Probe::<Vec<Order>>::NEW).strata_codec()),
                        &self.parts,
                        "orders",
                        "parts"
                    )?
                ]
            )
        }
        fn from_row(__row: __strata::Row<'static>) -> __strata::Result<Self> {
            let[
                __value_0,
                __value_1,
                __value_2,
                __value_3,
                __value_4,
                __value_5,
                __value_6,
                __value_7,
                __value_8,
                __value_9,
                __value_10
            ]= __strata::columns::<11usize>(__row, "orders")?;
            __strata::std::result::Result::Ok(
                Self {
                    user_id: __strata::decode(
                        __strata::fitting::<Uuid, _>((&&&&__strata::Probe::<Uuid>::NEW).strata_codec()),
                        __value_0,
                        "orders",
                        "user_id"
                    )?,
                    number: __strata::decode(
                        __strata::fitting::<i32, _>((&&&&__strata::Probe::<i32>::NEW).strata_codec()),
                        __value_1,
                        "orders",
                        "number"
                    )?,
                    code: __strata::decode(
                        __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                        __value_2,
                        "orders",
                        "code"
                    )?,
                    r#type: __strata::decode(
                        __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                        __value_3,
                        "orders",
                        "type"
                    )?,
                    level: __strata::decode(
                        __strata::fitting::<i16, _>((&&&&__strata::Probe::<i16>::NEW).strata_codec()),
                        __value_4,
                        "orders",
                        "level"
                    )?,
                    notes: __strata::decode(
                        __strata::or_default(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec())),
                        __value_5,
                        "orders",
                        "notes"
                    )?,
                    created_at: __strata::decode(
                        __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                        __value_6,
                        "orders",
                        "created_at"
                    )?,
                    updated_at: __strata::decode(
                        __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                        __value_7,
                        "orders",
                        "updated_at"
                    )?,
                    document: __strata::decode_deferred(
                        __strata::fitting::<Vec<u8>, _>((&&&&__strata::Probe::<Vec<u8>>::NEW).strata_codec()),
                        __value_8,
                        "orders",
                        "document"
                    )?,
                    weight: __strata::decode_deferred(
                        __strata::or_default(__strata::fitting::<f64, _>((&&&&__strata::Probe::<f64>::NEW).strata_codec())),
                        __value_9,
                        "orders",
                        "weight"
                    )?,
                    parts: __strata::decode(
                        __strata::fitting::<Vec<Order>, _>((&&&&__strata::Probe::<Vec<Order>>::NEW).strata_codec()),
                        __value_10,
                        "orders",
                        "parts"
                    )?,
                    dirty:<bool as __strata::Skipped>::value(),
                }
            )
        }
    }
    #[automatically_derived]
    impl Order {
        #[doc = "The column `user_id`."]
        #[must_use]
        fn user_id() -> __strata::Column<Self, Uuid> {
            __strata::Column::new(
                "orders",
                "user_id",
                |__value| __strata::decode(
                    __strata::fitting::<Uuid, _>((&&&&__strata::Probe::<Uuid>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "user_id"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<Uuid, _>((&&&&__strata::Probe::<Uuid>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `number`."]
        #[must_use]
        fn number() -> __strata::Column<Self, i32> {
            __strata::Column::new(
                "orders",
                "number",
                |__value| __strata::decode(
                    __strata::fitting::<i32, _>((&&&&__strata::Probe::<i32>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "number"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<i32, _>((&&&&__strata::Probe::<i32>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `code`."]
        #[must_use]
        fn code() -> __strata::Column<Self, String> {
            __strata::Column::new(
                "orders",
                "code",
                |__value| __strata::decode(
                    __strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "code"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `type`."]
        #[must_use]
        fn r#type() -> __strata::Column<Self, Option<String>> {
            __strata::Column::new(
                "orders",
                "type",
                |__value| __strata::decode(
                    __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "type"
                ),
                |__value| __strata::encode_owned(
                    __strata::fitting::<Option<String>, _>((&&&&__strata::Probe::<Option<String>>::NEW).strata_codec()),
                    __value
                )
            )
        }
        #[doc = "The column `level`."]
        #[must_use]
        fn level() -> __strata::Column<Self, i16> {
            __strata::Column::new(
                "orders",
                "level",
                |__value| __strata::decode(
                    __strata::fitting::<i16, _>((&&&&__strata::Probe::<i16>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "level"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<i16, _>((&&&&__strata::Probe::<i16>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `notes`."]
        #[must_use]
        fn notes() -> __strata::Column<Self, String> {
            __strata::Column::new(
                "orders",
                "notes",
                |__value| __strata::decode(
                    __strata::or_default(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec())),
                    __value,
                    "orders",
                    "notes"
                ),
                |__value| __strata::encode_owned(
                    __strata::or_default(__strata::fitting::<String, _>((&&&&__strata::Probe::<String>::NEW).strata_codec())),
                    __value
                )
            )
        }
        #[doc = "The column `created_at`."]
        #[must_use]
        fn created_at() -> __strata::Column<Self, SystemTime> {
            __strata::Column::new(
                "orders",
                "created_at",
                |__value| __strata::decode(
                    __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "created_at"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `updated_at`."]
        #[must_use]
        fn updated_at() -> __strata::Column<Self, SystemTime> {
            __strata::Column::new(
                "orders",
                "updated_at",
                |__value| __strata::decode(
                    __strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "updated_at"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<SystemTime, _>((&&&&__strata::Probe::<SystemTime>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `document`."]
        #[must_use]
        fn document() -> __strata::Column<Self, Vec<u8>> {
            __strata::Column::new(
                "orders",
                "document",
                |__value| __strata::decode(
                    __strata::fitting::<Vec<u8>, _>((&&&&__strata::Probe::<Vec<u8>>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "document"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<Vec<u8>, _>((&&&&__strata::Probe::<Vec<u8>>::NEW).strata_codec()), __value)
            )
        }
        #[doc = "The column `weight`."]
        #[must_use]
        fn weight() -> __strata::Column<Self, f64> {
            __strata::Column::new(
                "orders",
                "weight",
                |__value| __strata::decode(
                    __strata::or_default(__strata::fitting::<f64, _>((&&&&__strata::Probe::<f64>::NEW).strata_codec())),
                    __value,
                    "orders",
                    "weight"
                ),
                |__value| __strata::encode_owned(
                    __strata::or_default(__strata::fitting::<f64, _>((&&&&__strata::Probe::<f64>::NEW).strata_codec())),
                    __value
                )
            )
        }
        #[doc = "The column `parts`."]
        #[must_use]
        fn parts() -> __strata::Column<Self, Vec<Order>> {
            __strata::Column::new(
                "orders",
                "parts",
                |__value| __strata::decode(
                    __strata::fitting::<Vec<Order>, _>((&&&&__strata::Probe::<Vec<Order>>::NEW).strata_codec()),
                    __value,
                    "orders",
                    "parts"
                ),
                |__value| __strata::encode_owned(__strata::fitting::<Vec<Order>, _>((&&&&__strata::Probe::<Vec<Order>>::NEW).strata_codec()), __value)
            )
        }
    }
    const _: () = __strata::require_key_part::<Uuid>();
    const _: () = __strata::require_key_part::<i32>();
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<String>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
    const _: () = __strata::require(
        __strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Text),
        "a default of text needs a text field such as `String`; give other fields a number or `true`, or compute their value in Rust"
    );
    const _: () = __strata::require(
        !(
            __strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Double) || __strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Bytes) || __strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Time) || __strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Json)
        ),
        "a tag is text, an integer, a boolean or a UUID; move what records are told apart by into a field of such a type"
    );
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
    const _: i16 = -1;
    const _: () = __strata::require(
        __strata::std::matches!(__strata::Probe::<SystemTime>::COLUMN_TYPE, __strata::ColumnType::Time),
        "`auto_now_add` needs a time field such as `SystemTime`"
    );
    const _: () = __strata::require(
        __strata::std::matches!(__strata::Probe::<SystemTime>::COLUMN_TYPE, __strata::ColumnType::Time),
        "`auto_now` needs a time field such as `SystemTime`"
    );
    const _: f64 = 0.5;
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<Uuid>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<SystemTime>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<String>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
    const _: () = __strata::require(
        !__strata::std::matches!(__strata::Probe::<Option<String>>::COLUMN_TYPE, __strata::ColumnType::Json),
        "a column of JSON can be neither unique nor indexed; move the part that you search by into a field of its own"
    );
};
