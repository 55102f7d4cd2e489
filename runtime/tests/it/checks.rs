//! Checks at run time: an index out of range stops the step before it is used.

use crate::support::{load, load_with, program};

fn gather(dtype: &str) -> String {
    format!(
        "program \"gather\" b0: f32[30] input \"table\" b1: {dtype}[4] input \"rows\" b2: f32[12] output \"out\"
        check #0 \"another check\"
        check #1 \"gather: index out of range, valid are 0 to 9\" at \"model.rs:12:3\"
        kernel gather(p0: read f32[30], p1: read {dtype}[4], p2: write f32[12]) {{
          parallel i0 in 0..4 {{
            let i1 = checked(load p1[i0], 10, #1)
            for i2 in 0..3 {{ store p2[i0*3 + i2] = load p0[i1*3 + i2] }}
          }}
        }} launch gather(b0, b1, b2)"
    )
}

#[test]
fn indices_in_range_gather_rows() {
    for threads in [1, 3] {
        let mut executable = load_with(program(&gather("i32")), threads);
        let table: Vec<f32> = (0..30).map(|i| i as f32).collect();
        executable.write_input("table", &table).unwrap();
        executable.write_input("rows", &[9i32, 0, 4, 9]).unwrap();
        executable.step().unwrap();
        assert_eq!(
            executable.output::<f32>("out").unwrap(),
            [27.0, 28.0, 29.0, 0.0, 1.0, 2.0, 12.0, 13.0, 14.0, 27.0, 28.0, 29.0]
        );
    }
}

#[test]
fn an_index_out_of_range_names_the_op_and_the_source_line() {
    for bad in [10i64, -1, i64::MAX, i64::MIN, 1 << 32] {
        let mut executable = load(program(&gather("i64")));
        executable.write_input("rows", &[0i64, 1, bad, 2]).unwrap();
        let error = executable.step().unwrap_err();
        assert_eq!(error.message, "gather: index out of range, valid are 0 to 9");
        assert_eq!(error.loc.as_deref(), Some("model.rs:12:3"));
        assert!(error.to_string().contains("model.rs:12:3"), "{error}");
        executable.write_input("rows", &[0i64, 1, 2, 3]).unwrap();
        executable.step().unwrap();
    }
}

#[test]
fn the_launches_after_a_failed_check_do_not_run() {
    let text = "program \"stop\" b0: i32[1] input \"i\" b1: i32[1] output \"before\" b2: i32[1] output \"after\"
        check #0 \"out of range\"
        kernel mark(p0: write i32[1]) { store p0[0] = 7i32 }
        kernel test(p0: read i32[1], p1: write i32[1]) {
          let i0 = checked(load p0[0], 1, #0)
          store p1[i0] = 8i32
        }
        launch mark(b1) launch test(b0, b1) launch mark(b2)";
    let mut executable = load(program(text));
    executable.write_input("i", &[1i32]).unwrap();
    executable.step().unwrap_err();
    assert_eq!(executable.output::<i32>("before").unwrap(), [7]);
    assert_eq!(executable.output::<i32>("after").unwrap(), [0]);
}
