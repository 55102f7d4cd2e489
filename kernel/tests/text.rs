//! The text form: what is printed parses to the same program, and the printer's form prints as it was.

use kernel::{Kernel, Program};

const PROGRAM: &str = r#"program "step" arena 4096
b0: f32[128] input "x" @ 0
b1: f32[4] constant [1.0, -0.0, nan, inf] @ 512
b2: i32[20] constant x"0102030405060708090a0b0c0d0e0f10111213141516171819202122232425262728292a2b2c2d2e2f30313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778797a" @ 576
b3: f32[128] state "w\n\"q\"" @ 1024
b4: f32[128] next "w\n\"q\"" @ 1024
check #0 "gather: index out of range, valid are 0 to 9" at "src/main.rs:3:14"
check #1 "other"

kernel all_1(p0: read f32[128], p1: readwrite f32[128], p2: read i32[20]) {
  local l0: f32[64]
  parallel i0 in 0..8 {
    let i1 = (i0 + 1) / 4
    let i2 = (i0*3 + i1) % 4
    let i3 = clamp(i0 + -1, 0, 27)
    let i4 = checked(load p2[i0], 10, #0)
    let i5 = i4*-2 + 18
    var v0 = 0.0f32
    for i6 in 0..4 {
      v0 add= mul(load p0[i0*4 + i6], load p1[i6])
      v0 = fma(v0, 1e-5f32, -1.5f32)
    }
    if lt(v0, nan:f32) {
      store p1[i0] = v0
    } else {
      store p1[i0] = select(true, -inf:f32, 0x7fc00001:f32)
    }
    let v1 = load.x4 p0[i0*4] stride 8
    let v2 = cast(index i0*4 : i32x4 stride 1 : f32)
    let v3 = bitcast(index i0 : i32 : f32)
    store p1[i0*16] = add(v1, splat.x4(fold add(v2)))
    micro 2x8 a=p0[i0*4] stride 16, b=l0[0], reduce=[(3, 1, 8), (2, 4, 24)], c=p1[i0*16] stride 8
    micro 2x8 a=p0[i0*4] stride 16, b=l0[0], reduce=[(3, 1, 8)], c add=p1[0] stride 9
    vector i9 in 0..4 {
      store l0[i9*4] = splat.x4(1.0f32)
    }
  }
}

launch all_1(b0, b4, b2)
"#;

#[test]
fn the_printers_form_prints_as_it_was() {
    let program: Program = PROGRAM.parse().unwrap();
    assert_eq!(program.to_string(), PROGRAM);
    assert_eq!(program.to_string().parse::<Program>().unwrap(), program);
}

#[test]
fn layout_and_comments_are_free() {
    let squeezed: String = PROGRAM.lines().map(|l| format!("{} ; note\n\n", l.trim())).collect();
    assert_eq!(squeezed.parse::<Program>().unwrap().to_string(), PROGRAM);
}

#[test]
fn errors_say_where() {
    for (text, message) in [
        (
            "kernel k() {\n  store p0[i0] = 1.0\n}",
            "line 2, column 18: `1.0` is no constant: a number ends with its type, like `1.0f32`",
        ),
        ("kernel k() {\n  stor p0[i0] = 1.0f32\n}", "line 2, column 3: expected a statement, found `stor`"),
        ("kernel k(p1: read f32[1]) {}", "line 1, column 12: parameter 1 stands where parameter 0 should"),
        ("kernel k() { let i0 = 9223372036854775807 + 1 }", "line 1, column 47: the index doesn't fit 64 bits"),
        ("kernel k() {", "line 1, column 13: expected a statement, found the end of the text"),
        ("kernel k() { ~ }", "line 1, column 14: unexpected character '~'"),
    ] {
        assert_eq!(text.parse::<Kernel>().unwrap_err().to_string(), message);
    }
}

#[test]
fn a_launch_from_nothing_is_an_error() {
    let head = "program \"p\"\norigin #0 add\nkernel k() {\n}\n\n";
    assert!(format!("{head}launch k() from #0\n").parse::<Program>().is_ok());
    for (launch, message) in [
        ("launch k() from", "line 6, column 16: expected `#`, found the end of the text"),
        ("launch k() from\nlaunch k()", "line 7, column 1: expected `#`, found `launch`"),
    ] {
        assert_eq!(format!("{head}{launch}").parse::<Program>().unwrap_err().to_string(), message);
    }
}

#[test]
fn layers_and_sections_of_origins_come_back() {
    let text = "program \"p\"\norigin #0 add at \"a.rs:1:2\" in backward \"a \\\"b\\\"/c\"\norigin #1 mul in \"dense\"\norigin #2 exp in update\n\nkernel k() {\n}\n\nlaunch k() from #0 #2\n";
    let program: Program = text.parse().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(program.to_string(), text);
    let of = |at: usize| (program.origins[at].section.as_deref(), program.origins[at].layer.as_deref());
    assert_eq!(
        [of(0), of(1), of(2)],
        [(Some("backward"), Some("a \"b\"/c")), (None, Some("dense")), (Some("update"), None)]
    );
    let error = text.replace("in update", "in #").parse::<Program>().unwrap_err();
    assert!(error.message.contains("a section or a layer's path"), "{error}");
}

#[test]
fn hostile_text_gives_errors() {
    let deep = format!("kernel k() {{ let v0 = {}", "neg(".repeat(1_000_000));
    assert!(deep.parse::<Kernel>().unwrap_err().message.contains("levels of nesting"));
    let deep = format!("kernel k() {{ {}", "for i0 in 0..1 {".repeat(100_000));
    assert!(deep.parse::<Kernel>().unwrap_err().message.contains("levels of nesting"));
    // Every prefix, and every text with one character changed, either parses or says where it doesn't.
    for at in (0..PROGRAM.len()).filter(|&i| PROGRAM.is_char_boundary(i)) {
        let _ = PROGRAM[..at].parse::<Program>();
        for with in ["9", "-", "{", "x", "\"", "99999999999999999999"] {
            let _ = format!("{}{with}{}", &PROGRAM[..at], &PROGRAM[at + 1..]).parse::<Program>();
        }
    }
}

#[test]
fn a_copy_that_is_written_to_has_code_and_a_number_of_its_own() {
    let text = "kernel a(p0: write f32[8]) { for i0 in 0..8 { store p0[i0] = 1.0f32 } }";
    let first: Kernel = text.parse().unwrap();
    let number = first.code_number();
    let mut copy = first.clone();
    assert!(copy.shares_code_with(&first));
    copy.params[0].len = 16;
    assert!(!copy.shares_code_with(&first));
    assert_eq!((first.params[0].len, first.code_number()), (8, number));
    assert_ne!(copy.code_number(), number);
    copy.params[0].len = 8;
    assert_eq!((copy == first, copy.code_number()), (true, number));
    let mut program = Program { kernels: vec![first, copy], ..Program::default() };
    program.share_code();
    assert!(program.kernels[1].shares_code_with(&program.kernels[0]));
    program.kernels[1].locals.push(kernel::Local { dtype: kernel::DType::F32, len: 4 });
    assert!(program.kernels[0].locals.is_empty());
}
