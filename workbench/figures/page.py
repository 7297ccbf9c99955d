"""The style sheet and the script of a report's page."""

STYLE = """
:root { --paper: #ffffff; --ink: #1f2933; --muted: #5b6672; --rule: #d9dee4; --box: #f5f7f9;
  --accent: #14669c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #d9dfe6; --muted: #9aa5b1;
  --rule: #353d46; --box: #1d232a; --accent: #6db8ea; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
html { overflow-y: scroll; }  /* else figures drawn before it shows are too wide */
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 1rem/1.55 Inter, "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 2.6rem 0 .8rem; padding-top: .9rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
p { margin: 0 0 .9rem; max-width: 44rem; white-space: pre-line; overflow-wrap: anywhere; }
.subtitle { color: var(--muted); font-size: 1.05rem; }
.lead { font-size: 1.08rem; }
a { color: var(--accent); }
nav { margin: 1.2rem 0 1.6rem; }
nav ol { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: .3rem 1.3rem; counter-reset: section; }
nav li { counter-increment: section; }
nav li::before { content: counter(section) "\\2002"; color: var(--muted); }
figure { margin: 1.6rem 0 2rem; }
.drawing { width: 100%; overflow-x: auto; overflow-y: hidden; }
@media (hover: none), (max-width: 40rem) { .modebar-container { display: none !important; } }
figcaption, caption { color: var(--ink); font-size: .9rem; text-align: left; max-width: 48rem;
  overflow-wrap: anywhere; }
figcaption { margin-top: .3rem; }
caption { padding: 0 0 .5rem; caption-side: top; max-width: min(48rem, 100cqw); }
.sample { color: var(--muted); }
.scroll { container-type: inline-size; overflow-x: auto; margin: 1.4rem 0 2rem; }
table { border-collapse: collapse; font-size: .88rem; line-height: 1.45; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--rule); }
th { color: var(--muted); font-weight: 600; white-space: nowrap; }
.plain td { overflow-wrap: break-word; min-width: 4rem; max-width: 28rem; }
.plain td:first-child { min-width: 9rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.side-by-side { width: 100%; table-layout: fixed; }
.side-by-side th { white-space: normal; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; }
.mark { display: inline-block; font-size: .75rem; line-height: 1.3; padding: .05rem .45rem;
  margin-bottom: .25rem; border: 1px solid var(--accent); border-radius: .7rem;
  color: var(--accent); }
details { margin: .8rem 0; border: 1px solid var(--rule); border-radius: .35rem;
  background: var(--box); }
summary { cursor: pointer; padding: .5rem .8rem; }
pre { margin: 0; padding: .2rem .8rem .8rem; font: .8rem/1.5 ui-monospace, Menlo, Consolas,
  monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  main { padding: 1.2rem .9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .side-by-side, .side-by-side tbody, .side-by-side tr, .side-by-side td,
  .side-by-side caption { display: block; }
  .side-by-side thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px;
    overflow: hidden; }
  .side-by-side tr { border-bottom: 2px solid var(--rule); padding: .5rem 0; }
  .side-by-side td { border: 0; padding: .25rem 0; }
  .side-by-side td::before { content: attr(data-heading); display: block; font-size: .78rem;
    font-weight: 600; color: var(--muted); }
}
@media print {
  :root { --paper: #ffffff; --ink: #1f2933; --muted: #5b6672; --rule: #d9dee4; --box: #f5f7f9;
    --accent: #14669c; color-scheme: light; }
  main { max-width: none; padding: 0; }
  figure, tr, details { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""

# Figures arrive in the light template. On a dark page, and back again for paper, only the
# template changes: all that depends on the background comes from it.
SCRIPT = """
(function () {
  var templates = TEMPLATES;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function each(change) {
    document.querySelectorAll(".drawing .plotly-graph-div").forEach(function (figure) {
      window.Plotly.relayout(figure, change);
    });
  }
  // A figure keeps room for its legend at half width; here it gets just what the legend takes.
  function fit() {
    document.querySelectorAll(".drawing .plotly-graph-div").forEach(function (figure) {
      var legend = figure.querySelector(".legend .bg");
      if (!legend) { return; }
      var margin = figure.layout.margin.t;
      var raised = (figure._fullLayout.legend.y - 1) * figure._fullLayout._size.h;  // over titles
      var more = Math.ceil(legend.getBoundingClientRect().height + raised) + 12 - margin;
      if (Math.abs(more) <= 2) { return; }
      var height = figure.layout.height + more;
      figure.parentNode.style.height = height + "px";  // plotly fixed it on the box around
      window.Plotly.relayout(figure, { "margin.t": margin + more, height: height });
    });
  }
  var soon;
  window.addEventListener("resize", function () {
    window.clearTimeout(soon);
    soon = window.setTimeout(fit, 250);
  });
  function paint() { each({ template: templates[dark.matches ? "dark" : "light"] }); }
  if (dark.matches) { paint(); }
  fit();
  dark.addEventListener("change", paint);
  window.addEventListener("beforeprint", function () {
    each({ template: templates.light, autosize: false, width: 660 });
  });
  window.addEventListener("afterprint", function () {
    each({ template: templates[dark.matches ? "dark" : "light"], width: null, autosize: true });
  });
})();
"""
