"""The style sheet of a report, light or dark as the reader prefers."""

STYLE = """
:root { --paper: #fbfbfa; --card: #fff; --ink: #1d2433; --muted: #5d6779; --line: #e2e5ea; --accent: #2456a6;
  --track: #e6e9ef; --warn: #fff5e6; --warn-line: #e39a3b; --warn-ink: #6b4206 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --card: #1c2028; --ink: #e6e9ef; --muted: #9aa4b5;
  --line: #2e3440; --accent: #7fa8ee; --track: #2b313c; --warn: #2d2415; --warn-line: #c5862f; --warn-ink: #f1d7ad } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .5rem }
h2 { font-size: 1.25rem; letter-spacing: -.01em; margin: 3rem 0 .25rem }
h3 { font-size: .8125rem; font-weight: 600; color: var(--muted); margin: 1.5rem 0 .4rem }
p { margin: 0; max-width: 48rem; text-wrap: pretty }
section > p { color: var(--muted) }
.lead { font-size: 1.0625rem; color: var(--muted) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .875rem;
  margin: 2rem 0 1rem }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.125rem }
.tile h3 { margin: 0 }
.value { font-size: 1.75rem; line-height: 1.3; letter-spacing: -.02em; font-weight: 650; white-space: nowrap;
  font-variant-numeric: tabular-nums }
.value small { font-size: .9375rem; font-weight: 500; letter-spacing: 0; color: var(--muted) }
.context, .note { font-size: .8125rem; line-height: 1.45; color: var(--muted) }
.meter { height: 4px; border-radius: 2px; background: var(--track); margin: .375rem 0 .5rem; overflow: hidden }
.meter i { display: block; height: 100%; background: var(--accent) }
.warning { max-width: none; margin: .625rem 0; padding: .625rem 1rem; border-left: 3px solid var(--warn-line);
  border-radius: 4px; background: var(--warn); color: var(--warn-ink) }
.warning b { margin-right: .375rem }
figure { margin: .875rem 0 0; padding: 1.125rem; background: #fff; border: 1px solid var(--line); border-radius: 10px }
figure img { display: block; width: 100%; height: auto }
@media (prefers-color-scheme: dark) { figure { background: #fff; border-color: transparent; filter: brightness(.93) } }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); column-gap: 3rem }
.results table { width: 100% }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums }
th, td { padding: .375rem 0 .375rem 1.5rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400 }
th:first-child { text-align: left; padding-left: 0 }
.environment td { text-align: left; overflow-wrap: anywhere }
thead th { color: var(--muted); font-size: .8125rem }
.note { margin-top: .5rem }
details > summary { cursor: pointer; color: var(--accent) }
.tree { list-style: none; margin: .25rem 0; padding-left: 1.125rem; font-size: .875rem }
.tree span { color: var(--muted) }
.tree summary { color: var(--ink); font-weight: 600 }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere }
"""
