"""The report's style sheet and its few lines of script."""

from typing import Final

STYLE: Final = """
:root {
  --ink:#1d2733; --soft:#5b6575; --paper:#f5f6f8; --card:#fff; --line:#e3e7ec; --good:#13744d; --bad:#b8324a;
  --refused:#9aa7b8; --waiting:#dd9a32; --acted:#1a9c6b; --checked:#cf7a86; --track:#eef1f4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink:#e8ecf1; --soft:#9aa5b4; --paper:#12161c; --card:#1a2029; --line:#2b333e; --good:#4cc38a;
    --bad:#ef6f82; --refused:#66758a; --track:#242c37;
  }
}
* { box-sizing:border-box; }
body {
  margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
}
main { max-width:1120px; margin:0 auto; padding:32px 18px 60px; }
h1 { font-size:28px; line-height:1.2; margin:0 0 4px; letter-spacing:-.015em; }
h2 { font-size:19px; margin:40px 0 10px; letter-spacing:-.01em; }
.sub { color:var(--soft); margin:0 0 14px; }
.chips span {
  display:inline-block; padding:3px 12px; border-radius:99px; border:1px solid var(--line);
  background:var(--card); margin:0 6px 6px 0; font-size:13px;
}
.chips .good, .chips .bad { border-color:currentColor; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(140px,1fr)); gap:10px; margin:14px 0; }
.card, .panel { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 16px; }
.card b { display:block; font-size:22px; line-height:1.3; font-variant-numeric:tabular-nums; }
.card small { color:var(--soft); }
.panel { margin:0 0 14px; }
.panel h3 { margin:0 0 6px; font-size:15px; }
.scroll { overflow-x:auto; }
.note { color:var(--soft); font-size:13px; margin:0 0 10px; max-width:78ch; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th,td { text-align:right; padding:6px 10px; border-bottom:1px solid var(--line); white-space:nowrap; }
th:first-child,td:first-child { text-align:left; padding-left:0; }
th:last-child,td:last-child { padding-right:0; }
th { color:var(--soft); font-weight:600; font-size:13px; }
tr:last-child td { border-bottom:0; }
.good { color:var(--good); }
.bad { color:var(--bad); }
.panel h4 { margin:14px 0 4px; font-size:12px; font-weight:600; color:var(--soft);
  text-transform:uppercase; letter-spacing:.05em; }
.step { display:grid; grid-template-columns:minmax(280px,1fr) minmax(120px,1.1fr) 64px; gap:2px 16px;
  align-items:center; padding:6px 0; border-top:1px solid var(--line); }
.step b { font-weight:600; }
.step small { display:block; color:var(--soft); line-height:1.35; }
.step .count { text-align:right; font-variant-numeric:tabular-nums; font-weight:600; }
.track { background:var(--track); border-radius:4px; height:12px; overflow:hidden; }
.track i { display:block; height:100%; border-radius:4px; background:var(--refused); }
.track i.waiting { background:var(--waiting); }
.track i.acted { background:var(--acted); }
.track i.checked { background:var(--checked); }
.key { font-size:13px; color:var(--soft); margin:0 0 10px; }
.key i { display:inline-block; width:10px; height:10px; border-radius:3px; margin:0 5px 0 14px; }
.key i:first-child { margin-left:0; }
.state { font-size:13px; padding:1px 9px; border-radius:99px; border:1px solid var(--line); }
.state.good, .state.bad { border-color:currentColor; }
footer { color:var(--soft); font-size:13px; margin-top:40px; }
@media (max-width:640px) {
  main { padding:20px 12px 40px; }
  h1 { font-size:23px; }
  .card, .panel { padding:10px 12px; }
  .cards { grid-template-columns:repeat(2,1fr); }
  .card b { font-size:19px; }
  .step { grid-template-columns:1fr 56px; }
  .step .track { grid-row:2; grid-column:1 / 3; }
}
"""

SCRIPT: Final = """
const dark = matchMedia('(prefers-color-scheme: dark)'), narrow = matchMedia('(max-width: 640px)');
function fit() {
  document.querySelectorAll('.plotly-graph-div').forEach(d => Plotly.relayout(d, {
    'font.color': dark.matches ? '#9aa5b4' : '#5b6575',
    'font.size': narrow.matches ? 11 : 13,
    'xaxis.nticks': narrow.matches ? 4 : 7,
    dragmode: narrow.matches ? false : 'zoom',
  }));
}
fit();
dark.addEventListener('change', fit);
narrow.addEventListener('change', fit);
"""
