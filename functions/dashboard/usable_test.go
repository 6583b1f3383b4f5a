package dashboard

// usable is a script that lists what keeps a page from being used with a screen reader, a keyboard or a small screen.
const usable = `(() => {
  const faults = [], q = s => [...document.querySelectorAll(s)];
  const shown = e => e.getClientRects().length > 0;
  const name = e => (e.getAttribute("aria-label") || e.textContent || e.value || e.title || "").trim();
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  for (const [what, n] of [["main", q("main").length], ["h1", q("h1").length], ["banner", q("body > header").length]]) if (n !== 1) faults.push(n + " times " + what);
  let level = 0;
  for (const h of q("h1,h2,h3,h4,h5,h6")) { const l = +h.tagName[1]; if (l > level + 1) faults.push("heading " + h.textContent + " skips a level"); level = l; if (!name(h)) faults.push("empty heading"); }
  for (const i of q("input:not([type=hidden]),select,textarea")) if (!i.labels.length && !i.getAttribute("aria-label")) faults.push("field " + i.name + " has no label");
  for (const e of q("a[href],button")) if (!name(e)) faults.push("a link or button has no name: " + e.outerHTML.slice(0, 80));
  for (const n of q("nav")) if (q("nav").length > 1 && !n.getAttribute("aria-label")) faults.push("a nav has no label");
  for (const t of q("table")) if (!t.querySelector("th")) faults.push("a table has no header cell");
  for (const t of q("th")) if (!t.getAttribute("scope")) faults.push("header cell " + t.textContent + " has no scope");
  const ids = {};
  for (const e of q("[id]")) { if (ids[e.id]) faults.push("id " + e.id + " twice"); ids[e.id] = 1; }
  for (const e of q("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) faults.push("labelled by nothing: " + e.getAttribute("aria-labelledby"));
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth + 1) faults.push("the page is wider (" + wide + ") than the window");
  const colour = s => { const m = s.match(/[\d.]+/g).map(Number); return s.startsWith("color(") ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
  const lum = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255]; };
  const seen = new Set();
  for (const e of q("body *")) {
    if (!shown(e) || e.closest("svg") || e.matches(".quiet, .quiet *, .skip") || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = lum(colour(getComputedStyle(e).color)), b = lum(ground(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) { const text = "contrast " + ratio.toFixed(2) + " of " + e.tagName + "." + e.className; if (!seen.has(text)) { seen.add(text); faults.push(text); } }
  }
  for (const e of q("svg.picture text")) { const r = e.previousElementSibling?.closest("g")?.querySelector("rect") ?? e.parentElement.querySelector("rect"); if (!r || e.classList.contains("column")) continue;
    const a = lum(colour(getComputedStyle(e).fill)), b = lum(colour(getComputedStyle(r).fill)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); if (ratio < 4.5) faults.push("contrast " + ratio.toFixed(2) + " in the picture"); }
  return faults;
})()`
