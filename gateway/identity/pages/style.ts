/** The one style sheet. Its hash is in each page's policy, so no other style has an effect: no `style` attributes. */
import { html } from './html.ts';

export const STYLE = html`
:root {
  color-scheme: light dark;
  --ink: #16181d; --soft: #575d68; --line: #dcdfe5; --edge: #858c99; --page: #f5f6f8; --card: #fff; --field: #f5f6f8;
  --accent: #2450c4; --accent-hover: #1b3f9f; --on-accent: #fff;
  --good: #11633a; --good-back: #e4f4ea; --warn: #6b4600; --warn-back: #fff3d6; --bad: #a01c1c; --bad-back: #fdeaea;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #eceef2; --soft: #a4abb8; --line: #2e323a; --edge: #6f7683; --page: #0f1115; --card: #171a1f; --field: #0f1115;
    --accent: #8fb0ff; --accent-hover: #b0c7ff; --on-accent: #0c1430;
    --good: #86d9a8; --good-back: #12301f; --warn: #f2cf85; --warn-back: #35290f; --bad: #ffaaa6; --bad-back: #3d1a1b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; min-height: 100vh; min-height: 100dvh; padding: 20px 16px 48px; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Open Sans", sans-serif; overflow-wrap: anywhere; }
h1, h2, h3, p, dl, dd, ul, ol, form, pre { margin: 0; padding: 0; }
h1 { font-size: 23px; line-height: 1.25; font-weight: 650; letter-spacing: -0.015em; text-wrap: balance; }
h2 { font-size: 18px; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; }
h3 { font-size: 14px; font-weight: 600; color: var(--soft); }
a { color: var(--accent); text-underline-offset: 0.2em; }
.soft { color: var(--soft); }
.small { font-size: 14px; }
.mono, code { font-family: var(--mono); font-size: 0.875em; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.top { display: flex; align-items: center; justify-content: space-between; gap: 8px 24px; flex-wrap: wrap; margin: 0 auto 20px; }
.brand { display: flex; align-items: center; gap: 9px; font-weight: 650; letter-spacing: -0.01em; }
.mark { fill: var(--accent); }
.quote { fill: var(--on-accent); }
.narrow .top, .narrow main { width: 100%; max-width: 480px; margin-inline: auto; }
.wide .top, .wide main { width: 100%; max-width: 880px; margin-inline: auto; }
.card { padding: 28px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
.stack { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }
.stack.near { gap: 6px; }
.stack.far { gap: 24px; }
@media (min-height: 640px) and (min-width: 560px) { .narrow { padding-top: 9vh; } }
@media (max-width: 559px) { .card { padding: 20px; } }

.facts { display: grid; grid-template-columns: minmax(0, 1fr); border-block: 1px solid var(--line); }
.facts > div { display: grid; grid-template-columns: 104px minmax(0, 1fr); gap: 0 16px; padding: 11px 0; }
.facts > div + div { border-top: 1px solid var(--line); }
.facts dt { color: var(--soft); font-size: 14px; line-height: 24px; }
.facts dd { line-height: 24px; }
.facts dd.mono { font-size: 13px; }
.facts dd p { line-height: 21px; color: var(--soft); font-size: 14px; }
.facts strong { font-weight: 600; }
@media (max-width: 440px) { .facts > div { grid-template-columns: minmax(0, 1fr); } }

.note { padding: 12px 14px; border-radius: 10px; font-size: 14px; background: var(--field); }
.note.warn { background: var(--warn-back); color: var(--warn); }
.note.bad { background: var(--bad-back); color: var(--bad); }
.note.good { background: var(--good-back); color: var(--good); }
.note .soft { color: inherit; }
.note .was { color: var(--bad); }
/* Marks stacked on a letter stay in the row of the text that they are in, and cover nothing else. */
h1, h2, .facts > div, .note, .rows li > div, summary { overflow: clip; overflow-clip-margin: 2px; }
.pill { display: inline-block; white-space: nowrap; padding: 1px 9px; border-radius: 99px; font-size: 13px; line-height: 20px; background: var(--field); color: var(--soft); border: 1px solid var(--line); }
.pill.good { background: var(--good-back); color: var(--good); border-color: transparent; }
.pill.bad { background: var(--bad-back); color: var(--bad); border-color: transparent; }
.pill.warn { background: var(--warn-back); color: var(--warn); border-color: transparent; }

label { display: block; font-size: 14px; font-weight: 600; }
input, textarea, select { display: block; width: 100%; min-width: 0; margin: 0; padding: 10px 12px; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: 9px; }
input[aria-invalid] { border-color: var(--bad); }
input[readonly], textarea[readonly] { padding: 8px 11px; font-family: var(--mono); font-size: 13px; line-height: 20px; background: var(--field); border-color: var(--line); resize: none; text-overflow: ellipsis; }
/* As high as its text where a browser can; rows say how high elsewhere. */
textarea[readonly] { white-space: pre-wrap; overflow-wrap: anywhere; overflow: auto; field-sizing: content; }
button, .button { display: inline-block; padding: 10px 18px; font: inherit; font-weight: 600; line-height: 24px; text-align: center; text-decoration: none; color: var(--ink); background: transparent; border: 1px solid var(--edge); border-radius: 10px; cursor: pointer; }
button:hover, .button:hover { border-color: var(--ink); }
.primary { color: var(--on-accent); background: var(--accent); border-color: transparent; }
.primary:hover { background: var(--accent-hover); border-color: transparent; }
button.danger { color: var(--bad); border-color: var(--bad); }
.code { font-family: var(--mono); font-size: 34px; line-height: 1.2; font-weight: 700; letter-spacing: 0.06em; }
.args { max-height: 480px; overflow: auto; padding: 12px 14px; border: 1px solid var(--line); border-radius: 10px; background: var(--field); font-family: var(--mono); font-size: 13px; line-height: 20px; white-space: pre-wrap; overflow-wrap: anywhere; }
.nav { display: flex; gap: 4px 18px; flex-wrap: wrap; }
.little { padding: 3px 11px; font-size: 14px; line-height: 22px; font-weight: 500; border-radius: 8px; }
.buttons { display: grid; gap: 10px; }
@media (min-width: 440px) { .buttons.side { grid-template-columns: minmax(0, 1fr) auto; } }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.person { display: flex; align-items: center; gap: 8px 14px; flex-wrap: wrap; font-size: 14px; }
.title { display: flex; align-items: center; justify-content: space-between; gap: 8px 16px; flex-wrap: wrap; }
.pills { display: flex; gap: 6px; flex-wrap: wrap; }
.rows { list-style: none; }
.rows li { display: flex; align-items: center; justify-content: space-between; gap: 8px 16px; padding: 9px 0; border-top: 1px solid var(--line); }
.rows li > div { min-width: 0; }
.rows li > form, .rows li > .pill { flex: none; }
.rows li > .pills { min-width: min-content; }
.rows .mono { white-space: nowrap; }
.rows p { color: var(--soft); font-size: 14px; }
details > summary { display: flex; align-items: center; gap: 10px; padding: 9px 2px; cursor: pointer; font-weight: 600; list-style: none; border-radius: 6px; }
details > summary::-webkit-details-marker { display: none; }
details > summary::before { content: ""; flex: none; width: 7px; height: 7px; margin-inline: 2px 3px; border: solid var(--soft); border-width: 0 2px 2px 0; transform: rotate(-45deg); }
details[open] > summary::before { transform: rotate(45deg) translate(-2px, -2px); }
details > summary:hover { color: var(--accent); }
.how { border-top: 1px solid var(--line); padding-top: 6px; margin-bottom: -8px; }
.how[open] { margin-bottom: 0; }
.how .clients { border: 1px solid var(--line); border-radius: 10px; overflow: clip; }
.how .clients > details + details { border-top: 1px solid var(--line); }
.how .clients summary { padding: 9px 12px; font-size: 15px; font-weight: 500; }
.how .clients summary:focus-visible { outline-offset: -2px; }
.how .clients details > .stack { padding: 2px 14px 16px 34px; gap: 12px; font-size: 14px; }
@media (max-width: 559px) { .how .clients details > .stack { padding-left: 14px; } }
.how ol { padding-left: 20px; }
`;
