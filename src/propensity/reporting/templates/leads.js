"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const rank = { SQL: 0, MQL: 1, nurture: 2, unscored: 3 };
  const STEP = 100;
  for (const row of data.rows) row.text = [row.id, row.band, ...row.reasons.map((reason) => reason.replace(/ \(typical .*\)(?=, [-+][\d.]+ points$)/, ""))].join("\n").toLowerCase();

  let shown = [], drawn = 0;
  const down = (name) => (a, b) => (b[name] ?? -Infinity) - (a[name] ?? -Infinity);
  const orders = {
    band: (a, b) => rank[a.band] - rank[b.band] || down("probability")(a, b),
    probability: down("probability"),
    fit: down("fit"),
    behaviour: down("behaviour"),
    id: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }),
  };

  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const svg = (tag, given) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, is] of Object.entries(given)) made.setAttribute(name, is);
    return made;
  };
  function pull(what, points) {
    const line = make("div", undefined, "pull");
    const rounded = points.toFixed(1), signed = Number(rounded) === 0 ? "0.0" : (points < 0 ? "" : "+") + rounded;
    const bar = svg("svg", { viewBox: "-100 0 200 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    bar.append(svg("rect", { x: Math.min(points, 0), width: Math.abs(points), height: 8, fill: points < 0 ? "var(--other)" : "var(--model)" }));
    bar.append(svg("rect", { x: -0.5, width: 1, height: 8, fill: "var(--soft)" }));
    line.append(make("span", what), bar, make("span", signed));
    return line;
  }
  function card(row) {
    const item = make("li", undefined, "lead"), head = make("p");
    const chance = row.probability !== null ? (100 * row.probability).toFixed(1) + "%" : row.points !== null ? row.points + " points" : "";
    head.append(make("b", row.band), " ", make("b", chance), " ", make("code", row.id));
    if (row.by === "rules") head.append(" ", make("small", "by the points rules (" + row.why + ")"));
    else if (!row.by && row.why) head.append(" ", make("small", "not scored (" + row.why + ")"));
    item.append(head);
    if (data.steps[row.band]) item.append(make("p", data.steps[row.band], "soft"));
    if (row.by === "model" && row.fit !== null) item.append(pull("who it is", row.fit), pull("what it did", row.behaviour));
    const list = make("ul");
    for (const reason of row.reasons) list.append(make("li", reason, /, -[\d.]+ points( of the rules)?$/.test(reason) ? "against" : "for"));
    item.append(list);
    return item;
  }

  function more() {
    const part = document.createDocumentFragment();
    for (const row of shown.slice(drawn, drawn + STEP)) part.append(card(row));
    drawn = Math.min(drawn + STEP, shown.length);
    at("leads").append(part);
    at("more").textContent = drawn < shown.length ? "Scroll on for " + (shown.length - drawn).toLocaleString("en-US") + " more." : "";
  }
  function show() {
    const wanted = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const bands = new Set([...document.querySelectorAll("input[name=band]:checked")].map((box) => box.value));
    shown = data.rows.filter((row) => bands.has(row.band) && wanted.every((word) => row.text.includes(word))).sort(orders[at("sort").value]);
    drawn = 0;
    at("leads").replaceChildren();
    at("count").textContent = shown.length === data.rows.length ? "" : shown.length.toLocaleString("en-US") + " of " + data.rows.length.toLocaleString("en-US") + " leads on this page." + (shown.length ? "" : " Empty the search and tick all bands to see them again.");
    more();
  }

  // A spreadsheet runs a cell that starts like a formula.
  const cell = (value) => {
    let text = value === null ? "" : String(value);
    if (/^[=+\-@\t\r\n\0＝＋－＠]/.test(text) && !/^[-+]?\d+(\.\d+)?$/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  function csv() {
    const most = Math.max(0, ...shown.map((row) => row.reasons.length));
    const head = [data.id, "band", "probability", "fit_pp", "behaviour_pp", "next_step", ...Array.from({ length: most }, (_, i) => "reason_" + (i + 1))];
    const lines = shown.map((row) => [row.id, row.band, row.probability, row.fit, row.behaviour, data.steps[row.band], ...Array.from({ length: most }, (_, i) => row.reasons[i] ?? "")]);
    return [head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  at("download").addEventListener("click", () => {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
    link.download = "leads.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  addEventListener("beforeprint", () => {
    while (drawn < shown.length) more();
  });
  at("search").addEventListener("input", show);
  at("sort").addEventListener("change", show);
  for (const box of document.querySelectorAll("input[name=band]")) box.addEventListener("change", show);
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting) && drawn < shown.length) more();
  }, { rootMargin: "600px" }).observe(at("more"));
  show();
})();
