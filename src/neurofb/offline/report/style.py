"""How the page looks: on a screen, light or dark, and on paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --font: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  --paper: #fdfdfb; --card: #f4f4f0; --ink: #23272e; --soft: #646b76; --line: #d3d5d4; --accent: #2f6f73;
  --bad: #b3402e; --bad-card: #fbeeeb; --good-card: #edf5ef;
  --rest-baseline: #4f7fb5; --iaf-baseline: #7a6fb3; --training: #3c8f6d; --heat: #cc5f43; --transfer: #a0619b;
  --calibration: #b58a2f; --instruction: #8b9199; --pause: #a9aeb3; --rating: #8b9199; --recording: #8b9199;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16191d; --card: #1f2429; --ink: #e4e6e8; --soft: #9aa2ac; --line: #3a4149; --accent: #6fb3b2;
    --bad: #e58573; --bad-card: #35211d; --good-card: #1c2b23;
    --rest-baseline: #6f9fd8; --iaf-baseline: #9d92d8; --training: #57b38c; --heat: #e07f62; --transfer: #c285bd;
    --calibration: #d3a94e; --instruction: #777f89; --pause: #5d646c; --rating: #777f89; --recording: #777f89;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 var(--font);
}
main { max-width: 1060px; margin: 0 auto; padding: 28px 28px 80px; }
.notice {
  font-size: 12.5px; letter-spacing: .01em; color: var(--soft); border-bottom: 1px solid var(--line);
  padding: 0 0 12px; margin: 0 0 30px; max-width: none;
}
h1 { font-size: 27px; line-height: 1.25; font-weight: 620; letter-spacing: -.01em; margin: 0 0 4px; }
h2 {
  font-size: 18px; font-weight: 620; margin: 54px 0 6px; padding-top: 14px; border-top: 1px solid var(--line);
  letter-spacing: -.005em;
}
h3 { font-size: 14.5px; font-weight: 620; margin: 26px 0 6px; }
p { margin: 6px 0 10px; max-width: 78ch; }
.lead { max-width: none; }
.lead, .caption, .note { color: var(--soft); }
.caption, .note { font-size: 13px; }
.code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.state { display: inline-block; padding: 2px 10px; border-radius: 20px; font-size: 12.5px; font-weight: 600;
  background: var(--good-card); color: var(--training); vertical-align: 3px; margin-left: 8px; white-space: nowrap; }
.state.bad { background: var(--bad-card); color: var(--bad); }
.problems { background: var(--bad-card); border-left: 3px solid var(--bad); padding: 10px 16px; margin: 16px 0;
  border-radius: 0 6px 6px 0; }
.problems ul { margin: 4px 0; padding-left: 18px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)); gap: 8px; margin: 22px 0 8px; }
.figures div { background: var(--card); border-radius: 8px; padding: 11px 12px 10px; }
.figures b { display: block; font-size: 19px; font-weight: 600; letter-spacing: -.01em; line-height: 1.2;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures span { font-size: 11.5px; color: var(--soft); line-height: 1.3; display: block; margin-top: 3px; }
nav { font-size: 13px; margin: 18px 0 0; display: flex; flex-wrap: wrap; gap: 4px 16px; }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
figure { margin: 14px 0 18px; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-family: var(--font) !important; }
figcaption { color: var(--soft); font-size: 13px; margin-top: 4px; max-width: 92ch; }
.table { overflow-x: auto; margin: 10px 0 16px; }
table { border-collapse: collapse; font-size: 13px; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12px; border-bottom: 1px solid var(--line);
  padding: 5px 12px 5px 0; vertical-align: bottom; }
td { padding: 5px 12px 5px 0; border-bottom: 1px solid color-mix(in srgb, var(--line) 45%, transparent);
  vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.wide { overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
.missing { color: var(--bad); font-style: italic; }
.bar { display: inline-block; width: 120px; height: 8px; border-radius: 4px; background: var(--line); overflow: hidden;
  vertical-align: 1px; }
.bar i { display: block; height: 100%; background: var(--heat); }
.bar.good i { background: var(--training); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 0 34px; }
.two > * { min-width: 0; }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--accent); font-size: 13.5px; padding: 3px 0; }
pre { background: var(--card); border-radius: 8px; padding: 14px 16px; overflow-x: auto; white-space: pre-wrap;
  font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.check { display: grid; grid-template-columns: 44px 82px 1fr; gap: 2px 10px; padding: 10px 0;
  border-bottom: 1px solid color-mix(in srgb, var(--line) 45%, transparent); font-size: 13.5px; break-inside: avoid; }
.check .id { font-weight: 620; }
.check ul { margin: 4px 0 2px; padding-left: 17px; font-size: 12.5px; color: var(--soft); overflow-wrap: anywhere; }
.check .todo { font-size: 12.5px; margin-top: 3px; }
.check .todo::before { content: "author: "; color: var(--calibration); font-weight: 600; }
.tag { font-size: 11.5px; font-weight: 600; }
.tag.filled { color: var(--training); } .tag.partly { color: var(--calibration); } .tag.author { color: var(--soft); }
.tag::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 6px;
  border: 1.5px solid currentColor; }
.tag.filled::before { background: currentColor; }
.tag.partly::before { background: linear-gradient(90deg, currentColor 50%, transparent 50%); }
footer { margin-top: 60px; padding-top: 14px; border-top: 1px solid var(--line); font-size: 12.5px;
  color: var(--soft); }
@media print {
  :root { color-scheme: light;
    --paper: #fff; --card: #f4f4f1; --ink: #1d2127; --soft: #555c66; --line: #cdd0d0; --accent: #2f6f73;
    --bad: #a33726; --bad-card: #fbeeeb; --good-card: #edf5ef;
    --rest-baseline: #4f7fb5; --iaf-baseline: #7a6fb3; --training: #3c8f6d; --heat: #cc5f43; --transfer: #a0619b;
    --calibration: #b58a2f; --instruction: #8b9199; --pause: #a9aeb3; --rating: #8b9199; --recording: #8b9199; }
  body { font-size: 12px; } main { max-width: none; padding: 0; } nav { display: none; }
  h2 { margin-top: 26px; break-after: avoid; } h3 { break-after: avoid; }
  figure, .figures, tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
