// The style sheet and the script of every page that Tessera writes.

#include "tessera/run/report_page.h"

namespace tessera::run {

// Series colours follow Okabe and Ito's palette, darkened on white and lightened on black until each has a contrast of 3:1 or more.
const char* const kPageStyle = R"css(
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#5a636e;--line:#dfe3e8;--tint:#f4f6f8;--accent:#0a5fa8;--good:#00684d;--goodbg:#e3f4ee;--bad:#a63c00;--badbg:#fdeee5;
--none:#4f5864;--nonebg:#eceff2;--grid:#e6e9ed;--c0:#0b66b0;--c1:#c24e00;--c2:#007a5a;--c3:#a04c92;--c4:#8a6a00;--c5:#3283b8;--c6:#5b6470}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e4e8ec;--soft:#a2acb7;--line:#323942;--tint:#1c2127;--accent:#7ab8f0;--good:#63d0ac;--goodbg:#12302a;--bad:#ffa374;
--badbg:#3a2015;--none:#b4bdc7;--nonebg:#292f37;--grid:#2a3038;--c0:#6cb2f0;--c1:#f2904f;--c2:#41c49b;--c3:#d992d1;--c4:#d9b440;--c5:#9bd1f2;--c6:#a9b3be}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;overflow-wrap:break-word}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 .6rem;letter-spacing:-.012em;text-wrap:balance}
h2{font-size:1.28rem;line-height:1.3;margin:3rem 0 .8rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1.02rem;line-height:1.35;margin:0 0 .5rem}
p,ul{margin:.6rem 0;max-width:44rem}
ul{padding-left:1.2rem}
a{color:var(--accent)}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;font-size:.88em}
code{background:var(--tint);padding:.08em .3em;border-radius:3px}
.eyebrow{color:var(--soft);font-size:.9rem;margin:0}
.what{font-size:1.06rem}
.verdict{display:flex;gap:.9rem;align-items:baseline;margin:1.6rem 0 0;padding:.9rem 1.1rem;border-left:4px solid;border-radius:0 6px 6px 0;max-width:none}
.verdict strong{font-size:1.12rem}
.verdict .sign{font-weight:700}
.held{color:var(--good);background:var(--goodbg)}
.not-held{color:var(--bad);background:var(--badbg)}
.not-measured{color:var(--none);background:var(--nonebg)}
.verdict span.rest{color:var(--ink)}
.badge{display:inline-block;white-space:nowrap;font-weight:600;font-size:.84rem;padding:.1rem .5rem;border-radius:1rem}
.scroll{overflow-x:auto;margin:.8rem 0;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.92rem;line-height:1.45;font-variant-numeric:tabular-nums lining-nums;width:100%}
th,td{padding:.5rem .8rem .5rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:600;font-size:.84rem;color:var(--soft);border-bottom:1.5px solid var(--soft);vertical-align:bottom}
tbody th{font-weight:500}
.num{text-align:right;white-space:nowrap}
.iv{color:var(--soft);white-space:nowrap}
.unit,.of,.soft{color:var(--soft)}
.of{display:block;font-size:.86em}
.numbers{width:auto;font-size:.86rem}
.numbers td{text-align:right;white-space:nowrap}
.numbers th,.numbers td{padding:.25rem 1.2rem .25rem 0}
tr.ours th,tr.ours td{background:var(--tint);font-weight:650}
tr.ours .iv,tr.ours td.note{font-weight:400}
.baselines th:first-child,.baselines td:first-child{padding-left:.5rem;min-width:9rem}
.scoreboard td,.scoreboard th{min-width:7.5rem}
.baselines td.note{min-width:11rem}
.claims{table-layout:fixed}
.claims>tbody>tr>td,.claims>tbody>tr>th{border-bottom:0}
.claims>tbody{border-bottom:1px solid var(--line)}
.claims>tbody>.detail>td{padding:0 0 .7rem}
.conditions{font-size:.88rem}
.conditions th,.conditions td{padding:.3rem 1rem .3rem 0}
.claims col.c1{width:28%}.claims col.c2{width:21%}.claims col.c3{width:18%}.claims col.c4{width:17%}.claims col.c5{width:16%}
.id{display:block;color:var(--soft);font-size:.84rem;font-weight:600}
.claims .value{white-space:nowrap}
.claims .iv{display:block}
details{margin:.2rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.88rem}
summary:focus-visible,svg:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.detail details>*:not(summary){margin-left:1.05rem}
.detail p{font-size:.92rem;margin:.4rem 0}
figure{margin:1.8rem 0 2.2rem;max-width:47.5rem}
figcaption{color:var(--soft);font-size:.92rem}
figcaption p{margin:.35rem 0}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.3rem;padding:0;margin:.2rem 0 .7rem;font-size:.9rem;line-height:1.4;max-width:none}
.legend li{display:flex;align-items:center;gap:.45rem}
.legend svg{flex:none}
.plot{position:relative}
.plot svg{display:block;width:100%;height:auto;overflow:visible;touch-action:pan-y;font-family:inherit}
.plot svg.narrow{display:none}
.s0{color:var(--c0)}.s1{color:var(--c1)}.s2{color:var(--c2)}.s3{color:var(--c3)}.s4{color:var(--c4)}.s5{color:var(--c5)}.s6{color:var(--c6)}
.curve{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dot{fill:currentColor;stroke:var(--paper);stroke-width:1}
.stroke{fill:none;stroke:currentColor;stroke-width:2}
.cloud .dot{fill-opacity:.8}
.band{fill:currentColor;fill-opacity:.16}
.bandkey{fill:var(--soft);fill-opacity:.28}
.bar{fill:currentColor}
.bar.marked{stroke:var(--ink);stroke-width:2;stroke-dasharray:3 2}
rect.bar.marked:not([class*=" s"]){fill:none}
.halo{fill:none;stroke:var(--paper);stroke-width:3.4;stroke-opacity:.75}
.interval{fill:none;stroke:var(--ink);stroke-width:1.3}
.level{fill:none;stroke:var(--ink);stroke-width:1.4;stroke-dasharray:5 4}
.grid{fill:none;stroke:var(--grid);stroke-width:1}
.axis{fill:none;stroke:var(--soft);stroke-width:1}
.tick{fill:var(--soft);font-variant-numeric:tabular-nums}
.tick.name{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.title{fill:var(--ink)}
.guide{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 2}
.ring{fill:none;stroke:var(--ink);stroke-width:1.6}
.tip{position:absolute;top:0;left:0;z-index:2;pointer-events:none;background:var(--paper);color:var(--ink);border:1px solid var(--soft);border-radius:6px;padding:.45rem .65rem;font-size:.84rem;line-height:1.45;
font-variant-numeric:tabular-nums;box-shadow:0 3px 14px rgb(0 0 0/.16);width:max-content;max-width:min(26rem,100%)}
.tip[hidden]{display:none}
.tip b{display:block;font-weight:600;margin-bottom:.15rem}
.tip div{display:flex;gap:.5rem;align-items:baseline}
.tip i{flex:none;width:.62rem;height:.62rem;border-radius:2px;background:currentColor}
.tip span{flex:1;padding-right:.6rem}
.image img{max-width:100%;height:auto;border:1px solid var(--line);border-radius:4px}
pre{background:var(--tint);padding:.9rem 1rem;border-radius:6px;overflow-x:auto;line-height:1.45;tab-size:2}
.settings{width:auto;min-width:50%}
.settings th{color:var(--soft);font-weight:500;white-space:nowrap;padding-right:2rem}
footer{margin-top:3.5rem;padding-top:.9rem;border-top:1px solid var(--line);color:var(--soft);font-size:.86rem}
@media screen and (max-width:599px){
main{padding:1.4rem 1rem 3rem}
h1{font-size:1.45rem}
h2{margin-top:2.3rem}
.plot svg.wide{display:none}
.plot svg.narrow{display:block}
.claims,.claims>tbody,.claims>tbody>tr,.claims>tbody>tr>td,.claims>tbody>tr>th{display:block;width:auto}
.claims>thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.claims>tbody{padding:.8rem 0}
.claims>tbody>tr>th{padding:0 0 .3rem}
.claims>tbody>tr:not(.detail)>td{position:relative;padding:.15rem 0 .15rem 4.8rem;min-height:1.6rem}
.claims>tbody>tr:not(.detail)>td::before{content:attr(data-label);position:absolute;left:0;color:var(--soft);font-size:.84rem}
.claims>tbody>.detail>td{padding:.3rem 0 0}
.claims .iv{display:inline}
.detail details>*:not(summary){margin-left:0}
.settings,.settings tbody,.settings tr,.settings th,.settings td{display:block}
.settings th{border:0;padding:.45rem 0 0}
.settings td{padding:0 0 .45rem}
}
@page{margin:16mm 14mm}
@media print{
:root{color-scheme:light}
body{font-size:10.5pt}
main{max-width:none;padding:0}
h1{font-size:18pt}
h2{margin-top:1.6rem}
h2,h3{break-after:avoid}
figure,tr:not(.detail){break-inside:avoid}
.claims>tbody>tr:not(.detail){break-after:avoid}
.scroll{overflow:visible}
.values,.tip{display:none}
pre{white-space:pre-wrap}
a{color:inherit}
.held,.not-held,.not-measured{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
@media print and (prefers-color-scheme:dark){:root{--paper:#fff;--ink:#1c2024;--soft:#5a636e;--line:#dfe3e8;--tint:#f4f6f8;--accent:#0a5fa8;--good:#00684d;--goodbg:#e3f4ee;--bad:#a63c00;--badbg:#fdeee5;
--none:#4f5864;--nonebg:#eceff2;--grid:#e6e9ed;--c0:#0b66b0;--c1:#c24e00;--c2:#007a5a;--c3:#a04c92;--c4:#8a6a00;--c5:#3283b8;--c6:#5b6470}}
)css";

const char* const kPageScript = R"js(
const SVG = 'http://www.w3.org/2000/svg';
const number = v => {
  if (v === null || v === undefined) return '–';
  const size = Math.abs(v);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) return v.toExponential(2).replace(/-/g, '−');
  const decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5;
  return v.toLocaleString('en', {maximumFractionDigits: decimals}).replace('-', '−');
};
const scale = text => {
  const [low, high, log, from, to] = text.split(' ').map(Number), f = log ? Math.log : v => v;
  return {from, to, at: v => from + (f(v) - f(low)) / (f(high) - f(low)) * (to - from)};
};
const value = (series, i, unit) =>
  number(series.y[i]) + (series.low ? ` [${number(series.low[i])}, ${number(series.high[i])}]` : '') + (unit ? ' ' + unit : '');
const row = (s, name, text) => ({colour: s % 7, name, text});

// The places of a plot that have something to say: where they are in SVG units, a heading, rows of series and value.
function stops(data, x, y, lying) {
  if (data.kind === 'scatter') return data.series.flatMap((series, s) => series.x.map((_, i) => ({
    x: x.at(series.x[i]), y: y.at(series.y[i]), head: series.names ? series.names[i] : series.name,
    rows: [row(s, data.x, number(series.x[i])), row(s, data.y, number(series.y[i]))]})));
  if (data.kind === 'bar') {
    const n = data.categories.length, along = lying ? {from: y.to, to: y.from} : x;
    return data.categories.map((name, i) => {
      const at = along.from + (i + 0.5) / n * (along.to - along.from);
      return {[lying ? 'y' : 'x']: at, head: /^[\d.-]+$/.test(name) && data.x ? data.x + ' ' + name : name,
              rows: data.series.map((series, s) => {
                const marked = series.marked && series.marked.includes(i), alone = data.series.length === 1;
                const label = marked ? (alone ? data.marked : `${series.name}, ${data.marked}`) : series.name;
                return row(marked && alone ? 1 : s, label, value(series, i, data.unit));
              })};
    });
  }
  const places = new Map();
  data.series.forEach((series, s) => series.x.forEach((at, i) => {
    if (at === null || series.y[i] === null) return;
    if (!places.has(at)) places.set(at, {x: x.at(at), head: data.x + ': ' + number(at), rows: [], dots: []});
    places.get(at).rows.push(row(s, series.name, value(series, i, data.unit)));
    places.get(at).dots.push(y.at(series.y[i]));
  }));
  return [...places.values()].sort((a, b) => a.x - b.x);
}

function attach(svg, data, tip) {
  const x = scale(svg.dataset.x), y = scale(svg.dataset.y), all = stops(data, x, y, 'lying' in svg.dataset);
  const view = svg.viewBox.baseVal, mark = document.createElementNS(SVG, 'g');
  svg.append(mark);
  let current = -1;
  const draw = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, text] of Object.entries(attributes)) element.setAttribute(key, text);
    mark.append(element);
  };
  const hide = () => { mark.replaceChildren(); tip.hidden = true; current = -1; };
  const show = i => {
    const stop = all[i];
    if (!stop || (i === current && !tip.hidden)) return;
    current = i;
    mark.replaceChildren();
    if (stop.y === undefined) draw('path', {class: 'guide', d: `M${stop.x} ${y.to}V${y.from}`});
    else if (stop.x === undefined) draw('path', {class: 'guide', d: `M${x.from} ${stop.y}H${x.to}`});
    else draw('circle', {class: 'ring', cx: stop.x, cy: stop.y, r: 7});
    for (const dot of stop.dots || []) draw('circle', {class: 'ring', cx: stop.x, cy: dot, r: 5.5});
    const head = document.createElement('b');
    head.textContent = stop.head;
    tip.replaceChildren(head, ...stop.rows.map(r => {
      const line = document.createElement('div'), swatch = document.createElement('i'), name = document.createElement('span'), text = document.createElement('span');
      swatch.className = 's' + r.colour;
      name.textContent = r.name;
      text.textContent = r.text;
      text.style.cssText = 'flex:none;padding:0';
      line.append(swatch, name, text);
      return line;
    }));
    tip.hidden = false;
    const box = svg.getBoundingClientRect(), unit = box.width / view.width;
    const px = (stop.x ?? (x.from + x.to) / 2) * unit, py = (stop.y ?? y.to) * unit;
    const left = px + 14 + tip.offsetWidth <= box.width ? px + 14 : px - 14 - tip.offsetWidth;
    tip.style.left = Math.max(0, Math.min(left, box.width - tip.offsetWidth)) + 'px';
    tip.style.top = Math.max(0, stop.y === undefined ? 0 : py + 14 + tip.offsetHeight <= box.height ? py + 14 : py - 14 - tip.offsetHeight) + 'px';
  };
  const nearest = event => {
    const box = svg.getBoundingClientRect(), unit = view.width / box.width;
    const at = {x: (event.clientX - box.left) * unit, y: (event.clientY - box.top) * unit};
    let best = -1, least = Infinity;
    all.forEach((stop, i) => {
      const away = Math.hypot(stop.x === undefined ? 0 : stop.x - at.x, stop.y === undefined ? 0 : stop.y - at.y);
      if (away < least) { least = away; best = i; }
    });
    show(best);
  };
  svg.addEventListener('pointermove', nearest);
  svg.addEventListener('pointerdown', nearest);
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('blur', hide);
  svg.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === 'Escape') hide();
    if (!step) return;
    event.preventDefault();
    show(current < 0 ? 0 : Math.max(0, Math.min(all.length - 1, current + step)));
  });
}

for (const figure of document.querySelectorAll('figure')) {
  const source = figure.querySelector('script[type="application/json"]'), tip = figure.querySelector('.tip');
  if (source) for (const svg of figure.querySelectorAll('.plot svg')) attach(svg, JSON.parse(source.textContent), tip);
}
let opened = [];
addEventListener('beforeprint', () => {
  opened = [...document.querySelectorAll('details:not([open]):not(.values)')];
  for (const details of opened) details.open = true;
});
addEventListener('afterprint', () => { for (const details of opened) details.open = false; });
)js";

}  // namespace tessera::run
