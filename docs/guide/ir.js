// The colours of graphs as text, a language that the book's highlighter doesn't know.
"use strict";
if (typeof hljs !== "undefined") {
  hljs.registerLanguage("ir", () => ({
    keywords: { keyword: "graph output update body", literal: "true false inf nan" },
    contains: [
      { className: "comment", begin: ";", end: "$" },
      { className: "string", begin: '"', end: '"' },
      { className: "symbol", begin: /%\d+/ },
      { className: "meta", begin: /@\d+/ },
      { className: "type", begin: /\b(bool|[iu](8|16|32|64)|b?f16|f32|f64)\b/ },
      { className: "number", begin: /-?\b\d+(\.\d+)?(e[+-]?\d+)?\b/ },
      { className: "built_in", begin: /(?<==\s)[a-z_0-9]+/ },
    ],
  }));
  document.querySelectorAll("code.language-ir").forEach((block) => hljs.highlightBlock(block));
}
