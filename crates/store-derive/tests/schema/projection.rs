use store_core::{Deferred, ErrorKind, Projection as _, Value};
use store_derive::{Projection, Schema};

#[derive(Schema)]
struct City {
    #[schema(primary_key)]
    id: i64,
    name: String,
    r#type: String,
    population: Option<i64>,
    #[schema(nullable)]
    mayor: String,
    #[schema(omit_cache)]
    history: Deferred<String>,
}

#[derive(Debug, PartialEq, Projection)]
#[projection(of = City)]
struct Summary {
    population: Option<i64>,
    #[projection(column = "type")]
    kind: String,
    mayor: String,
    history: String,
}

#[test]
fn a_projection_reads_its_columns_in_its_own_order() {
    assert_eq!(Summary::columns(), ["population", "type", "mayor", "history"]);
    let values = vec![Value::Integer(7), "town".into(), Value::Null, "long".into()];
    assert_eq!(
        Summary::from_values(values).unwrap(),
        Summary { population: Some(7), kind: "town".to_owned(), mayor: String::new(), history: "long".to_owned() }
    );
}

#[test]
fn a_projection_refuses_what_does_not_fit() {
    let error = Summary::from_values(vec![Value::Integer(7)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DecodeFailed);
    let error = Summary::from_values(vec![Value::Null, Value::Null, Value::Null, Value::Null]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DecodeFailed);
    assert!(error.to_string().contains("type"), "{error}");
}

#[test]
fn a_projection_may_be_wider_than_a_tuple_and_of_another_module() {
    mod inner {
        #[derive(store_derive::Schema)]
        pub(super) struct Wide {
            #[schema(primary_key)]
            pub(super) a: i64,
            b: i64,
            c: i64,
            d: i64,
            e: i64,
            f: i64,
            g: i64,
            h: i64,
            i: i64,
        }

        impl Wide {
            pub(super) fn sum(&self) -> i64 {
                self.a + self.b + self.c + self.d + self.e + self.f + self.g + self.h + self.i
            }
        }
    }

    #[derive(Projection)]
    #[projection(of = inner::Wide)]
    struct All {
        a: i64,
        b: i64,
        c: i64,
        d: i64,
        e: i64,
        f: i64,
        g: i64,
        h: i64,
        i: i64,
    }

    let row: Vec<Value<'static>> = (1..=9).map(Value::from).collect();
    let all = All::from_values(row.clone()).unwrap();
    assert_eq!(all.a + all.b + all.c + all.d + all.e + all.f + all.g + all.h + all.i, 45);
    let wide = <inner::Wide as store_core::Schema>::from_row(row).unwrap();
    assert_eq!(wide.sum(), 45);
}
