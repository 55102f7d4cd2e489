//! Contractions large enough for blocks, panels of each thread's own and regions of padded convolutions, for targets with vectors of each
//! width: after every pass they compute what the graph says.

use crate::oracle::{Agreement, NamedValues, difference, random_ports};
use crate::pipeline::first_fault;
use ir::Graph;
use kernel::Target;
use passes::{PassContext, RunOptions, Stop};

fn check(name: &str, body: &str) {
    let graph = Graph::parse(&format!("graph \"{name}\" {{\n{body}\n}}")).unwrap_or_else(|e| panic!("{e}"));
    let ports = random_ports(&graph, 7);
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Within(1e-10));
    for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
        if let Err(fault) = first_fault(name, &graph, &ports, &target, &same) {
            panic!("{}: {fault}", target);
        }
    }
}

/// A product with a bias; `a` and `b` are the factors' shapes, `pair` the contracted axes.
fn dot(name: &str, (a, b, pair): (&str, &str, &str), (rows, columns): (usize, usize)) {
    check(
        name,
        &format!(
            "%0 = input {{name=\"a\"}} : f64[{a}]
             %1 = input {{name=\"b\"}} : f64[{b}]
             %2 = dot %0, %1 {{batch=[], contract=[{pair}]}} : f64[{rows},{columns}]
             %3 = input {{name=\"bias\"}} : f64[{columns}]
             %4 = broadcast %3 {{axes=[1]}} : f64[{rows},{columns}]
             %5 = add %2, %4 : f64[{rows},{columns}]
             output \"y\" = %5"
        ),
    );
}

#[test]
fn threads_pack_panels_of_their_own() {
    dot("rows", ("120,20", "20,300", "(1,0)"), (120, 300));
    dot("columns", ("20,40", "300,40", "(1,1)"), (20, 300));
    dot("lines_and_a_rest", ("9,35", "270,35", "(1,1)"), (9, 270));
    dot("both", ("40,50", "300,40", "(0,1)"), (50, 300));
}

/// Whether a graph has a kernel of its own of that name for a machine with AVX2, such as one that packs a factor.
fn runs_before(text: &str, name: &str) -> bool {
    let graph = Graph::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let options = RunOptions { stop: Stop::AfterPass("lower".into()), ..RunOptions::default() };
    let module = passes::compile(graph, &PassContext::new(Target::avx2()), &options).unwrap().module;
    module.program().unwrap().kernels.iter().any(|kernel| kernel.name.starts_with(name))
}

/// What is packed before would be written to memory and read again; with more rows than the cache keeps it is, as one panel at a time would read
/// all of those rows.
#[test]
fn panels_of_a_factor_that_no_cache_holds_are_packed_when_they_are_used() {
    dot("large_right", ("200,48", "200,270", "(0,0)"), (48, 270));
    for (rows, packs) in [(48, false), (1024, true)] {
        let text = format!(
            "graph \"large\" {{
             %0 = input {{name=\"a\"}} : f32[400,{rows}]
             %1 = input {{name=\"b\"}} : f32[400,512]
             %2 = dot %0, %1 {{batch=[], contract=[(0,0)]}} : f32[{rows},512]
             output \"y\" = %2
             }}"
        );
        assert_eq!(runs_before(&text, "pack_"), packs, "{rows} rows");
    }
}

/// The loop over an image's rows stood around all panels: each row read the whole packed factor again.
#[test]
fn kernels_of_small_images_that_no_cache_holds_are_packed_when_they_are_used() {
    // Smaller numbers of the same kind, as every pass is checked: 300 KiB of kernels.
    let window = "size=[3,3], stride=[1,1], pad=[(0,0),(0,0)], dilation=[1,1], groups=1";
    conv("small_image", ["1,9,8,48", "3,3,48,136", "1,7,6,136"], window);
    conv("small_images", ["2,5,6,48", "3,3,48,140", "2,3,4,140"], window);
    for (images, packs) in [(1, false), (32, true)] {
        let text = format!(
            "graph \"large\" {{
             %0 = input {{name=\"x\"}} : f32[{images},9,9,128]
             %1 = input {{name=\"w\"}} : f32[3,3,128,768]
             %2 = conv %0, %1 {{{window}}} : f32[{images},7,7,768]
             output \"y\" = %2
             }}"
        );
        assert_eq!(runs_before(&text, "pack_"), packs, "{images} images");
    }
}

#[test]
fn a_factor_that_the_cache_holds_is_read_in_place() {
    dot("in_cache", ("50,40", "40,300", "(1,0)"), (50, 300));
}

#[test]
fn groups_of_panels_go_down_the_rows_together() {
    check(
        "groups",
        "%0 = input {name=\"a\"} : f64[49,33]
         %1 = input {name=\"b\"} : f64[33,520]
         %2 = dot %0, %1 {batch=[], contract=[(1,0)]} : f64[49,520]
         %3 = tanh %2 : f64[49,520]
         output \"y\" = %3",
    );
}

#[test]
fn long_reductions_are_cut_into_even_blocks() {
    dot("without_place", ("9,1111", "72,1111", "(1,1)"), (9, 72));
    dot("strided", ("389,9", "389,72", "(0,0)"), (9, 72));
    check(
        "in_place",
        "%0 = input {name=\"a\"} : f64[50,601]
         %1 = input {name=\"b\"} : f64[601,72]
         %2 = dot %0, %1 {batch=[], contract=[(1,0)]} : f64[50,72]
         output \"y\" = %2",
    );
}

#[test]
fn a_row_of_a_transposed_product_is_a_row_of_sums() {
    dot("row", ("1,65", "33,65", "(1,1)"), (1, 33));
}

#[test]
fn sums_of_one_term_are_products() {
    dot("outer", ("33,1", "1,65", "(1,0)"), (33, 65));
    dot("outer_of_columns", ("1,33", "65,1", "(0,1)"), (33, 65));
    check(
        "batch_behind_the_rows",
        "%0 = input {name=\"a\"} : f64[5,1,3]
         %1 = input {name=\"b\"} : f64[1,3,7,2]
         %2 = dot %0, %1 {batch=[(2,1)], contract=[(1,0)]} : f64[3,5,7,2]
         output \"y\" = %2",
    );
    check(
        "no_axis",
        "%0 = input {name=\"a\"} : i32[1]
         %1 = input {name=\"b\"} : i32[1]
         %2 = dot %0, %1 {batch=[], contract=[(0,0)]} : i32[]
         output \"y\" = %2",
    );
}

#[test]
fn short_reductions_go_along_the_rows() {
    dot("even", ("96,5", "5,520", "(1,0)"), (96, 520));
    dot("uneven", ("131,3", "3,517", "(1,0)"), (131, 517));
    dot("transposed", ("3,131", "517,3", "(0,1)"), (131, 517));
    check(
        "batched",
        "%0 = input {name=\"a\"} : f64[2,66,4]
         %1 = input {name=\"b\"} : f64[2,4,512]
         %2 = dot %0, %1 {batch=[(0,0)], contract=[(2,1)]} : f64[2,66,512]
         %3 = exp %2 : f64[2,66,512]
         output \"y\" = %3",
    );
}

#[test]
fn few_rows_stream_the_right_factor() {
    dot("one_row", ("1,67", "67,520", "(1,0)"), (1, 520));
    dot("rows", ("5,259", "259,300", "(1,0)"), (5, 300));
}

#[test]
fn columns_of_a_left_factor_that_collide_are_packed() {
    dot("blocks", ("40,256", "40,203", "(0,0)"), (256, 203));
    dot("prime_steps", ("43,256", "203,43", "(0,1)"), (256, 203));
    dot("cut", ("521,256", "521,195", "(0,0)"), (256, 195));
}

#[test]
fn columns_a_page_apart_are_packed_for_few_columns_and_rows_of_several_dimensions() {
    // As gradients of keys and values in blocks are: the axes of the rows can't be merged, as the bias looks at them.
    let body = "%0 = input {name=\"a\"} : f64[27,4,128]
         %1 = input {name=\"b\"} : f64[27,35]
         %2 = dot %0, %1 {batch=[], contract=[(0,0)]} : f64[4,128,35]
         %3 = input {name=\"bias\"} : f64[4,35]
         %4 = broadcast %3 {axes=[0,2]} : f64[4,128,35]
         %5 = add %2, %4 : f64[4,128,35]
         output \"y\" = %5";
    check("rows_of_two", body);
    for target in [Target::avx2(), Target::avx512()] {
        let graph = Graph::parse(&format!("graph \"rows_of_two\" {{\n{body}\n}}")).unwrap_or_else(|e| panic!("{e}"));
        let options = RunOptions { stop: Stop::AfterPass("lower".into()), ..RunOptions::default() };
        let module = passes::compile(graph, &PassContext::new(target), &options).unwrap().module;
        assert!(module.program().unwrap().kernels.iter().any(|kernel| kernel.name.starts_with("pack")));
        let is_read_across = |text: &str| text.contains("reduce=[(27, 512,");
        assert!(!is_read_across(&module.program().unwrap().to_string()));
    }
}

#[test]
fn batches_share_panels() {
    check(
        "batched",
        "%0 = input {name=\"a\"} : f64[9,20,17]
         %1 = input {name=\"b\"} : f64[9,18,17]
         %2 = dot %0, %1 {batch=[(0,0)], contract=[(2,2)]} : f64[9,20,18]
         output \"y\" = %2",
    );
}

/// A convolution with a rectifier: its operand's shape, the kernel's, the result's, and the window.
fn conv(name: &str, [x, w, y]: [&str; 3], window: &str) {
    check(
        name,
        &format!(
            "%0 = input {{name=\"x\"}} : f64[{x}]
             %1 = input {{name=\"w\"}} : f64[{w}]
             %2 = conv %0, %1 {{{window}}} : f64[{y}]
             %3 = relu %2 : f64[{y}]
             output \"y\" = %3"
        ),
    );
}

#[test]
fn gradients_of_kernels_are_summed_in_chunks() {
    let gradient = |name: &str, [x, dy, w]: [&str; 3], window: &str| {
        check(
            name,
            &format!(
                "%0 = input {{name=\"x\"}} : f64[{x}]
                 %1 = input {{name=\"dy\"}} : f64[{dy}]
                 %2 = conv_weight_grad %0, %1 {{{window}}} : f64[{w}]
                 %3 = state {{name=\"w\"}} : f64[{w}]
                 %4 = sub %3, %2 : f64[{w}]
                 update \"w\" = %4
                 output \"dw\" = %2"
            ),
        );
    };
    let window = "size=[3,2], stride=[2,1], pad=[(1,1),(0,1)], dilation=[1,1], groups=1";
    gradient("in_chunks", ["8,17,16,2", "8,9,16,3", "3,2,2,3"], window);
    // One pixel and one channel: the reduction is one dimension, the rows are none.
    let window = "size=[1,1], stride=[1,1], pad=[(0,0),(0,0)], dilation=[1,1], groups=1";
    gradient("of_a_pixel", ["8,16,17,1", "8,16,17,9", "1,1,1,9"], window);
}

#[test]
fn padded_convolutions_fall_into_regions() {
    let window = "size=[3,3], stride=[1,1], pad=[(1,1),(1,1)], dilation=[1,1], groups=1";
    conv("same", ["8,9,8,3", "3,3,3,5", "8,9,8,5"], window);
    let window = "size=[3,2], stride=[2,1], pad=[(0,1),(1,0)], dilation=[1,2], groups=1";
    conv("uneven", ["8,14,11,2", "3,2,2,4", "8,7,10,4"], window);
    let window = "size=[4,3], stride=[1,1], pad=[(3,2),(1,1)], dilation=[1,1], groups=2";
    conv("groups", ["8,10,8,4", "4,3,2,6", "8,12,8,6"], window);
    let window = "size=[3], stride=[1], pad=[(2,2)], dilation=[1], groups=1";
    conv("one_axis", ["8,10,4", "3,4,6", "8,12,6"], window);
}

/// Planes that have the same taps are kernels of their own.
#[test]
fn padded_convolutions_of_volumes_fall_into_regions() {
    let window = "size=[3,3,3], stride=[1,1,1], pad=[(1,1),(1,1),(1,1)], dilation=[1,1,1], groups=1";
    conv("same", ["2,8,9,8,3", "3,3,3,3,5", "2,8,9,8,5"], window);
    let window = "size=[3,2,3], stride=[1,2,1], pad=[(1,0),(0,1),(2,2)], dilation=[1,1,1], groups=2";
    conv("uneven", ["3,10,13,8,4", "3,2,3,2,6", "3,9,7,10,6"], window);
    let window = "size=[2,3,3], stride=[1,1,1], pad=[(0,0),(1,1),(1,1)], dilation=[2,1,1], groups=1";
    conv("planes_inside", ["2,9,8,8,3", "2,3,3,3,17", "2,7,8,8,17"], window);
    check(
        "with_what_follows",
        "%0 = input {name=\"x\"} : f64[2,8,9,8,3]
         %1 = input {name=\"w\"} : f64[3,3,3,3,5]
         %2 = input {name=\"b\"} : f64[8,5]
         %3 = input {name=\"z\"} : f64[2,8,9,8,5]
         %4 = conv %0, %1 {size=[3,3,3], stride=[1,1,1], pad=[(1,1),(1,1),(1,1)], dilation=[1,1,1], groups=1} : f64[2,8,9,8,5]
         %5 = broadcast %2 {axes=[1,4]} : f64[2,8,9,8,5]
         %6 = add %4, %5 : f64[2,8,9,8,5]
         %7 = mul %6, %3 : f64[2,8,9,8,5]
         output \"y\" = %4
         output \"of_all\" = %7",
    );
    let window = "size=[3,3,3], stride=[1,1,1], pad=[(1,1),(1,1),(1,1)], dilation=[1,1,1], groups=1";
    for (planes, pads) in [(8, false), (6, true)] {
        let text = format!(
            "graph \"volumes\" {{
             %0 = input {{name=\"x\"}} : f32[2,{planes},9,8,8]
             %1 = input {{name=\"w\"}} : f32[3,3,3,8,16]
             %2 = conv %0, %1 {{{window}}} : f32[2,{planes},9,8,16]
             output \"y\" = %2
             }}"
        );
        assert_eq!(runs_before(&text, "pad_"), pads, "{planes} planes");
    }
}

/// Regions are of three axes at the most: of four, the second would be left out.
#[test]
fn padded_convolutions_of_four_axes_were_cut_as_volumes() {
    let window = "size=[3,3,3,3], stride=[1,1,1,1], pad=[(1,1),(1,1),(1,1),(1,1)], dilation=[1,1,1,1], groups=1";
    conv("four_axes", ["2,8,8,8,8,2", "3,3,3,3,2,3", "2,8,8,8,8,3"], window);
}

#[test]
fn input_gradients_fall_into_regions() {
    for (name, y, window) in [
        ("valid", "8,8,7", "size=[3,3], stride=[1,1], pad=[(0,0),(0,0)], dilation=[1,1], groups=1"),
        ("strided", "8,4,4", "size=[3,3], stride=[2,2], pad=[(0,0),(0,1)], dilation=[1,1], groups=1"),
    ] {
        let x = if name == "valid" { "8,10,9,3" } else { "8,9,8,3" };
        check(
            name,
            &format!(
                "%0 = input {{name=\"dy\"}} : f64[{y},5]
                 %1 = input {{name=\"w\"}} : f64[3,3,3,5]
                 %2 = conv_input_grad %0, %1 {{{window}}} : f64[{x}]
                 output \"dx\" = %2"
            ),
        );
    }
}

/// A padded copy of the image was made first, as large as four results where the stride is 2.
#[test]
fn kernels_of_one_channel_each_had_a_padded_copy_of_strided_images() {
    let window = |size: [usize; 2], stride: usize, pad: &str, groups: usize| {
        format!("size={size:?}, stride=[{stride},{stride}], pad=[{pad}], dilation=[1,1], groups={groups}")
    };
    // Middles of lines of 13 and 6 places, which are computed in two runs and in one.
    conv("strided", ["9,13,27,19", "3,3,1,19", "9,7,14,19"], &window([3, 3], 2, "(1,1),(1,1)", 19));
    conv("uneven", ["8,14,26,5", "3,4,1,5", "8,7,13,5"], &window([3, 4], 2, "(0,1),(1,2)", 5));
    conv("wide", ["8,12,13,16", "5,5,1,16", "8,12,13,16"], &window([5, 5], 1, "(2,2),(2,2)", 16));
    conv("few_images", ["2,12,13,16", "5,5,1,16", "2,12,13,16"], &window([5, 5], 1, "(2,2),(2,2)", 16));
    for (images, pads) in [(8, false), (2, true)] {
        let text = format!(
            "graph \"strided\" {{
             %0 = input {{name=\"x\"}} : f32[{images},28,28,32]
             %1 = input {{name=\"w\"}} : f32[3,3,1,32]
             %2 = conv %0, %1 {{{}}} : f32[{images},14,14,32]
             output \"y\" = %2
             }}",
            window([3, 3], 2, "(1,1),(1,1)", 32)
        );
        assert_eq!(runs_before(&text, "pad_"), pads, "{images} images");
    }
}
