//! A graph as SVG: where the page draws it, without a browser or a program that lays out graphs.

use super::layout::{GraphLayout, Rectangle};
use crate::document::GraphDocument;
use ir::Graph;
use std::fmt::Write;

/// Around the graph.
const MARGIN: f64 = 8.0;

/// The graph, which must be valid, as SVG: a box for each node with its number, op and type, in the colour of its family; around those of a cluster a box with a broken line, around a section of the
/// step another one. Below a node stands which output it is, or which state's next value.
pub fn to_svg(graph: &Graph) -> String {
    let document = GraphDocument::of(graph);
    let layout = GraphLayout::of(&document);
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"-{MARGIN} -{MARGIN} {width:.0} {height:.0}\" font-family=\"monospace\" font-size=\"10\">\n"
    );
    rectangle(&mut svg, Rectangle(-MARGIN, -MARGIN, width, height), "fill=\"white\"");
    for section in &layout.sections {
        rectangle(&mut svg, section.at, "rx=\"6\" fill=\"none\" stroke=\"#bbbbbb\"");
        text(&mut svg, (section.at.0 + 10.0, section.at.1 + 18.0), "font-size=\"12\" fill=\"#555555\"", &section.name);
    }
    for cluster in &layout.clusters {
        rectangle(&mut svg, cluster.at, "rx=\"4\" fill=\"none\" stroke=\"#888888\" stroke-dasharray=\"4 3\"");
        let name = format!("@{}", cluster.cluster);
        text(&mut svg, (cluster.at.0 + 6.0, cluster.at.1 + 11.0), "fill=\"#555555\"", &name);
    }
    for node in &document.nodes {
        for (at, operand) in node.operands.iter().enumerate() {
            if !node.operands[..at].contains(operand) {
                edge(&mut svg, layout.nodes[*operand], layout.nodes[node.id]);
            }
        }
    }
    let families = graph.schedule_order().into_iter().map(|id| graph.op(id).family());
    for ((node, at), family) in document.nodes.iter().zip(&layout.nodes).zip(families) {
        rectangle(&mut svg, *at, &format!("rx=\"4\" fill=\"{}\" stroke=\"#333333\"", ir::dot::colour(family)));
        text(&mut svg, (at.0 + 8.0, at.1 + 13.0), "", &node.title());
        text(&mut svg, (at.0 + 8.0, at.1 + 25.0), "fill=\"#555555\"", &node.ty.text());
    }
    for (kind, results) in [("output", &document.outputs), ("next", &document.updates)] {
        for result in results {
            let at = layout.nodes[result.node];
            let place = (at.0 + 8.0, at.1 + at.3 + 10.0);
            text(&mut svg, place, "font-weight=\"bold\"", &format!("{kind} {}", result.name));
        }
    }
    svg + "</svg>\n"
}

fn rectangle(svg: &mut String, Rectangle(x, y, width, height): Rectangle, style: &str) {
    let _ = writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {style}/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let space = if style.is_empty() { "" } else { " " };
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{style}>{text}</text>");
}

/// A line from the bottom of one box to the top of another.
fn edge(svg: &mut String, from: Rectangle, to: Rectangle) {
    let (x, y) = (from.0 + from.2 / 2.0, from.1 + from.3);
    let (x2, y2) = (to.0 + to.2 / 2.0, to.1);
    let bend = ((y2 - y).abs() / 2.0).clamp(12.0, 80.0);
    let (down, up) = (y + bend, y2 - bend);
    let _ = writeln!(
        svg,
        "<path d=\"M{x:.1},{y:.1} C{x:.1},{down:.1} {x2:.1},{up:.1} {x2:.1},{y2:.1}\" fill=\"none\" stroke=\"#999999\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_and_result_is_in_the_picture() {
        let text = r#"graph "g" {
  %0 = input {name="a<b"} : f32[2,3]
  %1 = exp %0 : f32[2,3] @0
  %2 = add %1, %1 : f32[2,3] @0
  output "y" = %2
}"#;
        let svg = to_svg(&Graph::parse(text).unwrap());
        for part in [">%0 input a&lt;b<", ">%1 exp<", ">%2 add<", ">f32[2,3]<", ">output y<", ">@0<"] {
            assert!(svg.contains(part), "{part} isn't in {svg}");
        }
        assert_eq!(svg.matches("<path").count(), 2, "one line for an operand that stands twice: {svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
